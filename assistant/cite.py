"""Finds and verifies quotes: what is not in a stored document, character for character, is never shown."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

from assistant.types import Citation, Claim
from index import File, Passage, SourceNotFound
from index.copies import stands_in, words
from index.sentences import sentences

OWN_MARK = re.compile(r"\s*\[\d+\]")
"""Footnote marks of a document. In an answer [n] is ours; the quote keeps the document's own."""


class Citer:
    """Turns claims into text with [1], [2] … and the citations behind the numbers.

    embeddings: to find the sentence of a passage that is nearest to a claim which does not quote it.
    read: source id to stored text, against which each quote is checked.
    """

    def __init__(self, embeddings: Embeddings, read: Callable[[str], str]) -> None:
        self._embeddings = embeddings
        self._read = read

    def cite(self, claims: Iterable[Claim], passages: Sequence[Passage]) -> Iterator[tuple[str, list[Citation]]]:
        """Yield the text of each claim with its numbers, and the citations that are new with it.

        Claims before the first verified citation are held back: where none comes, nothing is yielded.
        """
        cited: list[Citation] = []
        held = ""
        for claim in claims:
            numbers = []
            new: list[Citation] = []
            for passage in self._cited_passages(claim, passages):
                citation = self._verified(claim.text, passage, len(cited) + len(new) + 1, passages)
                if citation is None:
                    continue
                known = next((c for c in cited + new if _same_quote(c, citation)), None)
                if known is None:
                    new.append(citation)
                numbers.append((known or citation).number)
            cited += new
            marks = "".join(f"[{number}]" for number in dict.fromkeys(numbers))
            held = join(held, join(OWN_MARK.sub("", claim.text).strip(), marks))
            if cited:
                yield held, new
                held = " "

    def _cited_passages(self, claim: Claim, passages: Sequence[Passage]) -> list[Passage]:
        return [passages[n - 1] for n in dict.fromkeys(claim.passages) if 1 <= n <= len(passages)]

    def _verified(self, statement: str, passage: Passage, number: int, passages: Sequence[Passage]) -> Citation | None:
        span = self._quote_span(statement.strip(), passage)
        if span is None:
            return None
        start, end = passage.start + span[0], passage.start + span[1]
        quote = passage.text[span[0] : span[1]]
        if not quote or self._stored(passage.source)[start:end] != quote:
            return None
        return Citation(number, passage, quote, start, end, self._also_in(quote, passage, passages))

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

    def _quote_span(self, statement: str, passage: Passage) -> tuple[int, int] | None:
        """Find the statement itself in the passage, else the sentence nearest in meaning; in characters."""
        at = passage.text.find(statement)
        if statement and at >= 0:
            return at, at + len(statement)
        spans = sentences(passage.text, passage.language)
        if not spans:
            return None
        vectors = np.array(self._embeddings.embed_documents([passage.text[a:b] for a, b in spans]))
        return spans[int(np.argmax(vectors @ np.array(self._embeddings.embed_query(statement))))]


def join(left: str, right: str) -> str:
    """Join two pieces of prose with one space, or with none where one is empty."""
    return f"{left.rstrip()} {right}" if left.strip() and right else left + right


def _same_quote(one: Citation, other: Citation) -> bool:
    """Say whether two quotes have the same words: those of two papers that print one story are cited once."""
    return words(one.quote) == words(other.quote)
