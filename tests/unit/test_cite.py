from dataclasses import replace

import pytest

from assistant import Claim, Waiting
from assistant.cite import Citer
from index import File, SourceNotFound
from tests.fakes import HashingEmbeddings, passage

TEXT = "Le train part à huit heures. Il pleut [3] sur la ville. Le pain coûte un euro."
FIRST, SECOND = passage(TEXT[:52]), passage(TEXT[29:], start=29)


def cite(*claims, passages=(FIRST, SECOND), stored=TEXT):
    pieces = cited_pieces(claims, passages, {"source": stored}.__getitem__)
    return "".join(piece.text for piece in pieces), [citation for piece in pieces for citation in piece.citations]


def cited_pieces(claims, passages, stored):
    given = Citer(HashingEmbeddings(), stored).cite(claims, list(passages), "fr")
    return [piece for piece in given if not isinstance(piece, Waiting)]


def test_a_verbatim_statement_is_its_own_quote_at_its_place_in_the_document():
    text, [citation] = cite(Claim("Le pain coûte un euro.", (2,)))

    assert text == "Le pain coûte un euro. [1]"
    assert TEXT[citation.start : citation.end] == citation.quote == "Le pain coûte un euro."


@pytest.mark.parametrize(
    ("section", "page", "label"),
    [
        (None, None, "Rapport annuel"),
        (None, 3, "Rapport annuel, page 3"),
        ("Chapitre 2", 3, "Rapport annuel › Chapitre 2, page 3"),
        ("Chapitre 2 › Bilan", None, "Rapport annuel › Chapitre 2 › Bilan"),
    ],
)
def test_a_citation_names_title_section_and_page(section, page, label):
    where = passage(TEXT, title="Rapport annuel", section=section, page=page)
    _, [citation] = cite(Claim("Le pain coûte un euro.", (1,)), passages=[where])

    assert citation.label == label


def test_a_paraphrase_gets_the_nearest_sentence_of_its_passage():
    _, [citation] = cite(Claim("Un euro : le pain coûte cela.", (2,)))

    assert citation.quote == "Le pain coûte un euro."


def test_a_marker_whose_passage_says_something_else_is_moved_to_one_that_supports_it():
    other = passage("Le train part à huit heures.")

    _, [citation] = cite(Claim("Le pain coûte un euro.", (1,)), passages=[other, SECOND])

    assert citation.passage == SECOND


def marked(*claims, passages=(FIRST, SECOND)):
    pieces = cited_pieces(claims, passages, {"source": TEXT}.__getitem__)
    return [(piece.text[one.start : one.end], one.doubt) for piece in pieces for one in piece.unsupported], "".join(
        piece.text for piece in pieces
    )


@pytest.mark.parametrize(
    ("sentence", "doubt"),
    [
        ("Le pain coûte deux euros.", "number"),
        ("Le pain de Miami coûte un euro.", "name"),
        ("Le pain ne coûte pas un euro.", "negation"),
        ("Les boulangers protestent depuis longtemps.", "meaning"),
    ],
)
@pytest.mark.parametrize("numbers", [(), (2,), (1, 2), (9,)])
def test_a_sentence_that_no_passage_supports_is_marked_whatever_it_cites(sentence, doubt, numbers):
    found, text = marked(Claim("Il pleut sur la ville.", (2,)), Claim(sentence, numbers))

    assert found == [(f"{sentence} (introuvable dans les documents)", doubt)]
    assert text == f"Il pleut sur la ville. [1] {sentence} (introuvable dans les documents)"


def test_each_sentence_of_a_claim_is_checked_by_itself():
    found, text = marked(Claim("Le pain coûte un euro. Le vin coûte dix euros. Oui. Il pleut sur la ville.", (2,)))

    assert [sentence for sentence, _ in found] == ["Le vin coûte dix euros. (introuvable dans les documents)"]
    assert text.endswith("Oui. Il pleut sur la ville. [2]")


def test_what_is_held_back_keeps_its_marks_at_their_place():
    found, text = marked(Claim("Le vin coûte dix euros.", ()), Claim("Le pain coûte un euro.", (2,)))

    assert found[0][0] == "Le vin coûte dix euros. (introuvable dans les documents)"
    assert text.startswith(found[0][0])


def test_a_marker_without_a_passage_is_dropped():
    text, citations = cite(Claim("Le pain coûte un euro.", (7, 2, 0)))

    assert text == "Le pain coûte un euro. [1]"
    assert len(citations) == 1


def test_a_quote_that_is_not_in_the_stored_text_is_never_shown():
    text, citations = cite(Claim("Le pain coûte un euro.", (2,)), stored=TEXT.replace("pain", "vin "))

    assert (text, citations) == ("", [])


