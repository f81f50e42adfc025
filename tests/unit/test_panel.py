import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.web.panel import pieces

TEXT = "Avant. Passage avec citation dedans. Après."
PLACES = st.tuples(st.integers(0, 60), st.integers(0, 60))


def test_the_passage_and_the_quote_in_it_are_pieces_of_their_own() -> None:
    assert pieces(TEXT, (7, 36), (20, 28)) == [
        ("", "Avant. "),
        ("passage", "Passage avec "),
        ("quote", "citation"),
        ("passage", " dedans."),
        ("", " Après."),
    ]


@pytest.mark.parametrize("passage", [(0, 0), (9, 9)])
def test_a_quote_without_a_passage_is_marked_alone(passage: tuple[int, int]) -> None:
    assert [kind for kind, _ in pieces(TEXT, passage, (20, 28))] == ["", "quote", ""]


@given(st.text(max_size=50), PLACES, PLACES)
def test_whatever_is_asked_for_the_pieces_are_the_text(
    text: str, passage: tuple[int, int], quote: tuple[int, int]
) -> None:
    assert "".join(piece for _, piece in pieces(text, passage, quote)) == text
