"""Document → chunks of whole sentences, sized in the embedder's tokens, each with its place in the text."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

from langchain_core.documents import Document
from langchain_text_splitters import TextSplitter

from index.sentences import Span, sentences, whole_characters

TokenSpans = Callable[[str], list[Span]]
"""text → spans of its tokens in characters, in order, without special tokens."""

SPLITTER = "sentences/1"
"""Raised when the same text is cut in another way: an index belongs to the splitter that it was made with."""
HEADED = "headed/1"
"""Raised when a chunk is searched by another text, see `searched_text`: an index belongs to it as well."""
HEADING_CHARACTERS = 200
"""How much of a title and of the headings goes in front of a chunk: 50 to 70 tokens at the most."""
TOKEN_CHARACTERS = 64
"""A longer token counts as several: some vocabularies take a line of unknown signs for one token."""
FULL = 0.6
"""From this share of its tokens on, a chunk may end early so that the next begins at a paragraph."""
TAIL = 0.25
"""A last chunk below this share takes sentences from the one before."""

CLAUSE_MARK = re.compile(r"[,;:)\]»”…–—](?=\s)|[，、；：。！？]")
WHITE_SPACE = re.compile(r"(?=\s)")
LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class SentenceSplitter(TextSplitter):
    """Packs whole sentences into chunks of at most `chunk_tokens`, overlapping by at most `overlap_tokens`.

    A chunk prefers to begin at a paragraph, and then repeats nothing; else it repeats the last sentences of
    the chunk before. Only a sentence longer than a chunk is cut: after a clause mark, else at white space,
    else between tokens. Every chunk, counted alone, keeps to the limit, unless one character has more
    tokens than that.
    """

    def __init__(self, token_spans: TokenSpans, chunk_tokens: int, overlap_tokens: int) -> None:
        """Take the embedder's tokens and the two limits; raises ValueError where they contradict."""
        super().__init__(
            chunk_size=chunk_tokens,
            chunk_overlap=overlap_tokens,
            length_function=lambda text: len(_counted(token_spans(text))),
            add_start_index=True,
        )
        self._token_spans = token_spans

    def split_text(self, text: str) -> list[str]:
        """Cut a text of unknown language into chunks."""
        return [text[start:end] for start, end in self.split_spans(text, None)]

    def split_spans(self, text: str, language: str | None) -> list[Span]:
        """Cut a text into chunks, given as spans in characters, in order; only white space is in none.

        language: ISO 639-1, for the sentences.
        """
        units = self._units(text, language)
        spans: list[Span] = []
        first = end = 0
        while end < len(units):
            first, end = self._next(units, first, end)
            spans.append(units.span(first, end))
        return spans

    def create_documents(self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None) -> list[Document]:
        """Cut texts into Documents; `start_index` in their metadata says where, in characters.

        Sentences are those of the language in metadata["language"], where it is given.
        """
        return [
            Document(page_content=text[start:end], metadata={**metadata, "start_index": start})
            for text, metadata in zip(texts, metadatas or [{}] * len(texts), strict=True)
            for start, end in self.split_spans(text, metadata.get("language"))
        ]

    def _units(self, text: str, language: str | None) -> "_Units":
        """Give the sentences, and in place of one that is longer than a chunk, its parts."""
        spans: list[Span] = []
        tokens: list[int] = []
        for start, end in sentences(text, language):
            sentence = text[start:end]
            found = _counted(self._token_spans(sentence))
            if len(found) <= self._chunk_size:
                spans.append((start, end))
                tokens.append(len(found))
                continue
            for first, last in self._parts(sentence, found):
                spans.append((start + first, start + last))
                tokens.append(self._length_function(sentence[first:last]))
        return _Units.of(text, spans, tokens)

    def _parts(self, sentence: str, tokens: list[Span]) -> Iterator[Span]:
        ends = list(accumulate((end for _, end in tokens), max))
        start = 0
        while start < len(sentence):
            end = self._part_end(sentence, ends, start)
            part = sentence[start:end].strip()
            if part:
                first = sentence.index(part, start)
                yield first, first + len(part)
            start = end

    def _part_end(self, sentence: str, ends: list[int], start: int) -> int:
        """Say how far the tokens of a chunk reach from `start`. ends: of all tokens, ascending."""
        last = bisect_right(ends, start) + self._chunk_size - 1
        end = ends[last] if last < len(ends) - 1 else len(sentence)
        while True:
            cut = _best_cut(sentence, start, end)
            count = self._length_function(sentence[start:cut].strip())
            if count <= self._chunk_size or cut <= start + 1:
                return cut
            # Away from its neighbours a text can have more tokens than it had among them.
            shorter = start + (cut - start) * self._chunk_size // count
            token_end = ends[bisect_right(ends, shorter) - 1]
            end = token_end if start < token_end <= shorter else max(shorter, start + 1)

    def _next(self, units: "_Units", first: int, end: int) -> Span:
        """Give the units of the chunk that follows the one of units [first, end)."""
        start = self._overlap(units, first, end)
        return start, self._end(units, start, end)

    def _overlap(self, units: "_Units", first: int, end: int) -> int:
        """Say at which unit the next chunk begins: at `end`, or at sentences before it to repeat."""
        start = end
        while (
            start - 1 > first
            and not units.begins_paragraph[start]
            and units.tokens(start - 1, end) <= self._chunk_overlap
        ):
            start -= 1
        while start < end and (
            self._count(units, start, end) > self._chunk_overlap
            or self._count(units, start, end + 1) > self._chunk_size
        ):
            start += 1
        return start

    def _end(self, units: "_Units", first: int, fresh: int) -> int:
        """Say at which unit a chunk ends that begins with `first`; no chunk has `fresh` yet."""
        tokens = self._chunk_size
        end = max(units.reach(first, tokens), fresh + 1)
        while end > fresh + 1 and (count := self._count(units, first, end)) > self._chunk_size:
            # Between sentences there can be tokens too: of line breaks, for one.
            tokens = tokens * self._chunk_size // count
            end = max(min(units.reach(first, tokens), end - 1), fresh + 1)
        if end == len(units):
            return end
        full = FULL * self._chunk_size
        while end - 1 > fresh and units.tokens(end, len(units)) < TAIL * self._chunk_size:
            if units.tokens(first, end - 1) < full:
                break
            end -= 1
        for paragraph in range(end, fresh, -1):
            if units.tokens(first, paragraph) < full:
                break
            if units.begins_paragraph[paragraph]:
                return paragraph
        return end

    def _count(self, units: "_Units", first: int, end: int) -> int:
        start, stop = units.span(first, end)
        return self._length_function(units.text[start:stop])


