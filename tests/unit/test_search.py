import numpy as np
import pytest

from index import File, Filter, IndexSettings, Passage, plan
from index.build import open_or_create, own
from index.search import DEPTHS, LEXICAL_WEIGHT, HybridRetriever, fused, standardised
from tests.fakes import HashingEmbeddings, paragraph_recipe, passage

PASSAGES = {name: passage(f"texte {name}", start=at, section="Chapitre 1") for at, name in enumerate("abc")}


def retriever(dense, lexical, k=8):
    return HybridRetriever(
        embeddings=HashingEmbeddings(),
        dense=lambda vector, depth, documents: dense[:depth],
        lexical=lambda query, depth, documents: lexical[:depth],
        chosen=lambda where: None,
        read=lambda ranking: [PASSAGES[name] for name, _ in ranking],
        k=k,
    )


def ranked(dense, lexical):
    return [name for name, _ in fused(dense, lexical)]


def test_what_has_the_words_and_the_meaning_comes_first():
    assert ranked([("a", 3.0), ("b", 2.5), ("c", 1.0)], [("b", 0.4), ("d", 0.4)]) == ["b", "d", "a", "c"]


def test_a_chance_word_does_not_outweigh_the_meaning_and_most_of_the_words_do():
    dense = [("a", 3.0), ("b", 2.0), ("c", 1.0)]

    assert ranked(dense, [("c", 0.1)])[0] == "a"
    assert ranked(dense, [("c", 0.7)])[0] == "c"


def test_a_score_is_the_sum_of_both_and_who_is_not_found_counts_as_the_last():
    found = dict(fused([("a", 3.0), ("b", 2.0)], [("a", 0.5), ("c", 0.25)]))

    assert found == {"a": 3 + LEXICAL_WEIGHT * 0.5, "b": 2, "c": 2 + LEXICAL_WEIGHT * 0.25}


def test_it_does_not_matter_in_what_range_the_cosines_of_a_model_are():
    by_chance = np.array([0.1, 0.2, 0.3, 0.2])
    narrow = standardised([("a", 0.8 + 0.9 / 10), ("b", 0.8 + 0.4 / 10)], 0.8 + by_chance / 10)

    assert dict(narrow) == pytest.approx(dict(standardised([("a", 0.9), ("b", 0.4)], by_chance)))
    assert narrow[0][1] == pytest.approx(0.7 / by_chance.std())


def test_where_all_are_alike_the_cosines_stay_finite():
    assert standardised([("a", 0.9)], np.array([0.9])) == [("a", 0)]


@pytest.mark.parametrize(
    ("dense", "lexical", "expected"),
    [
        ([], [], []),
        ([("a", 0.8)], [], ["a"]),
        ([], [("a", 0.8)], ["a"]),
        ([("b", 0.8), ("a", 0.8)], [], ["b", "a"]),
    ],
)
def test_one_ranking_alone_will_do(dense, lexical, expected):
    assert ranked(dense, lexical) == expected


def test_the_retriever_returns_k_passages_best_first():
    found = retriever([("a", 3.0), ("b", 2.0), ("c", 1.0)], [("b", 0.9), ("c", 0.1)], k=2).search("question")

    assert [passage.text for passage in found] == ["texte b", "texte a"]


def test_as_a_langchain_retriever_it_gives_documents_that_tell_where_they_stand():
    [document, *_] = retriever([("b", 1.0)], []).invoke("question")

    assert document.page_content == "texte b"
    assert document.metadata["source"] == "source"
    assert document.metadata["start"] == 1
    assert document.metadata["language"] == "fr"
    assert document.metadata["section"] == "Chapitre 1"
    assert Passage.from_document(document).section == "Chapitre 1"


def story(name, said):
    return passage(" ".join(f"{word}{said}" for word in ["un", "deux", "trois", "quatre", "cinq", "six"]), source=name)


def searching(stories, k):
    """A retriever of stories, best first, that both arms rank alike; and how deep it was asked to look."""
    asked = []

    def arm(_, depth, documents):
        asked.append(depth)
        return [(name, 1.0) for name in stories if documents is None or name in documents][:depth]

    found = HybridRetriever(
        embeddings=HashingEmbeddings(),
        dense=arm,
        lexical=arm,
        chosen=lambda where: set(where.sources) or None,
        read=lambda ranking: [stories[name] for name, _ in ranking],
        k=k,
    )
    return found, asked


def test_copies_take_no_place_and_all_their_files_are_named():
    stories = {f"{said}-{copy}": story(f"{said}-{copy}", said) for said in range(4) for copy in range(3)}

    found = searching(stories, 3)[0].search("question")

    assert [p.source for p in found] == ["0-0", "1-0", "2-0"]
    assert [[file.source for file in p.also_in] for p in found] == [[f"{n}-1", f"{n}-2"] for n in range(3)]


def test_behind_many_copies_it_looks_deeper_for_as_many_that_differ():
    copies = {f"copy-{number:03}": story(f"copy-{number:03}", "a") for number in range(150)}
    others = {name: story(name, name) for name in "bcd"}

    retriever, asked = searching(copies | others, 3)

    assert [p.source for p in retriever.search("question")] == ["copy-000", "b", "c"]
    assert asked == [depth for depth in DEPTHS[:2] for _ in range(2)]


def test_where_enough_differ_it_looks_no_deeper():
    retriever, asked = searching({f"{n}": story(f"{n}", n) for n in range(100)}, 3)

    assert len(retriever.search("question")) == 3
    assert asked == [DEPTHS[0]] * 2


def test_where_there_are_no_more_it_gives_what_there_is_and_does_not_look_again():
    retriever, asked = searching({name: story(name, "a") for name in "ab"}, 3)

    assert len(retriever.search("question")) == 1
    assert asked == [DEPTHS[0]] * 2


def test_the_filter_reaches_both_arms():
    stories = {name: story(name, name) for name in "abc"}

    found = searching(stories, 3)[0].search("question", Filter(sources=("b", "c")))

    assert [p.source for p in found] == ["b", "c"]


def test_a_passage_is_the_same_after_the_way_through_langchain():
    copy = File("b", "Titre", "b.txt", "2025-11-05")
    before = Passage("a-7", "texte", "a", "Titre", 3, 7, 1.0, "fr", "II", "2025-11-05T10:00", "a.txt", (copy,))
    retriever, _ = searching({"a": before}, 1)

    [document] = retriever.invoke("question")

    assert Passage.from_document(document) == before


def test_a_language_that_comes_with_a_sync_is_searched_from_then_on(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()

    def synced(name, text):
        (docs / name).write_text(text, encoding="utf-8")
        index.sync(plan([docs], index.catalog), lambda _: None)

    with own(
        IndexSettings(path=tmp_path / "index"), paragraph_recipe("hashing", dimension=32), open_or_create
    ) as index:
        synced("fr.txt", "Le chat dort depuis ce matin, et personne ne le réveille.")
        retriever = index.retriever(2)
        assert not retriever.lexical("the sleeping cats", 2, None)

        synced("en.txt", "A cat has been sleeping since this morning, and nobody wakes it.")
        assert len(retriever.lexical("the sleeping cats", 2, None)) == 1
