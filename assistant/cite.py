"""Finds and verifies quotes: what is not in a stored document, character for character, is never shown."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from assistant.prompts import not_found
from assistant.prose import prose
from assistant.statements import YES_OR_NO, statements
from assistant.support import Support, SupportCheck, TokenEmbeddings
from assistant.types import Citation, Claim, Doubt, Unsupported, Waiting
from index import File, Passage, SourceNotFound
from index.copies import stands_in, words

OWN_MARK = re.compile(r"(?<!\s)\s*\[\d+\]")
"""Footnote marks of a document. In an answer [n] is ours; the quote keeps the document's own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A further piece of the answer's text, and what is new with it."""

    text: str
    citations: tuple[Citation, ...]
    unsupported: tuple[Unsupported, ...]
    """In characters of this piece."""


class Citer:
    """Turns claims into text with [1], [2] … and the citations behind the numbers.

    embeddings: to see whether a passage supports a sentence that does not quote it.
    read: source id to stored text, against which each quote is checked.
    """

    def __init__(self, embeddings: TokenEmbeddings, read: Callable[[str], str]) -> None:
        self._embeddings = embeddings
        self._read = read

    def cite(
        self, claims: Iterable[Claim | Waiting], passages: Sequence[Passage], language: str | None
    ) -> Iterator[Piece | Waiting]:
        """Yield the text of each sentence with its numbers, and the citations that are new with it.

        A sentence is supported by the passages that it names, or if none of these does it, by another; the numbers are
        those of passages that do. One without support is marked so. What comes before the first supported sentence is
        held back: where none comes, nothing is yielded but Waiting.

        language: of the answer, ISO 639-1.
        """
        check = SupportCheck(self._embeddings)
        cited: list[Citation] = []
        held = Piece("", (), ())
        for claim in claims:
            if isinstance(claim, Waiting):
                yield claim
                continue
            for sentence in said(claim.text, language):
                held = self._with(held, sentence, claim, passages, language, check, cited)
                if cited:
                    yield held
                    held = Piece(" ", (), ())
                else:
                    yield Waiting()

    def _with(  # noqa: PLR0913, PLR0917 - what a sentence is cited with
        self,
        held: Piece,
        sentence: str,
        claim: Claim,
        passages: Sequence[Passage],
        language: str | None,
        check: SupportCheck,
        cited: list[Citation],
    ) -> Piece:
        """Add a sentence to a piece, and its new citations to those there are."""
        shown = OWN_MARK.sub("", prose(sentence, lambda address: any(address in p.text for p in passages))).strip()
        if not shown:
            return held
        new: list[Citation] = []
        numbers = []
        doubt: Doubt = "uncited"
        for support in _supports(YES_OR_NO.sub("", sentence), claim, passages, language, check):
            doubt = support.doubt or doubt
            citation = None if support.doubt else self._verified(support, claim, len(cited) + len(new) + 1, passages)
            if citation is None:
                continue
            known = next((c for c in cited + new if _same_quote(c, citation)), None)
            if known is None:
                new.append(citation)
            numbers.append((known or citation).number)
        cited += new
        if numbers:
            marks = "".join(f"[{number}]" for number in dict.fromkeys(numbers))
            return Piece(join(held.text, join(shown, marks)), (*held.citations, *new), held.unsupported)
        marked = join(shown, f"({not_found(language)})")
        text = join(held.text, marked)
        unsupported = Unsupported(len(text) - len(marked), len(text), doubt)
        return Piece(text, held.citations, (*held.unsupported, unsupported))

    def _verified(self, support: Support, claim: Claim, number: int, passages: Sequence[Passage]) -> Citation | None:
        passage = support.passage
        start, end = passage.start + support.start, passage.start + support.end
        quote = passage.text[support.start : support.end]
        if not quote or self._stored(passage.source)[start:end] != quote:
            return None
        answer = _pointed(claim, quote)
        answer = answer and (start + answer[0], start + answer[1])
        return Citation(number, passage, quote, start, end, self._also_in(quote, passage, passages), answer)

    def _also_in(self, quote: str, cited: Passage, passages: Sequence[Passage]) -> tuple[File, ...]:
        """Give the other files, of those that the passages name, in which the words of the quote stand."""
        files = dict.fromkeys(file for passage in (cited, *passages) for file in passage.files())
        del files[cited.files()[0]]
        sources = {file.source for file in files}
        holding = {source for source in sources if stands_in(quote, self._stored(source))}
        return tuple(file for file in files if file.source in holding)

    def _stored(self, source: str) -> str:
        """Give the text of a document, empty when it is gone since it was searched."""
        try:
            return self._read(source)
        except SourceNotFound:
            return ""


def said(text: str, language: str | None) -> Iterator[str]:
    """Cut a claim into statements."""
    for spans in statements(text, language):
        yield reduce(join, (text[start:end] for start, end in spans))


def join(left: str, right: str) -> str:
    """Join two pieces of prose with one space, or with none where one is empty."""
    return f"{left.rstrip()} {right}" if left.strip() and right else left + right


def _supports(
    sentence: str, claim: Claim, passages: Sequence[Passage], language: str | None, check: SupportCheck
) -> list[Support]:
    """Give what the named passages have for a sentence; if none of them supports it, what another has."""
    named = [passages[n - 1] for n in dict.fromkeys(claim.passages) if 1 <= n <= len(passages)]
    found = [support for passage in named if (support := check.check(sentence, language, passage))]
    if any(support.doubt is None for support in found):
        return [support for support in found if support.doubt is None]
    other = check.best(sentence, language, [passage for passage in passages if passage not in named])
    return [other] if other and (other.doubt is None or not found) else found[:1]


def _pointed(claim: Claim, quote: str) -> tuple[int, int] | None:
    """Give where in a quote the words are that the claim points at; None where they are not in it."""
    at = claim.text.find(quote)
    if claim.answer is None or at < 0:
        return None
    start, end = claim.answer[0] - at, claim.answer[1] - at
    return (start, end) if start >= 0 and end <= len(quote) else None


def _same_quote(one: Citation, other: Citation) -> bool:
    """Say whether two quotes have the same words: those of two papers that print one story are cited once."""
    return words(one.quote) == words(other.quote)
