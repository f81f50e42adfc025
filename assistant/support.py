"""Does a passage support a sentence? Checked by code, without a language model.

The sentence is laid beside one to three sentences of the passage, wherever they fit best. Then four questions are asked
that a likeness of words or vectors does not answer: does each number, date and name of it stand there; does one of both
deny what the other says; does one say the contrary (rises, falls); is each of its words near something there?
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.facts import Facts, denied, facts, fold, opposed, other_numbers, unfounded_names, unfounded_numbers
from assistant.types import Doubt
from index import Passage, TokenVectors
from index.sentences import sentences
from index.terms import content_terms

WORD_OR_NUMBER = re.compile(r"\w+")
WINDOW_SENTENCES = 3
"""How many neighbouring sentences of a passage may support one sentence together."""
WEAKEST = 0.3
"""The share of a sentence's words, those with the least support, that decide whether it says something else."""
SUPPORTED_FROM = 0.80
ACROSS_FROM = 0.77
"""The mean cosine of the weakest words from which a passage supports a sentence: in its language, and across languages.
Chosen on one half of tests/evaluation/support_pairs.jsonl, see docs/quality.md."""
KNOWN_ACROSS = 0.9
"""The cosine from which a name counts as the same in another language: Écosse, Scotland."""


class TokenEmbeddings(Protocol):
    """What the check asks of an embedding model."""

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Embed each token of texts."""


@dataclass(frozen=True, slots=True)
class Support:
    """What a passage has for a sentence."""

    passage: Passage
    start: int
    """Of the quote, in characters of the passage's text."""
    end: int
    score: float
    """Mean cosine of the words with the least support, 1 for a quote."""
    doubt: Doubt | None
    """Why the passage does not support the sentence; None where it does."""


class SupportCheck:
    """Looks for what passages have for a sentence."""

    def __init__(self, embeddings: TokenEmbeddings) -> None:
        self._embeddings = _Remembering(embeddings)

    def best(self, sentence: str, language: str | None, passages: Sequence[Passage]) -> Support | None:
        """Give the first passage's support that is without doubt, else the nearest miss; None without any passage.

        language: of the sentence, ISO 639-1.
        """
        supports = []
        for passage in passages:
            support = self.check(sentence, language, passage)
            if support and support.doubt is None:
                return support
            supports += [support] if support else []
        return max(supports, key=lambda support: support.score, default=None)

    def check(self, sentence: str, language: str | None, passage: Passage) -> Support | None:
        """Give what one passage has for a sentence; None where one of them is blank."""
        spans = sentences(passage.text, passage.language)
        if not sentence.strip() or not spans:
            return None
        at = passage.text.find(sentence)
        # A part of a sentence is no quote: "not" may stand before it.
        if {at, at + len(sentence)} <= {place for span in spans for place in span}:
            return Support(passage, at, at + len(sentence), 1.0, None)
        laid = _Laid(sentence, language, passage, spans, self._embeddings)
        return min(laid.windows(), key=lambda one: (one.doubt is not None, one.end - one.start))


class _Remembering:
    """Embeds a text once: the sentences of an answer are laid beside the same passages, one after the other."""

    def __init__(self, embeddings: TokenEmbeddings) -> None:
        self._embeddings = embeddings
        self._known: dict[str, TokenVectors] = {}

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Embed each token of texts."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._embeddings.embed_document_tokens(new), strict=True))
        return [self._known[text] for text in texts]


class _Laid:
    """A sentence laid beside a passage."""

    def __init__(
        self,
        sentence: str,
        language: str | None,
        passage: Passage,
        spans: Sequence[tuple[int, int]],
        embeddings: TokenEmbeddings,
    ) -> None:
        self.sentence, self.language = sentence, language
        self.passage, self.spans = passage, spans
        self.across = language != passage.language
        said, *there, title = embeddings.embed_document_tokens(
            [sentence, *(passage.text[start:end] for start, end in spans), passage.place]
        )
        self.words = _words(sentence, said)
        self.cosines = np.stack(
            [_nearest(said, tokens)[[token for token, _ in self.words]] for tokens in [*there, title]]
        )
        self.facts = facts(sentence, language)
        self.known = self._facts_of(0, len(passage.text))

    def windows(self) -> Iterator[Support]:
        """Judge each run of neighbouring sentences around the one that fits best."""
        core = int(np.argmax([_weakest(self._cosines(place, place)) for place in range(len(self.spans))]))
        about_core = self._facts_of(*self.spans[core])
        for first in range(max(core - WINDOW_SENTENCES + 1, 0), core + 1):
            for last in range(core, min(first + WINDOW_SENTENCES, len(self.spans))):
                yield self._judged(first, last, core, about_core)

    def _judged(self, first: int, last: int, core: int, about_core: Facts) -> Support:
        start, end = self.spans[first][0], self.spans[last][1]
        cosines = self._cosines(first, last)
        score = _weakest(cosines)
        # Numbers may stand in a sentence beside, but not where this one has others; what denies is in this one.
        if unfounded_numbers(self.facts, self._facts_of(start, end)) or other_numbers(self.facts, about_core):
            doubt: Doubt | None = "number"
        elif unfounded_names(self.facts, self.known, self._same_across(cosines)):
            doubt = "name"
        elif denied(self.sentence, self.language, self._text(*self.spans[core]), self.passage.language):
            doubt = "negation"
        elif opposed(self.facts, about_core):
            doubt = "direction"
        else:
            doubt = "meaning" if score < (ACROSS_FROM if self.across else SUPPORTED_FROM) else None
        return Support(self.passage, start, end, score, doubt)

    def _cosines(self, first: int, last: int) -> NDArray[np.float64]:
        """Give each word's cosine with what is nearest to it in some sentences; the title is known to each of them."""
        nearest: NDArray[np.float64] = self.cosines[[*range(first, last + 1), -1]].max(0)
        return nearest

    def _text(self, start: int, end: int) -> str:
        return self.passage.text[start:end]

    def _facts_of(self, start: int, end: int) -> Facts:
        return facts(f"{self.passage.place}. {self.passage.day or ''}. {self._text(start, end)}", self.passage.language)

    def _same_across(self, cosines: NDArray[np.float64]) -> set[str]:
        """Give the words of the sentence that stand in the passage in another language."""
        if not self.across:
            return set()
        return {word for (_, word), cosine in zip(self.words, cosines, strict=True) if cosine >= KNOWN_ACROSS}


def _words(sentence: str, tokens: TokenVectors) -> list[tuple[int, str]]:
    """Give the tokens that belong to words with a meaning, each with its word, folded."""
    found = []
    for word in WORD_OR_NUMBER.finditer(sentence):
        if content_terms(word.group(), None):
            found += [
                (token, fold(word.group()))
                for token, (start, end) in enumerate(tokens.spans)
                if start < word.end() and end > word.start()
            ]
    return found


def _nearest(said: TokenVectors, there: TokenVectors) -> NDArray[np.float64]:
    """Return the cosine of each token with the nearest one of another text, shape (n_tokens,)."""
    if not len(there.vectors):
        return np.full(len(said.vectors), -1.0)
    return np.asarray((said.vectors @ there.vectors.T).max(1), np.float64)


def _weakest(cosines: NDArray[np.float64]) -> float:
    """Return the mean of the lowest ones; 0 where there is no word to judge by."""
    if not len(cosines):
        return 0.0
    lowest = np.sort(cosines)[: max(1, round(WEAKEST * len(cosines)))]
    return float(lowest.mean())
