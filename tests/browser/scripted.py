"""An assistant that says what a test tells it to, over documents of a few lines."""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assistant.errors import InvalidQuestion
from assistant.types import Answer, Citation, Event, Message, Notice, Searched, Token, Usage
from index.errors import SourceNotFound
from index.types import EVERYTHING, File, Filter, Passage, Source
from index.walk import hash_of

ARMISTICE = "L'armistice fut signé le 11 novembre 1918 à Rethondes.\nIl mit fin aux combats à l'Ouest."
TOWER = "La tour Eiffel mesure 330 mètres. Elle fut achevée en 1889 pour l'Exposition universelle."
TREATY = "Le traité de Versailles fut signé le 28 juin 1919, dans la galerie des Glaces."
CANNOT_ANSWER = "Les documents ne répondent pas à cette question."


@dataclass
class Index:
    """What the web faces use of the index."""

    texts: dict[str, str]
    titles: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    """The files of documents that have one."""
    hashes: dict[str, str] = field(default_factory=dict)
    """What was indexed, where it is not what the file holds now."""
    shared = False

    def sources(self) -> list[Source]:
        return [
            Source(id, self.titles.get(id, id), (self._path(id),), 1, "fr", "2024-11-11", self._hash(id))
            for id in self.texts
        ]

    def _path(self, id: str) -> str:
        return str(self.files.get(id, f"/srv/private/{id}.txt"))

    def _hash(self, id: str) -> str:
        return self.hashes.get(id) or (hash_of(self.files[id]) if id in self.files else "0" * 64)

    def counts(self) -> tuple[int, int]:
        return len(self.texts), len(self.texts)

    def changed(self) -> str:
        return "2026-01-01"

    def text(self, source_id: str) -> str:
        if source_id not in self.texts:
            raise SourceNotFound(f"No document {source_id!r}")
        return self.texts[source_id]


class ScriptedAssistant:
    """Answers every question with the first sentence of its first document, word by word.

    A question that begins with "Combien" is declined, a blank one refused. What a test may set:

    - hold: an answer pauses before its third token until `resume` is set;
    - endless: an answer goes on until it is closed;
    - raises: raised in place of the first event, or of the third token if `raises_late`.
    """

    def __init__(self) -> None:
        self.index = Index({})
        self.begin()

    def begin(self, texts: dict[str, str] | None = None, titles: dict[str, str] | None = None) -> None:
        """Forget everything, and take other documents."""
        texts = texts or {"armistice": ARMISTICE, "tour": TOWER, "traite": TREATY}
        titles = titles or {"armistice": "L'armistice", "tour": "La tour Eiffel", "traite": "Versailles"}
        vars(self.index).update(vars(Index(texts, titles)))
        self.ready = True
        self.fault: Exception | None = None
        self.hold = False
        self.endless = False
        self.resume = threading.Event()
        self.closed = threading.Event()
        self.raises: Exception | None = None
        self.raises_late = False
        self.completed = 0
        self.asked: list[tuple[str, list[Message]]] = []
        self.filters: list[Filter] = []
        self.also_in: tuple[File, ...] = ()
        """What every citation names besides its own file."""
        self.notice: Notice | None = None
        """Said before the first token, and with the answer."""
        self.usage: Usage | None = None
        """Told with the answer."""
        self.quotes: dict[str, tuple[int, int]] = {}
        """Where the quotes of a document begin and end, if not with its first sentence."""

    def let_go(self) -> None:
        """End the answers that are held."""
        self.endless = False
        self.resume.set()

    def stream(self, question: str, history: Sequence[Message] = (), where: Filter = EVERYTHING) -> Iterator[Event]:
        self.asked.append((question, list(history)))
        self.filters.append(where)
        self.closed.clear()
        try:
            if not question.strip():
                raise InvalidQuestion("The question is empty. Ask something.")
            if self.raises and not self.raises_late:
                raise self.raises
            yield Searched(question, self.passages)
            if self.notice:
                yield self.notice
            while self.endless:
                yield Token("encore ")
                self.resume.wait(0.01)
            answer = self._answer(question)
            for position, piece in enumerate(_pieces(answer.text)):
                if position == 2 and self.raises and self.raises_late:
                    raise self.raises
                if position == 2 and self.hold:
                    self.resume.wait(30)
                yield Token(piece)
            yield answer
            self.completed += 1
        finally:
            self.closed.set()

    def ask(self, question: str, history: Sequence[Message] = ()) -> Answer:
        return [event for event in self.stream(question, history) if isinstance(event, Answer)][-1]

    @property
    def passages(self) -> tuple[Passage, ...]:
        return tuple(
            Passage(
                f"{id}-0",
                text,
                id,
                self.index.titles.get(id, id),
                3 if id == "tour" else None,
                0,
                1.0,
                language="fr",
                date="2024-11-11",
            )
            for id, text in self.index.texts.items()
        )

    @property
    def citations(self) -> tuple[Citation, ...]:
        return tuple(self._citation(number, passage) for number, passage in enumerate(self.passages[:2], start=1))

    def _citation(self, number: int, passage: Passage) -> Citation:
        start, end = self.quotes.get(passage.source, (0, passage.text.index(".") + 1))
        return Citation(number, passage, passage.text[start:end], start, end, self.also_in)

    def _answer(self, question: str) -> Answer:
        if question.startswith("Combien"):
            return Answer(question, question, CANNOT_ANSWER, (), self.passages, notice=self.notice, usage=self.usage)
        citations = self.citations
        text = " ".join(f"{citation.quote} [{citation.number}]" for citation in citations)
        return Answer(question, question, text, citations, self.passages, notice=self.notice, usage=self.usage)


def _pieces(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)
