"""Filters: what they mean in the catalog, and that both arms keep to them and still find as much."""

import hashlib
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from index import Catalog, Filter, Index, IndexSettings, InvalidFilter
from index.build import Recipe
from index.catalog import Chunk, StoredDocument, document_of
from index.search import HybridRetriever, Ranking
from tests.fakes import HashingEmbeddings

QUERY = "chat"
DOCUMENTS = 60
K = 10
"""Less than a quarter of the documents: an arm does not see them all when it looks for a few more."""
embeddings = HashingEmbeddings()


def put(catalog: Catalog, path: str, text: str, language: str | None, date: str | None) -> str:
    vector = np.array(embeddings.embed_query(text), np.float32)
    content = hashlib.sha256(path.encode()).hexdigest()
    document = StoredDocument(content, path, text, language, date, (Chunk(0, text, None, vector),))
    catalog.put(document, [path])
    return document.id


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.create(tmp_path / "catalog.sqlite", "hashing")
    yield catalog
    catalog.close()


@pytest.fixture
def dated(catalog: Catalog) -> dict[str, str]:
    """Documents by name, each of another date."""
    dates = {
        "before": "2025-10-31",
        "first": "2025-11-01",
        "evening": "2025-11-05T23:30:00-05:00",
        "last": "2025-11-30T00:00:00Z",
        "after": "2025-12-01",
        "month": "2025-11",
        "year": "2025",
        "never": None,
    }
    return {name: put(catalog, f"/docs/{name}.txt", name, "fr", date) for name, date in dates.items()}


@pytest.mark.parametrize(
    ("since", "until", "names"),
    [
        ("2025-11-01", "2025-11-30", ["first", "evening", "last"]),
        ("2025-11-05", "2025-11-05", ["evening"]),
        ("2025-12-01", None, ["after"]),
        (None, "2025-10-31", ["before"]),
        ("2026-01-01", None, []),
    ],
)
def test_days_are_met_from_the_first_to_the_last_and_never_by_a_document_that_tells_none(
    catalog: Catalog, dated: dict[str, str], since: str | None, until: str | None, names: list[str]
) -> None:
    assert catalog.matching(Filter(since=since, until=until)) == {dated[name] for name in names}


def test_every_condition_has_to_be_met(catalog: Catalog) -> None:
    french = put(catalog, "/docs/a.txt", "a", "fr", "2025-11-01")
    english = put(catalog, "/docs/b.txt", "b", "en", "2025-11-02")
    undated = put(catalog, "/docs/c.txt", "c", "fr", None)
    unknown = put(catalog, "/docs/d.txt", "d", None, "2025-11-02")

    assert catalog.matching(Filter()) == {french, english, undated, unknown}
    assert catalog.matching(Filter(languages=("fr", "EN"))) == {french, english, undated}
    assert catalog.matching(Filter(sources=(french, english))) == {french, english}
    assert catalog.matching(Filter((french, undated), "2025-01-01", None, ("fr",))) == {french}
    assert catalog.matching(Filter(languages=("it",))) == set()


@pytest.mark.parametrize("day", ["2025-02-30", "2025-11", "20251101", "1 nov 2025", "", "2025-11-01T00:00", "demain"])
@pytest.mark.parametrize("side", ["since", "until"])
def test_a_day_that_is_none_is_refused_with_an_example(side: str, day: str) -> None:
    with pytest.raises(InvalidFilter, match=f"{side} is '{day}'.*2025-11-01"):
        Filter(**{side: day})


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InvalidFilter, match=r"since \(2025-11-02\) is after until \(2025-11-01\)"):
        Filter(since="2025-11-02", until="2025-11-01")


def test_documents_and_languages_that_are_none_are_refused_by_name(catalog: Catalog) -> None:
    put(catalog, "/docs/a.txt", "a", "br", None)

    with pytest.raises(InvalidFilter, match=r"No document 'a\.txt' is indexed"):
        catalog.matching(Filter(sources=("a.txt",)))
    for language in ("français", "xx", ""):
        with pytest.raises(InvalidFilter, match=f"'{language}' is no code of a language"):
            catalog.matching(Filter(languages=(language,)))
    assert len(catalog.matching(Filter(languages=("br",)))) == 1


def test_documents_are_found_by_their_path_and_by_a_folder_above_and_by_nothing_else(catalog: Catalog) -> None:
    paths = ["/docs/a.txt", "/docs/in/b.txt", "/docs/inner/c.txt", "/docs/in/100%.txt", "/DOCS/in/d.txt"]
    ids = {path: put(catalog, path, path, "fr", None) for path in paths}

    assert catalog.at("/docs/a.txt") == [ids["/docs/a.txt"]]
    assert sorted(catalog.at("/docs/in")) == sorted([ids["/docs/in/b.txt"], ids["/docs/in/100%.txt"]])
    assert len(catalog.at("/")) == 5
    for elsewhere in ("/docs/a", "/docs/%", "/doc_", "", "a.txt"):
        assert catalog.at(elsewhere) in ([], catalog.at("/"))
    assert catalog.at("/docs/a.txt/") == []