@dataclass(frozen=True, slots=True)
class _Units:
    """What chunks are packed of: sentences, or parts of long ones."""

    text: str
    spans: list[Span]
    tokens_before: list[int]
    """Of each unit, and of the end: how many tokens all units before it have."""
    begins_paragraph: list[bool]

    @classmethod
    def of(cls, text: str, spans: list[Span], tokens: list[int]) -> Self:
        gaps = zip([0, *(end for _, end in spans)], [start for start, _ in spans], strict=False)
        breaks = [LINE_BREAK.search(text, *gap) is not None for gap in gaps]
        # A unit without tokens (control characters) takes room all the same.
        return cls(text, spans, list(accumulate((max(count, 1) for count in tokens), initial=0)), breaks)

    def __len__(self) -> int:
        return len(self.spans)

    def span(self, first: int, end: int) -> Span:
        """Give where units [first, end) stand in the text."""
        return self.spans[first][0], self.spans[end - 1][1]

    def tokens(self, first: int, end: int) -> int:
        """Add up the tokens of units [first, end), each counted alone."""
        return self.tokens_before[end] - self.tokens_before[first]

    def reach(self, first: int, tokens: int) -> int:
        """Say up to which unit, exclusive, so many tokens go."""
        return bisect_right(self.tokens_before, self.tokens_before[first] + tokens) - 1


def searched_text(title: str, section: str | None, text: str) -> str:
    """Give the text that a chunk is embedded and its terms are taken from: under its title and its headings.

    A paragraph in the middle of a document seldom says what it is about; the title does.
    """
    heading = f"{title} › {section}" if section else title
    return f"{heading[:HEADING_CHARACTERS].replace('_', ' ')}\n\n{text}"


def _counted(spans: list[Span]) -> list[Span]:
    """Take overlong tokens for several."""
    return [
        (at, min(at + TOKEN_CHARACTERS, end))
        for start, end in spans
        for at in range(start, max(end, start + 1), TOKEN_CHARACTERS)
    ]


def _best_cut(sentence: str, start: int, end: int) -> int:
    """Choose where to cut between the middle and the end of a stretch that must not be longer."""
    if end == len(sentence):
        return end
    middle = start + (end - start + 1) // 2
    for mark in (CLAUSE_MARK, WHITE_SPACE):
        cuts = [found.end() for found in mark.finditer(sentence, middle, end + 1) if found.end() <= end]
        if cuts:
            return cuts[-1]
    cut = whole_characters(sentence, end)
    return cut if cut > start else end
