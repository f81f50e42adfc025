from index import Passage
from index.search import HybridRetriever, reciprocal_rank_fusion
from tests.fakes import HashingEmbeddings, passage

PASSAGES = {name: passage(f"texte {name}", start=at, section="Chapitre 1") for at, name in enumerate("abc")}


def retriever(dense, lexical, k=8):
    return HybridRetriever(
        embeddings=HashingEmbeddings(),
        dense=lambda vector, depth: dense[:depth],
        lexical=lambda query, depth: lexical[:depth],
        read=lambda ranking: [PASSAGES[name] for name, _ in ranking],
        k=k,
    )


def test_what_both_rankings_hold_comes_before_what_one_ranks_alike():
    fused = reciprocal_rank_fusion([[("a", 9.0), ("b", 8.0)], [("c", 0.9), ("b", 0.8)]])

    assert [name for name, _ in fused] == ["b", "a", "c"]


def test_a_score_is_the_sum_of_damped_reciprocal_ranks():
    fused = dict(reciprocal_rank_fusion([[("a", 9.0), ("b", 8.0)], [("b", 0.9)]], damping=60))

    assert fused == {"a": 1 / 61, "b": 1 / 62 + 1 / 61}


def test_the_retriever_returns_k_passages_best_first():
    found = retriever([("a", 1.0), ("b", 0.5)], [("b", 3.0), ("c", 1.0)], k=2).search("question")

    assert [passage.text for passage in found] == ["texte b", "texte a"]


def test_as_a_langchain_retriever_it_gives_documents_that_tell_where_they_stand():
    [document, *_] = retriever([("b", 1.0)], []).invoke("question")

    assert document.page_content == "texte b"
    assert document.metadata["source"] == "source"
    assert document.metadata["start"] == 1
    assert document.metadata["language"] == "fr"
    assert document.metadata["section"] == "Chapitre 1"
    assert Passage.from_document(document).section == "Chapitre 1"
