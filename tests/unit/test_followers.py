"""The dense index, in a folder and on a server, and the lexical one: one test body over what all owe the catalog."""

import hashlib
import logging
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep

import chromadb
import numpy as np
import pytest
import tantivy

from index.catalog import Catalog, Chunk, Position, StoredDocument, follow
from index.errors import StoreUnavailable
from index.lexical import LexicalIndex
from index.probe import Probe
from index.stop import Stop, Stopped
from index.terms import terms
from index.vectors import Address, Server, VectorIndex
from tests.chroma import ChromaServer
from tests.fakes import HashingEmbeddings

ANIMALS = ["chat", "chien", "cheval", "vache", "mouton", "renard", "lapin", "loup"]
embeddings = HashingEmbeddings()


class Dense:
    """The vector index, asked by a word."""

    def __init__(self, index: VectorIndex) -> None:
        self.index = index
        self.close = index.close

    def search(self, word: str, k: int = 3) -> list[str]:
        found = self.index.search(embeddings.embed_query(word), k)
        return [id for id, score in found if score > 0.1]


class Lexical:
    """The lexical index, asked by a word."""

    def __init__(self, folder: Path) -> None:
        self.index = LexicalIndex.open(folder)

    def search(self, word: str, k: int = 3) -> list[str]:
        return [id for id, _ in self.index.search({"fr": terms(word, "fr")}, k)]

    def close(self) -> None:
        pass


Arm = Dense | Lexical
OpenArm = Callable[[], Arm]


def in_folder(folder: Path) -> Dense:
    return Dense(VectorIndex.open(Probe.start(folder)))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.create(tmp_path / "catalog.sqlite", "hashing")
    put(catalog, ANIMALS)
    yield catalog
    catalog.close()


@pytest.fixture
def open_in_folder(tmp_path: Path) -> OpenArm:
    return lambda: in_folder(tmp_path / "follower")


@pytest.fixture
def open_on_server(chroma: ChromaServer) -> OpenArm:
    collection = uuid.uuid4().hex
    return lambda: Dense(VectorIndex(Server(Address(chroma.url), collection)))


@pytest.fixture
def open_lexical(tmp_path: Path) -> OpenArm:
    return lambda: Lexical(tmp_path / "follower")


@pytest.fixture(params=["open_in_folder", "open_on_server", "open_lexical"])
def open_arm(request: pytest.FixtureRequest) -> Iterator[OpenArm]:
    """Open the index in one place, as often as wanted: the one opened before is closed first."""
    open_one: OpenArm = request.getfixturevalue(request.param)
    opened: list[Arm] = []

    def open_again() -> Arm:
        for arm in opened:
            arm.close()
        opened[:] = [open_one()]
        return opened[0]

    yield open_again
    for arm in opened:
        arm.close()


in_a_folder = pytest.mark.parametrize("open_arm", ["open_in_folder", "open_lexical"], indirect=True)


def ids(ranking: Iterable[tuple[str, float]]) -> list[str]:
    return [id for id, _ in ranking]


def put(catalog: Catalog, words: Iterable[str], version: str = "", language: str = "fr") -> None:
    for word in words:
        text = f"le {word} {version}"
        vector = np.array(embeddings.embed_query(text), np.float32)
        document = StoredDocument(
            content_hash=hashlib.sha256(text.encode()).hexdigest(),
            title=word,
            text=text,
            language=language,
            date=None,
            chunks=(Chunk(0, text, None, vector),),
        )
        catalog.put(document, [f"/docs/{word}.txt"])


def title(catalog: Catalog, ids: list[str]) -> list[str]:
    return [passage.title for passage in catalog.passages([(id, 0.0) for id in ids])]


def all_found(catalog: Catalog, arm: Arm) -> dict[str, list[str]]:
    return {word: title(catalog, arm.search(word, 1)) for word in ANIMALS}


def test_every_chunk_of_the_catalog_is_found(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


def test_an_index_that_never_followed_has_no_position_and_finds_nothing(open_arm: OpenArm) -> None:
    arm = open_arm()
    assert arm.index.position is None
    assert arm.search("chat") == []


def test_an_index_that_followed_an_empty_catalog_is_up_to_date(tmp_path: Path, open_arm: OpenArm) -> None:
    empty = Catalog.create(tmp_path / "empty.sqlite", "hashing")
    arm = open_arm()
    follow(empty, arm.index)
    assert arm.index.position == empty.position
    assert arm.search("chat") == []
    empty.close()


def test_a_sound_index_is_opened_as_it_was(
    catalog: Catalog, open_arm: OpenArm, caplog: pytest.LogCaptureFixture
) -> None:
    follow(catalog, open_arm().index)
    for _ in range(2):
        arm = open_arm()
        assert arm.index.position == catalog.position
        assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}
    assert caplog.records == []


