"""Whatever stands in documents, and whatever a language model writes of them: the answer is true and does nothing.

`python -m tests.fuzz` runs these properties for as long as one likes, led by what the code does with each input.
"""

import re
import unicodedata
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from assistant import Answer, Claim, Waiting
from assistant.cite import Citer
from assistant.facts import denied, facts, opposed, other_numbers, unfounded_names, unfounded_numbers
from assistant.generate import claims
from assistant.prompts import CANNOT_ANSWER, NOT_FOUND
from assistant.prose import JOINERS, prose
from assistant.web.markup import answer_markup
from assistant.web.texts import FRENCH
from tests.fakes import HashingEmbeddings, passage

UNSEEN = {"Cc", "Cf", "Co", "Cs"}
"""Categories of Unicode."""
REFUSAL = CANNOT_ANSWER["fr"]
PIECES = st.sampled_from(
    [
        *("[1]", "[2]", " [3]", "[1", "2]", "[", "]", "[]", "[12345]", "[٣]", "(", ")", "!", "![", "](", "]:"),
        *("<", ">", "</", "<b>", "<img src=x onerror=alert(1)>", "<!--", "-->", "<?", "<![CDATA[", "&lt;", "&#60;"),
        *("**", "__", "`", "```", "# ", "> ", "\\", "|", "~", "$", "\n", "\r", "\n\n", " ", "\u2028", "\t"),
        *("https://evil.example/", "javascript:", "data:", "www.", "://", "mailto:a@b.c", "//", "http"),
        *("\x00", "\x1b[2J", "\u202e", "\u200b", "\u200d", "\U000e0041", "\ufeff", "\ud800", "é", "e\u0301"),
        *("Oui. ", "Non, ", "Le pain coûte un euro. ", "Il ne pleut pas. ", "M. Dupont ", "le 4 novembre 2025 "),
        *("« ", " »", "“", "”", ".", "...", "1 234,5", "2025-11-04", "XIVe ", "cent ", "million ", "9" * 400),
        REFUSAL,
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join)
LANGUAGES = st.sampled_from(["fr", "en", "de", "ja", None])


def said(pieces: list[str]) -> list[Claim]:
    return [one for one in claims(pieces, REFUSAL) if not isinstance(one, Waiting)]


@given(TEXTS, st.lists(st.integers(0, 60), max_size=6))
@example("Un [1][2] deux", [6])
@example("Un [1] [22] deux [333].", [9, 10, 11, 22])
@example("Un [" + "1" * 5_000 + "]", [])
def test_the_claims_are_the_same_however_the_text_arrives(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]

    assert said([text[start:end] for start, end in pairwise(places)]) == said([text])


@given(TEXTS)
@example("<**img src=x onerror=alert(1)>")
@example("[a]`(javascript:alert(1))")
@example("[[a](b)](javascript:alert(1))")
@example("!`[a](https://evil.example/beacon)")
@example("java__script:alert(1) ht`tps://evil.example")
@example("<`!--")
@example("9https://evil.example")
@example("<?<")
@example("~~~")
@example("texte\n  ~~~ python")
def test_what_is_said_is_no_markup_for_a_face_that_renders_it(text: str) -> None:
    said = prose(text, lambda _: False)

    tokens = [inner.type for token in MarkdownIt().parse(said) for inner in [token, *(token.children or [])]]
    assert not {"image", "link_open", "html_inline", "html_block", "fence", "strong_open"} & set(tokens)
    assert not re.search(r"https?://\S|\bjavascript:\S", said)
    assert not UNSEEN & {unicodedata.category(sign) for sign in said if sign not in JOINERS}
    assert prose(said, lambda _: False) == said


@given(TEXTS, TEXTS, LANGUAGES, LANGUAGES)
@example("9" * 400, "9" * 400, "fr", "fr")
@example("le " + "9" * 5_000 + " mai", "le 4 mai", "fr", "fr")
@example("cent " * 160 + "personnes", "Un million.", "fr", "fr")
@example("Le pain coûte " + "9" * 400 + " millions.", "Le pain coûte 12,5 euros.", "fr", "en")
def test_facts_of_any_text_can_be_compared(one: str, other: str, language: str | None, another: str | None) -> None:
    said, there = facts(one, language), facts(other, another)

    unfounded_numbers(said, there), other_numbers(said, there), opposed(said, there)
    unfounded_names(said, there, set())
    denied(one, language, other, another)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS, LANGUAGES)
@example(["Le pain coûte un euro. Il pleut."], "Le pain coûte un euro. [1] Il neige. [1] <b>Non</b> [2]", "fr")
@example(["Le pain coûte " + "9" * 400 + " euros."], "Le pain coûte 400 euros. [1]", "fr")
def test_each_citation_stands_in_its_document_and_what_is_not_supported_is_marked(
    documents: list[str], written: str, language: str | None
) -> None:
    stored = {str(place): f"Avant. {text}" for place, text in enumerate(documents)}
    passages = [passage(text[7:], 7, id, title=text[:90], language="fr", section=text) for id, text in stored.items()]

    given = Citer(HashingEmbeddings(32), stored.__getitem__).cite(claims([written], REFUSAL), passages, language)
    pieces = [piece for piece in given if not isinstance(piece, Waiting)]

    text = "".join(piece.text for piece in pieces)
    citations = tuple(citation for piece in pieces for citation in piece.citations)
    assert [citation.number for citation in citations] == list(range(1, len(citations) + 1))
    for citation in citations:
        assert citation.quote
        assert stored[citation.passage.source][citation.start : citation.end] == citation.quote
    assert {int(number) for number in re.findall(r"\[(\d+)\]", text)} == {citation.number for citation in citations}
    for piece in pieces:
        for one in piece.unsupported:
            assert piece.text[one.start : one.end].endswith(f"({NOT_FOUND.get(language or '', NOT_FOUND['en'])})")
    page = Tags()
    page.feed(answer_markup(Answer(written, written, text, citations, tuple(passages)), FRENCH))
    assert page.seen <= {"a", "button", "details", "div", "h2", "p", "span", "strong", "summary"}
    assert page.attributes <= {"class", "dir", "href", "open", "title", "type"}
    assert all(re.fullmatch(r"#source\?id=\d+(&(passage|quote)=\d+-\d+)+", link) for link in page.links)


@pytest.mark.parametrize("text", ["Un euro [1] .", "a" * 6_000, "[" * 6_000, " " * 6_000])
def test_a_long_run_of_anything_is_read(text: str) -> None:
    assert len(said([text])) <= 2
