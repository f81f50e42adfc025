"""What an empty page says: the name, the greeting, how much is indexed and since when, and questions to begin with.

The questions are made from the documents, in turn until there are enough: those that stand in a document as a line of
their own, as in lists of frequent questions, then those about names in it or its title. Where trying costs nothing,
only a question that the assistant answers from that very document is shown.
"""

import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.errors import AssistantError
from index.errors import IndexingError
from index.types import Source

if TYPE_CHECKING:
    from assistant.answer import Assistant

EXAMPLES = 3
TRIED_DOCUMENTS = 6
READ_CHARACTERS = 20_000
"""How far into a document questions are looked for."""
LINE = re.compile(
    r"^[ \t#>*\d.)-]*((?:Qu[ei]|Qu['’]|Quand|Comment|Pourquoi|Où|Combien|Quel|À quoi|Faut-il|Peut-on|Dois-je"
    r"|Puis-je|Est-ce|Wh[aoye]|When|How|Can|Do |Does|Is |Are |Should)[^\n?]{12,90}\?)[ \t*]*$",
    re.M,
)
NAME = re.compile(r"(?<=[a-zà-ÿ,] )(?<!\bl[ae] )(?<!\bles )(?<!\bthe )[A-ZÀ-Ý][\w-]+(?: [A-ZÀ-Ý][\w-]+){1,2}\b")
"""Two or three words with capitals within a sentence, without an article: mostly a person."""
KNOWN = {"fr": "Que sait-on {} ?", "": "What is known about {}?"}
ABOUT = {"fr": "Que dit « {} » ?", "": "What does “{}” say?"}
TITLE_CHARACTERS = 70
NAMES = 3
"""How many names of a document are asked about, at the most."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an empty page says beside its fixed words."""

    documents: int
    changed: str | None
    """The day of the last change, ISO 8601."""
    greeting: str | None
    """Of the owner; None for the page's own."""
    examples: tuple[str, ...]
    making: bool
    """Whether there will be other examples soon."""


class Start:
    """What is known at the start of a conversation; made anew, beside the answers, when the documents change.

    Args:
        assistant: what answers.
        title: the name on the page.
        greeting: of the owner, instead of the page's own.
        tries: whether example questions are tried; not where each answer is paid for.
    """

    def __init__(self, assistant: "Assistant", title: str, greeting: str | None = None, tries: bool = True) -> None:
        self.title = title
        self._assistant = assistant
        self._greeting = greeting
        self._tries = tries
        self._examples: tuple[str, ...] = ()
        self._of: frozenset[str] | None = None
        """The documents that the examples were made of."""
        self._making = threading.Lock()

    def facts(self) -> Facts:
        """Say what there is now; examples come a little later."""
        sources = self._assistant.index.sources()
        making = self._of != frozenset(source.id for source in sources)
        if making and self._assistant.ready and self._making.acquire(blocking=False):
            threading.Thread(target=self._make, args=(sources,), name="examples", daemon=True).start()
        return Facts(len(sources), self._assistant.index.changed(), self._greeting, self._examples, making)

    def _make(self, sources: list[Source]) -> None:
        try:
            is_good = self._answers if self._tries else _anything
            self._examples = tuple(examples(sources, self._assistant.index.text, is_good))
            self._of = frozenset(source.id for source in sources)
        finally:
            self._making.release()

    def _answers(self, question: str, source: Source) -> bool:
        try:
            answer = self._assistant.ask(question)
        except (AssistantError, IndexingError):
            return False
        return any(citation.passage.source == source.id for citation in answer.citations)


def examples(
    sources: list[Source], read: Callable[[str], str], is_good: Callable[[str, Source], bool]
) -> Iterator[str]:
    """Yield questions of the newest documents, a second one of a document only after one of each."""
    newest = sorted(sources, key=lambda source: source.date or "", reverse=True)[:TRIED_DOCUMENTS]
    waiting = deque((source, _questions(source, read)) for source in newest)
    found = 0
    while waiting and found < EXAMPLES:
        source, questions = waiting.popleft()
        if good := next((question for question in questions if is_good(question, source)), None):
            found += 1
            waiting.append((source, questions))
            yield good


def _questions(source: Source, read: Callable[[str], str]) -> Iterator[str]:
    try:
        text = read(source.id)[:READ_CHARACTERS]
    except IndexingError:
        return
    yield from candidates(source, text)


def candidates(source: Source, text: str) -> Iterator[str]:
    """Give questions that a document may answer: those it asks itself, about the names it has most, about its title."""
    language = source.language or ""
    yield from list(dict.fromkeys(" ".join(line.split()) for line in LINE.findall(text)))[:2]
    for name, _ in Counter(NAME.findall(text)).most_common(NAMES):
        named = f"d’{name}" if name[0] in "AEIOUYÀÉÈÊÎÔH" else f"de {name}"
        yield KNOWN.get(language, KNOWN[""]).format(named if language == "fr" else name)
    if source.title and len(source.title) <= TITLE_CHARACTERS:
        yield ABOUT.get(language, ABOUT[""]).format(source.title)


def _anything(_: str, __: Source) -> bool:
    return True
