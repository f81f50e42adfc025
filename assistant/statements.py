"""text → statements: its sentences, where one that says nothing by itself, "Oui.", goes with the next."""

import re
from collections.abc import Iterator

from index.sentences import Span, sentences
from index.terms import content_terms

YES_OR_NO = re.compile(
    r"^(?:oui|non|si|yes|no|ja|nein|sí|da|nu|sim|não|tak|nie|nee|да|нет|ні|так)[\s.,:;!]+", re.IGNORECASE
)
"""At the beginning of a sentence, it says nothing by itself."""


def statements(text: str, language: str | None) -> Iterator[list[Span]]:
    """Give the sentences of each statement, one or more, as spans of characters. language: ISO 639-1."""
    held: list[Span] = []
    for span in sentences(text, language):
        held.append(span)
        words = " ".join(text[start:end] for start, end in held)
        if content_terms(YES_OR_NO.sub("", f"{words} "), language):
            yield held
            held = []
    if held:
        yield held


def statement_spans(text: str, language: str | None) -> list[Span]:
    """Give each statement whole, with what stands between its sentences."""
    return [(spans[0][0], spans[-1][1]) for spans in statements(text, language)]