def test_passages_tell_their_day_and_every_file_they_lie_in(catalog: Catalog) -> None:
    id = put(catalog, "/docs/b.txt", "texte", "fr", "2025-11-05T10:00:00Z")
    catalog.point({"/docs/copie/a.txt": id, "/docs/b.txt": id})

    [passage] = catalog.passages([(f"{id}-0", 1.0)])

    assert (passage.date, passage.day) == ("2025-11-05T10:00:00Z", "2025-11-05")
    assert passage.file == "b.txt"
    assert [(file.source, file.name) for file in passage.also_in] == [(id, "a.txt")]


def test_chunks_by_chance_are_of_many_documents_and_the_same_every_time(catalog: Catalog) -> None:
    for name in "abcd":
        put(catalog, f"/docs/{name}.txt", name, "fr", None)

    every = catalog.by_chance(1000)
    some = catalog.by_chance(3)

    assert every.shape == (4, 256)
    assert some.shape == (3, 256)
    assert all(any(np.array_equal(row, other) for other in every) for row in some)
    np.testing.assert_array_equal(some, catalog.by_chance(3))


def test_the_nearest_chunks_are_those_of_the_highest_cosine(catalog: Catalog) -> None:
    ids = [put(catalog, f"/docs/{text}.txt", text, "fr", None) for text in ("chat noir", "chien noir", "vache", "chat")]

    found = catalog.nearest(np.array(embeddings.embed_query("chat noir"), np.float32), 2, set(ids[:3]))

    assert [document_of(chunk) for chunk, _ in found] == ids[:2]
    assert found[0][1] == pytest.approx(1, abs=1e-5)
    assert catalog.nearest(np.zeros(256, np.float32), 2, set()) == []


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridRetriever]:
    """60 documents that all say "chat": the French ones most, then the English, then the German."""
    folder = tmp_path_factory.mktemp("filtered") / "index"
    catalog = Catalog.create(folder / "catalog.sqlite", "hashing")
    sayings = {"fr": "chat chat {}", "en": "the chat is {}", "de": "eine Katze, die man auch chat nennt, schläft {}"}
    for number in range(DOCUMENTS):
        language = "en" if number % 10 == 0 else "de" if number % 4 == 1 else "fr"
        date = f"2025-{number % 12 + 1:02}-01"
        own_words = " ".join(f"mot{number * other}" for other in range(1, 5))
        put(catalog, f"/docs/{number}.txt", sayings[language].format(own_words), language, date)
    with ExitStack() as resources:
        index = Index(IndexSettings(path=folder), Recipe("hashing", None, None, embeddings, 0), catalog, resources)
        yield index.retriever(8)


Arm = Callable[[int, Set[str] | None], Ranking]


@pytest.fixture(params=["dense", "lexical"])
def arm(request: pytest.FixtureRequest, retriever: HybridRetriever) -> Arm:
    if request.param == "dense":
        return lambda k, documents: retriever.dense(embeddings.embed_query(QUERY), k, documents)
    return lambda k, documents: retriever.lexical(QUERY, k, documents)


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        (Filter(languages=("fr",)), 39),
        (Filter(languages=("de",)), 15),
        (Filter(languages=("en",)), 6),
        (Filter(languages=("de",), since="2025-06-01", until="2025-06-30"), 5),
        (Filter(until="2025-10-31"), 50),
    ],
    ids=str,
)
def test_an_arm_finds_the_best_of_the_chosen_documents_as_many_as_without_a_filter(
    arm: Arm, retriever: HybridRetriever, where: Filter, matching: int
) -> None:
    chosen = retriever.chosen(where)
    assert chosen is not None
    assert len(chosen) == matching

    found = arm(K, chosen)

    best = [score for chunk, score in arm(DOCUMENTS, None) if document_of(chunk) in chosen][:K]
    assert {document_of(chunk) for chunk, _ in found} <= chosen
    assert len({chunk for chunk, _ in found}) == len(found) == min(K, matching)
    assert [score for _, score in found] == pytest.approx(best, abs=1e-4)


def test_a_filter_of_one_document_finds_that_one(arm: Arm) -> None:
    for chunk, _ in arm(DOCUMENTS, None)[::15]:
        assert [found for found, _ in arm(K, {document_of(chunk)})] == [chunk]


def test_without_a_filter_all_documents_are_searched(arm: Arm, retriever: HybridRetriever) -> None:
    assert retriever.chosen(Filter()) is None
    assert len(arm(DOCUMENTS, None)) == DOCUMENTS


def test_as_a_langchain_retriever_it_takes_the_filter_as_where(retriever: HybridRetriever) -> None:
    found = retriever.invoke(QUERY, where=Filter(languages=("de",), since="2025-06-01"))

    assert found
    for document in found:
        assert document.metadata["language"] == "de"
        assert document.metadata["date"] >= "2025-06-01"


def test_a_filter_that_no_document_meets_finds_nothing(retriever: HybridRetriever) -> None:
    assert retriever.search(QUERY, Filter(since="2030-01-01")) == []
