"""What the assistant says: events while it works, and the answer with its citations."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from assistant.reader.reading import Reading
from index.types import File, Filter, Passage


class Message(TypedDict):
    """One turn of a conversation, in the shape that chat interfaces share."""

    role: Literal["user", "assistant"]
    content: str


RETRIEVE, READ, ANSWER = STAGES = ("retrieve", "read", "answer")
"""Of a question: the names by which LangChain's callbacks are told of them."""


class Asked(TypedDict):
    """A question, and the conversation before it."""

    question: str
    history: Sequence[Message]
    where: NotRequired[Filter]
    """Which documents to search; all of them where it is left out."""


class Task(Asked):
    """What an answerer is given; an answerer is a LangChain Runnable from a Task to what it says, streamed."""

    query: str
    """The question as it stands alone."""
    passages: Sequence[Passage]
    """Best first."""
    readings: NotRequired[Sequence[Reading]]
    """What the reader makes of the first passages, where there is a reader: it stops at one that surely answers."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the answer as an answerer makes it, with the passages it says it has it from."""

    text: str
    passages: tuple[int, ...]
    """Counted from 1 in the order of the passages given; not yet verified."""
    answer: tuple[int, int] | None = None
    """Where in the text the words stand that answer, if an answerer points at them."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure an answerer is that the passages answer; it may say so once, also where it makes no claim."""

    value: float
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The language model failed, and the sentences that come after this are those of the documents.

    What the model wrote before stays.
    """

    kind: str
    """The name of the error: ModelUnavailable, ModelFailed, RateLimited."""
    message: str
    """One line in English for whoever runs the assistant: what happened, what to do. Holds no key and no address."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The language model is at work and there is nothing to show yet.

    Comes several times a second, so that whoever reads can stop, or tell its client that it is alive.
    """


Said = Claim | Confidence | Notice | Waiting
"""What an answerer streams."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote that stands, character for character, in a stored document: `text[start:end] == quote`."""

    number: int
    """As the answer writes it: [1]."""
    passage: Passage
    quote: str
    start: int
    """In characters of the stored text of `passage.source`."""
    end: int
    also_in: tuple[File, ...] = ()
    """Other files in which the words of the quote stand."""
    answer: tuple[int, int] | None = None
    """Where in the stored text the words of the quote stand that answer, if they were pointed at."""

    @property
    def label(self) -> str:
        """Name the place for a reader: "Rapport annuel › Chapitre 2, 2025-11-05, page 3"."""
        page = None if self.passage.page is None else f"page {self.passage.page}"
        return ", ".join(filter(None, [self.passage.place, self.passage.day, page]))

    @property
    def words(self) -> str | None:
        """Give the words of the quote that answer: "deux heures et demie"."""
        return self.answer and self.quote[self.answer[0] - self.start : self.answer[1] - self.start]


Doubt = Literal["uncited", "number", "name", "negation", "direction", "meaning"]
"""Why a sentence counts as unsupported: none of the passages was close to it; a number, date or name in it is not in
the passage; one of both denies what the other says, or says the contrary (rises, falls); it says something else."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A sentence of the answer that no passage supports, with the words behind it that say so.

    It is `answer.text[start:end]`, and ends in "(not found in the documents)", in the language of the answer.
    """

    start: int
    """In characters of the answer's text."""
    end: int
    doubt: Doubt


@dataclass(frozen=True, slots=True)
class Usage:
    """What the language models read and wrote for an answer, in their tokens, as their servers say."""

    model: str
    """As the server names it; several are joined by ", "."""
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the time of an answer went."""

    retrieve: float = 0.0
    """Until the passages were found."""
    answer: float = 0.0
    """From there to the end."""
    first_token: float = 0.0
    """From the question to the first word of the answer."""

    @property
    def total(self) -> float:
        """From the question to the end."""
        return self.retrieve + self.answer


@dataclass(frozen=True, slots=True)
class Searched:
    """The passages found for the query; the first event."""

    query: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer's text; all pieces together are `Answer.text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The last event: the whole text and the citations it rests on."""

    question: str
    query: str
    """The question as it stands alone: itself, unless a conversation gave it its meaning."""
    text: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    seconds: Seconds = field(default_factory=Seconds)
    confidence: float | None = None
    """That the documents answer, from 0 to 1; None where the answerer does not say, as a language model."""
    unsupported: tuple[Unsupported, ...] = ()
    """Sentences in the text that no passage supports, in order; only a language model writes such."""
    notice: Notice | None = None
    """Why the language model did not write the answer, or not all of it."""
    usage: Usage | None = None
    """None where no language model was asked, or its server does not count."""

    @property
    def short(self) -> str | None:
        """Give the words that answer, without the sentence around them; None where nobody points at them."""
        return next((citation.words for citation in self.citations if citation.words), None)

    @property
    def answered(self) -> bool:
        """Say whether the documents hold an answer: it has a verified citation."""
        return bool(self.citations)

    def as_dict(self) -> dict[str, Any]:
        """Give the object that `ask --json` and `POST /api/ask` share."""
        return {
            "question": self.question,
            "query": self.query,
            "answered": self.answered,
            "answer": self.text,
            "short": self.short,
            "citations": [
                {
                    "number": citation.number,
                    "source": citation.passage.source,
                    "title": citation.passage.title,
                    "date": citation.passage.date,
                    "language": citation.passage.language,
                    "page": citation.passage.page,
                    "section": citation.passage.section,
                    "start": citation.start,
                    "end": citation.end,
                    "quote": citation.quote,
                    "answer": citation.answer
                    and {"start": citation.answer[0], "end": citation.answer[1], "text": citation.words},
                    "also_in": [asdict(file) for file in citation.also_in],
                }
                for citation in self.citations
            ],
            "passages": passages_as_dicts(self.passages),
            "unsupported": [
                {"start": one.start, "end": one.end, "text": self.text[one.start : one.end], "doubt": one.doubt}
                for one in self.unsupported
            ],
            "notice": self.notice and asdict(self.notice),
            "usage": self.usage and asdict(self.usage),
            "seconds": asdict(self.seconds) | {"total": self.seconds.total},
        }


Event = Searched | Waiting | Notice | Token | Answer

NAMED_FILES = 5
"""How many of the files that hold the same are named."""


def named(files: Sequence[File]) -> str:
    """Name files for a reader: "B.txt, C.html"; of many, the first and the number of the others."""
    names = ", ".join(file.name for file in files[:NAMED_FILES])
    return f"{names} +{len(files) - NAMED_FILES}" if len(files) > NAMED_FILES else names


def passages_as_dicts(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Give passages as JSON has them, best first."""
    return [asdict(passage) for passage in passages]
