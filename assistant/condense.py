"""History and follow-up to a question that stands alone, and to what is searched for it.

Nobody knows for certain whether a question goes on with what was said before or begins anew. So a question with a
history is searched in several ways, as it is and with what went before, and the rankings are merged: a passage that is
near to all of them comes first, and where the question stands alone, what it finds by itself is not lost.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_messages, trim_messages
from langchain_core.prompts import ChatPromptTemplate

from assistant.prompts import CANNOT_ANSWER, CONDENSE_HUMAN, CONDENSE_SYSTEM
from assistant.types import Message
from index import Passage, detect
from index.copies import fold_copies
from index.terms import content_terms

log = logging.getLogger(__name__)

SAYS_TOO_LITTLE = 2
"""With fewer words of its own than this, a question leans on the one before: "Et pourquoi ?", "What about Kiev?"."""
MAY_LEAN = 4
"""With so many at the most, it does where one of its words points back: "When did they leave?"."""

POINTING_BACK = {
    "fr": """
        elle elles lui leur leurs celui celle ceux celles celui-ci celle-ci ceux-ci celles-ci cela ça cet cette ces ses
        sa autre autres
    """,
    "en": """
        it its they them their theirs he him his she her hers this that these those one ones same other others another
        else more
    """,
    "es": "ella ellos ellas su sus suyo suya este esta estos estas ese esa eso esos esas aquello otro otra otros otras",
    "de": """
        er ihn ihm ihnen ihre ihrem ihren ihrer ihres sein seine seinem seinen seiner seines dieser diese dieses diesem
        diesen davon dazu damit dafür darüber dabei dort andere anderen anderer
    """,
}
"""Words that may stand for something said before; by language, ISO 639-1. French est-elle is one word here, and not
among them: in "La France est-elle en guerre ?" it stands for what the question names itself."""
GOING_ON = re.compile(
    r"\W*(?:et|mais|donc|alors|puis|ou|qu'en est-il|and|but|so|then|or|what about|how about|y|e|pero|entonces|und|aber|"
    r"dann|oder|ma|mas)\b",
    re.IGNORECASE,
)
"""How a question begins that goes on, in any language."""

PAST_CHARACTERS = 600
"""How much of the questions before is searched with, the oldest cut first: the embedding model reads 512 tokens."""
ANSWER_CHARACTERS = 300
"""How much of the last answer is; in its first sentence it says what it is about."""
MARK = re.compile(r"(?<!\s)\s*\[\d+\]")

ALONE_WEIGHT, LEANING_WEIGHT, ANSWER_WEIGHT = 1.5, 0.7, 0.5
"""Of the ranking for the question as it is, where it stands alone and where it leans, and of that with the last answer;
the one with the questions before has 1. docs/quality.md has what other values would give."""
HISTORY_TOKENS = 1_000
"""How much of the conversation a language model is shown, the oldest messages cut first."""
MESSAGE_CHARACTERS = 1_500
"""How much of each message it is."""
WRITTEN_CHARACTERS = 500
"""What it writes is longer only where it answers instead."""
WRITTEN_WEIGHT = 2.0
"""Of the ranking for what a language model wrote, beside those that do without it: it may be wrong."""
DAMPING = 10
"""Of reciprocal rank fusion; the value suits short lists."""


@dataclass(frozen=True, slots=True)
class Condensed:
    """A question with its history taken in."""

    query: str
    """The question as it stands alone."""
    searches: tuple[tuple[str, float], ...]
    """What to search for, each with the weight of what is found."""


Condense = Callable[[str, Sequence[Message]], Condensed]
"""A question and the conversation before it → the question that stands alone."""


def by_history(question: str, history: Sequence[Message]) -> Condensed:
    """Take from the history the questions that this one goes on with, and the beginning of the last answer."""
    past = [message["content"].strip() for message in history if message["role"] == "user"]
    leading = _leading([turn for turn in past if turn])
    if not leading:
        return Condensed(question, ((question, 1.0),))
    leaning = leans(question)
    with_past = f"{leading} {question}"
    searches = [(question, LEANING_WEIGHT if leaning else ALONE_WEIGHT), (with_past, 1.0)]
    if opening := _opening(history):
        searches.append((f"{opening} {question}", ANSWER_WEIGHT))
    return Condensed(with_past if leaning else question, tuple(searches))


def by_model(model: BaseChatModel, count_tokens: Callable[[str], int]) -> Condense:
    """Let a language model write the question that stands alone; where it fails or rambles, do without.

    count_tokens: by whatever tokenizer is at hand.
    """
    prompt = ChatPromptTemplate.from_messages([("system", CONDENSE_SYSTEM), ("human", CONDENSE_HUMAN)])

    def condense(question: str, history: Sequence[Message]) -> Condensed:
        without = by_history(question, history)
        turns = _latest(history, count_tokens)
        if not turns:
            return without
        conversation = "\n".join(f"{turn.type}: {_unfenced(str(turn.content))}" for turn in turns)
        try:
            asked = prompt.invoke({"conversation": conversation, "question": _unfenced(question)}).to_messages()
            written = _line(model.stream(asked))
        except Exception as error:  # noqa: BLE001 - each provider's package has errors of its own
            log.warning("The language model did not rewrite a question (%s)", type(error).__name__)
            return without
        if not written:
            return without
        return Condensed(written, ((written, WRITTEN_WEIGHT), *without.searches))

    return condense


def _line(pieces: Iterator[AIMessageChunk]) -> str:
    """Return the one line that a language model writes; nothing where it rambles, and then it is stopped."""
    with closing(pieces):  # type: ignore[type-var]
        written = ""
        for piece in pieces:
            written = (written + piece.text).lstrip()
            if "\n" in written.rstrip() or len(written) > WRITTEN_CHARACTERS:
                return ""
    return written.strip()


def leans(question: str) -> bool:
    """Say whether a question says too little by itself: it is short, or points back to what was said."""
    language = detect(question)
    own = len(set(content_terms(question, language)))
    goes_on = GOING_ON.match(question) is not None or _points_back(question, language)
    return own < SAYS_TOO_LITTLE or (own <= MAY_LEAN and goes_on)


def merged(rankings: Sequence[tuple[Sequence[Passage], float]]) -> list[Passage]:
    """Merge rankings of passages, each with its weight, into one as long as the longest, without near copies.

    By weighted reciprocal rank fusion: a passage's score is the sum of weight / (DAMPING + rank).

    References: Cormack, Clarke and Büttcher, Reciprocal rank fusion, SIGIR 2009.
    """
    if len(rankings) == 1:
        return list(rankings[0][0])
    found: dict[str, Passage] = {}
    scores: dict[str, float] = {}
    for passages, weight in rankings:
        for rank, passage in enumerate(passages, start=1):
            found.setdefault(passage.id, passage)
            scores[passage.id] = scores.get(passage.id, 0.0) + weight / (DAMPING + rank)
    best = sorted(found, key=lambda id: -scores[id])
    return fold_copies(replace(found[id], score=scores[id]) for id in best)[: max(len(one) for one, _ in rankings)]


def _latest(history: Sequence[Message], count_tokens: Callable[[str], int]) -> list[BaseMessage]:
    """Give the last messages that a language model is shown, beginning with one of the user."""
    short = [{**message, "content": message["content"][:MESSAGE_CHARACTERS]} for message in history]
    return trim_messages(
        convert_to_messages(short),
        max_tokens=HISTORY_TOKENS,
        token_counter=lambda messages: sum(count_tokens(str(message.content)) for message in messages),
        strategy="last",
        start_on="human",
    )


def _unfenced(text: str) -> str:
    return text.replace("<", "‹").replace(">", "›")


def _leading(past: Sequence[str]) -> str:
    """Give the last question, and those before it back to one that stands alone."""
    first = max(len(past) - 1, 0)
    while first and leans(past[first]):
        first -= 1
    return " ".join(past[first:])[-PAST_CHARACTERS:]


def _opening(history: Sequence[Message]) -> str:
    """Give the beginning of the last answer; of one that declined, nothing."""
    said = [message["content"] for message in history if message["role"] == "assistant"][-1:]
    if not said or any(phrase in said[0] for phrase in CANNOT_ANSWER.values()):
        return ""
    return MARK.sub("", said[0]).strip()[:ANSWER_CHARACTERS]


def _points_back(question: str, language: str | None) -> bool:
    words = re.findall(r"[\w-]+", question.casefold())
    listed = POINTING_BACK.get(language or "", "").split()
    return not set(listed).isdisjoint(words)