def test_nothing_is_said_before_something_is_verified():
    claims = [Claim("Je crois.", ()), Claim("Le pain coûte un euro.", (2,))]
    given = list(Citer(HashingEmbeddings(), {"source": TEXT}.__getitem__).cite(claims, [FIRST, SECOND], "fr"))

    assert given[0] == Waiting()
    assert [piece.text for piece in given[1:]] == [
        "Je crois. (introuvable dans les documents) Le pain coûte un euro. [1]"
    ]


def test_claims_without_any_citation_say_nothing():
    assert cite(Claim("Je crois.", ()), Claim("J'en suis sûr.", (9,))) == ("", [])


def test_the_same_quote_from_two_passages_has_one_number():
    text, citations = cite(Claim("Il pleut [3] sur la ville.", (2,)), Claim("Il pleut [3] sur la ville.", (2,)))

    assert text.count("[1]") == 2
    assert len(citations) == 1


def test_footnote_marks_of_the_document_are_not_taken_for_citations():
    text, [citation] = cite(Claim("Il pleut [3] sur la ville.", (2,)))

    assert text == "Il pleut sur la ville. [1]"
    assert citation.quote == "Il pleut [3] sur la ville."


def test_the_pieces_of_several_claims_are_separated_by_one_space():
    text, citations = cite(Claim("Le train part à huit heures.", (1,)), Claim("Le pain coûte un euro.", (2,)))

    assert text == "Le train part à huit heures. [1] Le pain coûte un euro. [2]"
    assert [citation.number for citation in citations] == [1, 2]


STORED = {
    "a": "Le pain coûte un euro, « dit-on ». Il pleut.",
    "b": "Titre\n\nLe pain coûte\nun euro, “dit-on”.",
    "c": "Le pain coûte deux euros, « dit-on ». Il pleut.",
}
QUOTE = "Le pain coûte un euro, « dit-on »."


def read(source):
    if source not in STORED:
        raise SourceNotFound(source)
    return STORED[source]


def paper(source, *also_in):
    files = tuple(File(other, "Titre", f"{other}.txt") for other in also_in)
    return replace(passage(STORED.get(source, QUOTE), source=source), file=f"{source}.txt", also_in=files)


def cited(claims, passages):
    return [citation for piece in cited_pieces(claims, passages, read) for citation in piece.citations]


def test_other_files_are_named_where_the_words_of_the_quote_stand_in_them():
    [citation] = cited([Claim(QUOTE, (1,))], [paper("a", "b", "c", "gone"), paper("c")])

    assert citation.quote == QUOTE
    assert [file.name for file in citation.also_in] == ["b.txt"]


def test_passages_that_were_not_folded_are_named_all_the_same():
    [citation] = cited([Claim("Il pleut.", (1,))], [paper("a"), paper("b"), paper("c")])

    assert [file.name for file in citation.also_in] == ["c.txt"]


def test_a_statement_from_two_papers_is_cited_once():
    citations = cited([Claim(QUOTE, (1,)), Claim("Le pain coûte\nun euro, “dit-on”.", (2,))], [paper("a"), paper("b")])

    assert [(citation.passage.source, len(citation.also_in)) for citation in citations] == [("a", 1)]


def test_a_document_that_is_gone_meanwhile_is_not_cited():
    assert cited([Claim(QUOTE, (1,))], [paper("gone")]) == []


def test_the_words_that_a_claim_points_at_are_found_in_the_document():
    _, [citation] = cite(Claim("Le pain coûte un euro.", (2,), (14, 21)))

    assert TEXT[slice(*citation.answer)] == citation.words == "un euro"


def test_words_are_not_pointed_at_in_a_quote_that_says_it_otherwise():
    _, [citation] = cite(Claim("Le pain coûte un euro", (2,), (14, 21)))

    assert citation.quote == "Le pain coûte un euro."
    assert citation.answer is None
    assert citation.words is None


def test_the_words_that_answer_are_found_in_a_quote_that_is_part_of_the_claim():
    stored = "Oui. Le pain coûte un euro."

    text, [citation] = cite(Claim(stored, (1,), (19, 26)), passages=[passage(stored)], stored=stored)

    assert text == "Oui. Le pain coûte un euro. [1]"
    assert citation.quote == "Le pain coûte un euro."
    assert stored[slice(*citation.answer)] == citation.words == "un euro"


def test_a_yes_that_is_pointed_at_is_not_in_the_quote_and_so_not_pointed_at():
    stored = "Oui. Le pain coûte un euro."

    _, [citation] = cite(Claim(stored, (1,), (0, 3)), passages=[passage(stored)], stored=stored)

    assert citation.answer is None