def test_an_index_that_is_behind_takes_only_what_came_since(catalog: Catalog, open_arm: OpenArm) -> None:
    follow(catalog, open_arm().index)
    put(catalog, ["girafe"])
    arm = open_arm()
    assert arm.search("girafe") == []

    follow(catalog, arm.index)

    assert arm.index.position == catalog.position
    assert title(catalog, arm.search("girafe", 1)) == ["girafe"]
    assert title(catalog, arm.search("chat", 1)) == ["chat"]


def test_what_is_gone_from_the_catalog_is_not_found(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    before = arm.search("chat", 1)

    catalog.remove(["/docs/chat.txt"])
    follow(catalog, arm.index)

    assert not set(before) & set(arm.search("chat", 100))
    assert title(catalog, arm.search("chien", 1)) == ["chien"]


def test_new_content_takes_the_place_of_the_old(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    put(catalog, ["chat"], version="miaule")
    follow(catalog, arm.index)

    found = arm.search("chat", 100)

    [passage] = catalog.passages([(found[0], 0.0)])
    assert "miaule" in passage.text
    assert len(catalog.passages([(id, 0.0) for id in found])) == len(found)


def test_changes_taken_twice_change_nothing(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    changes = list(catalog.changes(0))
    arm.index.apply(changes, catalog.position)
    before = arm.search("le chat", 100)

    arm.index.apply(changes, catalog.position)

    assert sorted(arm.search("le chat", 100)) == sorted(before)
    assert len(before) == len(set(before))


def test_small_batches_come_to_the_same(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index, batch_chunks=3)
    assert arm.index.position == catalog.position
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


def test_an_index_of_another_catalog_starts_again(catalog: Catalog, open_arm: OpenArm, tmp_path: Path) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    other = Catalog.create(tmp_path / "other.sqlite", "hashing")
    put(other, ["girafe"])

    follow(other, arm.index)

    assert arm.index.position == other.position
    assert title(other, arm.search("girafe", 1)) == ["girafe"]
    assert len(arm.search("le", 100)) == len(arm.search("le girafe chat", 100)) == 1
    other.close()


def test_an_index_ahead_of_its_catalog_starts_again(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    ahead = Position(catalog.id, catalog.position.number + 5)
    arm.index.apply(list(catalog.changes(0))[:2], ahead)

    follow(catalog, arm.index)

    assert arm.index.position == catalog.position
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


def test_an_index_that_was_begun_anew_has_forgotten_all_after_opening_again(
    catalog: Catalog, open_arm: OpenArm
) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    with arm.index.anew():
        pass
    assert (arm.index.position, arm.search("le chat", 100)) == (None, [])

    arm = open_arm()

    assert (arm.index.position, arm.search("le chat", 100)) == (None, [])


@in_a_folder
def test_who_searches_while_an_index_is_made_anew_finds_all_that_was_there(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    over = Event()

    def search() -> set[int]:
        found = set()
        while not (over.is_set() and found):
            found.add(len(arm.search("le " + " ".join(ANIMALS[1:]), 100)))
        return found

    with ThreadPoolExecutor(2) as threads:
        searching = [threads.submit(search) for _ in range(2)]
        for number in range(10):
            put(catalog, [f"chat {number}"])
            follow(catalog, arm.index)
            catalog.forget([f"/docs/chat {number}.txt"])
            follow(catalog, arm.index, batch_chunks=1)
        over.set()

        assert set.union(*(search.result() for search in searching)) == {len(ANIMALS), len(ANIMALS) + 1}
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


@in_a_folder
def test_an_index_stays_as_it_is_where_making_it_anew_is_stopped(
    catalog: Catalog, open_arm: OpenArm, tmp_path: Path
) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    before = arm.index.position
    stop = Stop()
    stop.ask()
    catalog.forget(["/docs/chat.txt"])

    with pytest.raises(Stopped):
        follow(catalog, arm.index, batch_chunks=3, stop=stop)

    assert arm.index.position == before
    assert len(arm.search("le " + " ".join(ANIMALS), 100)) == len(ANIMALS)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["follower"]


@in_a_folder
def test_an_index_whose_folder_was_removed_is_made_again(catalog: Catalog, open_arm: OpenArm, tmp_path: Path) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    arm.close()
    shutil.rmtree(tmp_path / "follower")

    arm = open_arm()
    follow(catalog, arm.index)

    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


@in_a_folder
def test_an_index_in_which_somebody_wrote_rubbish_is_made_again_and_it_is_logged(
    catalog: Catalog, open_arm: OpenArm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    arm.close()
    for file in (tmp_path / "follower").rglob("*"):
        if file.is_file():
            file.write_bytes(b"rubbish" * 100)

    with caplog.at_level(logging.WARNING):
        arm = open_arm()
    follow(catalog, arm.index)

    assert "is made again" in caplog.text
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


def test_asking_for_more_than_there_is_gives_all_there_is(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    catalog.remove(["/docs/loup.txt"])
    follow(catalog, arm.index)
    assert len(arm.search("le " + " ".join(ANIMALS), 1000)) == len(ANIMALS) - 1


def test_scores_are_higher_for_better_and_best_comes_first(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    if isinstance(arm, Dense):
        found = arm.index.search(embeddings.embed_query("le chat"), 5)
    else:
        found = arm.index.search({"fr": ["le", "chat"]}, 5)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1]


@in_a_folder
def test_an_index_is_kept_where_it_can_be_written(open_arm: OpenArm, tmp_path: Path) -> None:
    (tmp_path / "follower").touch()
    with pytest.raises(StoreUnavailable, match="follower cannot be used"):
        open_arm()


@pytest.mark.parametrize("open_arm", ["open_in_folder", "open_on_server"], indirect=True)
def test_the_score_of_a_vector_is_its_cosine_whatever_its_length(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    assert isinstance(arm, Dense)
    follow(catalog, arm.index)
    vector = np.array(embeddings.embed_query("le chat "), np.float32)

    [(nearest, score)] = arm.index.search(vector * 7, 1)
    opposite = dict(arm.index.search(-vector, 100))

    assert title(catalog, [nearest]) == ["chat"]
    assert score == pytest.approx(1, abs=1e-5)
    assert opposite[nearest] == pytest.approx(-1, abs=1e-5)


def test_a_folder_with_another_distance_is_made_again(catalog: Catalog, tmp_path: Path) -> None:
    client = chromadb.PersistentClient(str(tmp_path / "vectors"))
    client.create_collection(
        "chunks",
        embedding_function=None,
        metadata={"catalog": catalog.id, "number": 0, "chunks": 0, "checksum": "00000000"},
    )
    client.clear_system_cache()

    arm = in_folder(tmp_path / "vectors")

    assert arm.index.position is None
    arm.close()


@pytest.mark.parametrize(
    "fate",
    ["os.kill(os.getpid(), signal.SIGSEGV)", "sys.exit(1)", "signal.pause()"],
    ids=["crashes", "fails", "hangs"],
)
def test_a_folder_whose_probe_does_not_come_back_well_is_made_again(
    catalog: Catalog, tmp_path: Path, fate: str
) -> None:
    arm = in_folder(tmp_path / "vectors")
    follow(catalog, arm.index)
    arm.close()
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os, signal, sys; {fate}"],
        stderr=subprocess.PIPE,
    )

    index = VectorIndex.open(Probe(tmp_path / "vectors", child, patience_seconds=5))

    assert index.position is None
    assert child.returncode != 0
    index.close()


def test_a_probe_that_finds_no_folder_starts_no_process(tmp_path: Path) -> None:
    assert Probe.start(tmp_path / "vectors").child is None


def test_terms_are_searched_as_they_are_and_never_read_as_query_syntax(catalog: Catalog, tmp_path: Path) -> None:
    arm = Lexical(tmp_path / "lexical")
    follow(catalog, arm.index)
    for word in ["*", '"', "id:position", "chat AND chien", "+chat", "(", "", "position", "\\", "a" * 70_000]:
        assert arm.index.search({"fr": [word]}, 5) == []


def test_nothing_reads_the_files_of_the_words_but_who_was_asked_to(catalog: Catalog, tmp_path: Path) -> None:
    arm, other = Lexical(tmp_path / "lexical"), Lexical(tmp_path / "lexical")
    # As tantivy comes, it looks twice a second for a change, in a thread that a damaged file would crash.
    looking = tantivy.Index.open(str(tmp_path / "lexical"))
    for animal in ("ours", "lion"):  # By the second change that is seen, whoever else looks has seen the first.
        put(catalog, [animal])
        follow(catalog, arm.index)
        while looking.searcher().num_docs < len(arm.index.ids()) + 1:
            sleep(0.05)

    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}
    assert all_found(catalog, other) == {word: [] for word in ANIMALS}


def test_words_are_stored_as_hashes_that_differ_from_catalog_to_catalog(catalog: Catalog, tmp_path: Path) -> None:
    other = Catalog.create(tmp_path / "other.sqlite", "hashing")
    put(other, ANIMALS)
    stored = []
    for number, followed in enumerate((catalog, other)):
        lexical = LexicalIndex.open(tmp_path / f"lexical{number}")
        follow(followed, lexical)
        searcher = tantivy.Index.open(str(lexical.folder)).searcher()
        stored.append({term for term, _ in searcher.terms_with_prefix("terms", "")})

    assert [len(terms) for terms in stored] == [len(ANIMALS) + 1] * 2
    assert not stored[0] & stored[1]
    assert not (stored[0] | stored[1]) & {term for word in ANIMALS for term in terms(word, "fr")}
    other.close()


def test_an_index_of_a_catalog_that_forgot_is_made_again(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    follow(catalog, arm.index)
    catalog.forget(["/docs/chat.txt"])
    assert len(arm.search("le " + " ".join(ANIMALS), 100)) == len(ANIMALS)

    follow(catalog, arm.index)
    follow(catalog, arm.index)

    assert arm.index.position == catalog.position
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS} | {"chat": all_found(catalog, arm)["chat"]}
    assert len(arm.search("le " + " ".join(ANIMALS), 100)) == len(ANIMALS) - 1


def test_following_stops_between_two_batches_and_goes_on_from_there(catalog: Catalog, open_arm: OpenArm) -> None:
    arm = open_arm()
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped):
        follow(catalog, arm.index, batch_chunks=3, stop=stop)

    follow(catalog, arm.index, batch_chunks=3)

    assert arm.index.position == catalog.position
    assert all_found(catalog, arm) == {word: [word] for word in ANIMALS}


def test_a_rare_term_counts_more_than_a_frequent_one(catalog: Catalog, tmp_path: Path) -> None:
    arm = Lexical(tmp_path / "lexical")
    follow(catalog, arm.index)
    (first, best), (_, second), *_ = arm.index.search({"fr": ["le", "chat"]}, 5)
    assert title(catalog, [first]) == ["chat"]
    assert best > second


def test_a_score_is_the_share_of_the_question_that_a_chunk_has(catalog: Catalog, tmp_path: Path) -> None:
    arm = Lexical(tmp_path / "lexical")
    follow(catalog, arm.index)

    [(_, whole)] = arm.index.search({"fr": ["chat"]}, 5)
    [(_, half)] = arm.index.search({"fr": ["chat", "unheard"]}, 5)

    assert 0.5 < whole < 1
    assert half < whole / 2
    assert arm.index.search({"fr": ["chat"], "en": ["unheard"], None: []}, 5) == arm.index.search({"fr": ["chat"]}, 5)
    assert arm.index.search({"fr": ["unheard"]}, 5) == []
    assert arm.index.search({}, 5) == []


def test_a_word_of_many_chunks_that_are_gone_still_speaks_for_the_one_that_stays(tmp_path: Path) -> None:
    catalog = Catalog.create(tmp_path / "catalog.sqlite", "hashing")
    arm = Lexical(tmp_path / "lexical")
    put(catalog, ["chat", *(f"chat {number}" for number in range(30))])
    follow(catalog, arm.index)
    catalog.remove([f"/docs/chat {number}.txt" for number in range(30)])
    follow(catalog, arm.index)

    [(_, share)] = arm.index.search({"fr": ["chat"]}, 5)

    assert share > 0
    catalog.close()


def test_a_word_is_found_in_documents_of_its_language_alone(catalog: Catalog, tmp_path: Path) -> None:
    arm = Lexical(tmp_path / "lexical")
    put(catalog, ["chat room"], language="en")
    follow(catalog, arm.index)

    found = {language: title(catalog, ids(arm.index.search({language: ["chat"]}, 5))) for language in ("fr", "en")}

    assert found == {"fr": ["chat"], "en": ["chat room"]}


def test_a_chunk_is_found_by_the_title_and_the_headings_that_it_stands_under(tmp_path: Path) -> None:
    catalog = Catalog.create(tmp_path / "catalog.sqlite", "hashing")
    chunk = Chunk(0, "Il faut deux heures.", None, np.ones(4, np.float32), "Cuisson")
    catalog.put(StoredDocument("00", "Le_gratin", chunk.text, "fr", None, (chunk,)), ["/docs/gratin.txt"])
    arm = Lexical(tmp_path / "lexical")
    follow(catalog, arm.index)

    assert [len(arm.search(word)) for word in ("gratin", "cuisson", "heures", "soupe")] == [1, 1, 1, 0]
    catalog.close()


def test_documents_are_stemmed_in_their_own_language(tmp_path: Path) -> None:
    catalog = Catalog.create(tmp_path / "catalog.sqlite", "hashing")
    put(catalog, ["chevaux galopants"])
    arm = Lexical(tmp_path / "lexical")
    follow(catalog, arm.index)
    assert len(arm.search("galopant")) == 1
    catalog.close()
