"""The vectors on a Chroma server: a real one, which is stopped in the middle, and loses, hangs, refuses and lies."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import chromadb
import chromadb.telemetry.opentelemetry
import httpx
import numpy as np
import pytest
from chromadb.utils.embedding_functions import known_embedding_functions, register_embedding_function

from index import IndexSettings, StoreLost, StoreUnavailable, create_index, plan
from index.catalog import Catalog, Change, Chunk, Position, StoredDocument, follow
from index.vectors import Address, Patience, Server, VectorIndex
from tests.chroma import LOSE_ANSWER, LOSE_REQUEST, Between, ChromaServer, Reply

DOCUMENTS = 12
BRIEF = Patience(answer_seconds=20, retry_seconds=0.2)
KEY = "ck-secret-0123456789"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.create(tmp_path / "catalog.sqlite", "random")
    for number in range(DOCUMENTS):
        put(catalog, number)
    yield catalog
    catalog.close()


def put(catalog: Catalog, number: int) -> None:
    """Store a document of two chunks."""
    chunks = tuple(Chunk(start, "mot", None, vector(number, start)) for start in (0, 4))
    document = StoredDocument(f"{number:016}" + "0" * 48, "t", "mot mot", "fr", None, chunks)
    catalog.put(document, [f"/docs/{number}.txt"])


def vector(number: int, start: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.random.default_rng([number, start]).normal(size=32).astype(np.float32)


def opened(url: str, catalog: Catalog, patience: Patience = BRIEF, key: str | None = None) -> VectorIndex:
    return VectorIndex(Server(Address(url, key), catalog.id, patience, patience))


def rows(found: chromadb.Collection) -> dict[str, str]:
    """Give the source of each row on the server."""
    got = found.get(include=["metadatas"])
    return {id: str(metadata["source"]) for id, metadata in zip(got["ids"], got["metadatas"] or [], strict=True)}


def wanted(catalog: Catalog) -> dict[str, str]:
    """Give the source of each chunk of the catalog."""
    documents = [change.document for change in catalog.changes(0) if change.document]
    return {id: document.id for document in documents for id, _ in document.chunks_by_id()}


def collection(server: ChromaServer, catalog: Catalog) -> chromadb.Collection:
    client = chromadb.HttpClient("127.0.0.1", server.port)
    return client.get_collection(f"sourcier-{catalog.id}", embedding_function=None)


def all_found(index: VectorIndex) -> bool:
    return all(
        index.search(vector(number, start), 1)[0][0] == f"{number:016}-{start}"
        for number in range(DOCUMENTS)
        for start in (0, 4)
    )


class Disturbed:
    """A follower with which something happens before it takes over its third batch."""

    def __init__(self, follower: VectorIndex, disturb: Callable[[], None]) -> None:
        self._follower = follower
        self._disturb = disturb
        self._batches = 0

    @property
    def position(self) -> Position | None:
        return self._follower.position

    @contextmanager
    def anew(self) -> Iterator["Disturbed"]:
        with self._follower.anew() as new:
            yield Disturbed(new, self._disturb)

    def apply(self, changes: list[Change], position: Position) -> None:
        self._batches += 1
        if self._batches == 3:
            self._disturb()
        self._follower.apply(changes, position)


def test_a_server_that_stops_in_the_middle_is_a_clear_error_and_the_next_sync_goes_on_where_it_stopped(
    chroma: ChromaServer, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    index = opened(chroma.url, catalog)
    with pytest.raises(StoreUnavailable) as caught:
        follow(catalog, Disturbed(index, chroma.kill), batch_chunks=4)
    with pytest.raises(StoreUnavailable, match="See that it runs"):
        index.search(vector(0, 0), 1)
    index.close()
    chroma.run()
    index = opened(chroma.url, catalog)
    reached = index.position

    follow(catalog, index)

    assert str(caught.value).startswith(f"The Chroma server at {chroma.url} cannot be used: ")
    assert str(caught.value).endswith("then try again: it goes on where it stopped.")
    assert reached == Position(catalog.id, 4)
    assert rows(collection(chroma, catalog)) == wanted(catalog)
    assert all_found(index)
    assert "is made again" not in caplog.text
    index.close()


def test_a_server_that_comes_back_in_time_is_waited_for(
    chroma: ChromaServer, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    index = opened(chroma.url, catalog, Patience(30, 60))
    missed = Event()

    class Missed(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            missed.set()

    def start_when_missed() -> None:
        missed.wait()
        chroma.run()

    helper = Thread(target=start_when_missed)
    helper.start()
    log, handler = logging.getLogger("index.vectors"), Missed()
    log.addHandler(handler)

    follow(catalog, Disturbed(index, chroma.kill), batch_chunks=4)

    log.removeHandler(handler)
    helper.join()
    assert "Trying again" in caplog.text
    assert rows(collection(chroma, catalog)) == wanted(catalog)
    assert all_found(index)
    index.close()


@pytest.mark.parametrize("loss", [LOSE_REQUEST, LOSE_ANSWER])
def test_a_request_or_an_answer_that_is_lost_once_is_sent_again_whatever_it_is(
    chroma: ChromaServer, catalog: Catalog, loss: str
) -> None:
    with Between(chroma.url, lambda number, _: loss if number % 2 else None) as between:
        index = opened(between.url, catalog, Patience(20, 20))
        follow(catalog, index, batch_chunks=8)
        catalog.remove(["/docs/0.txt"])
        follow(catalog, index)
        index.close()

    assert rows(collection(chroma, catalog)) == wanted(catalog)
    assert len(between.paths) > 20


@pytest.mark.parametrize("loss", [LOSE_REQUEST, LOSE_ANSWER])
def test_a_connection_lost_for_good_at_any_request_leaves_what_the_next_sync_goes_on_with(
    chroma: ChromaServer, catalog: Catalog, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    index = opened(chroma.url, catalog)
    follow(catalog, index)
    on_server = collection(chroma, catalog)
    broke_off = 0
    for last in range(1, 100):
        put(catalog, 100 + last)
        put(catalog, 200 + last)
        catalog.remove([f"/docs/{99 + last}.txt"])
        with Between(chroma.url, lambda number, _, last=last: loss if number >= last else None) as between:
            try:
                broken = opened(between.url, catalog, Patience(20, 0))
                follow(catalog, broken)
                break
            except StoreUnavailable:
                broke_off += 1
        caplog.clear()

        follow(catalog, index)

        assert rows(on_server) == wanted(catalog), f"after request {last}"
        assert "is made again" not in caplog.text, f"after request {last}"
    index.close()
    assert broke_off > 10


def test_a_server_that_hangs_is_given_up(chroma: ChromaServer, catalog: Catalog) -> None:
    index = opened(chroma.url, catalog, Patience(answer_seconds=1, retry_seconds=1))
    follow(catalog, index)
    put(catalog, 100)
    chroma.suspend()

    with pytest.raises(StoreUnavailable, match="timed out"):
        follow(catalog, index)
    with pytest.raises(StoreUnavailable, match="timed out"):
        index.search(vector(0, 0), 1)

    chroma.resume()
    follow(catalog, index)
    assert rows(collection(chroma, catalog)) == wanted(catalog)
    index.close()


def test_a_collection_that_somebody_deleted_is_missed_by_a_question_and_made_again(
    chroma: ChromaServer, catalog: Catalog
) -> None:
    index = opened(chroma.url, catalog)
    follow(catalog, index)
    chromadb.HttpClient("127.0.0.1", chroma.port).delete_collection(f"sourcier-{catalog.id}")

    with pytest.raises(StoreLost, match="made again"):
        index.search(vector(0, 0), 1)
    follow(catalog, index)

    assert all_found(index)
    assert rows(collection(chroma, catalog)) == wanted(catalog)
    index.close()


def test_what_is_lost_while_it_is_written_is_not_sealed(chroma: ChromaServer, catalog: Catalog) -> None:
    index = opened(chroma.url, catalog)

    def lose(_: int, path: str) -> None:
        if path.endswith("/modify") or between.paths[-2].endswith("/add"):
            collection(chroma, catalog).delete(ids=[next(iter(wanted(catalog)))])

    with Between(chroma.url, lose) as between:
        between.paths.append("")
        behind = opened(between.url, catalog)
        with pytest.raises(StoreUnavailable, match="rows came or went"):
            follow(catalog, behind)
        behind.close()
    follow(catalog, index)

    assert rows(collection(chroma, catalog)) == wanted(catalog)
    index.close()


def delete_a_row(found: chromadb.Collection) -> None:
    found.delete(ids=[found.get(limit=1)["ids"][0]])


def add_a_row(found: chromadb.Collection) -> None:
    found.add(ids=["mine"], embeddings=np.ones((1, 32), np.float32), metadatas=[{"source": "mine"}])


def overwrite_metadata(found: chromadb.Collection) -> None:
    found.modify(metadata={"catalog": "mine", "number": "many", "chunks": 1, "checksum": ""})


TAMPERING: list[Callable[[chromadb.Collection], None]] = [delete_a_row, add_a_row, overwrite_metadata]


@pytest.mark.parametrize("tamper", TAMPERING)
def test_a_collection_in_which_somebody_else_wrote_is_made_again_and_it_is_logged(
    chroma: ChromaServer,
    catalog: Catalog,
    tamper: Callable[[chromadb.Collection], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = opened(chroma.url, catalog)
    follow(catalog, index)
    tamper(collection(chroma, catalog))

    follow(catalog, index)

    assert f"The collection sourcier-{catalog.id} at {chroma.url} is made again" in caplog.text
    assert rows(collection(chroma, catalog)) == wanted(catalog)
    assert all_found(index)
    index.close()


def test_a_foreign_collection_with_our_name_and_another_distance_is_made_again(
    chroma: ChromaServer, catalog: Catalog
) -> None:
    seal = {"catalog": catalog.id, "number": catalog.position.number, "chunks": 0, "checksum": ""}
    client = chromadb.HttpClient("127.0.0.1", chroma.port)
    client.create_collection(f"sourcier-{catalog.id}", metadata=seal, embedding_function=None)

    index = opened(chroma.url, catalog)
    follow(catalog, index)

    assert collection(chroma, catalog).configuration_json["hnsw"]["space"] == "cosine"
    assert all_found(index)
    index.close()


class Trap:
    """An embedding function that tells when somebody builds it."""

    built = 0

    @staticmethod
    def name() -> str:
        return "trap"

    @staticmethod
    def build_from_config(_: dict[str, object]) -> "Trap":
        Trap.built += 1
        raise NotImplementedError


@pytest.fixture
def trap() -> Iterator[type[Trap]]:
    Trap.built = 0
    register_embedding_function(Trap)
    yield Trap
    del known_embedding_functions["trap"]


def test_an_embedding_function_that_somebody_named_on_the_server_is_never_built(
    chroma: ChromaServer, catalog: Catalog, trap: type[Trap]
) -> None:
    function = {"type": "known", "name": "trap", "config": {}}
    made = httpx.post(
        f"{chroma.url}/api/v2/tenants/default_tenant/databases/default_database/collections",
        json={
            "name": f"sourcier-{catalog.id}",
            "metadata": {"catalog": catalog.id, "number": 0, "chunks": 0, "checksum": ""},
            "configuration": {"hnsw": {"space": "cosine"}, "embedding_function": function},
        },
    )
    assert made.is_success, made.text

    index = opened(chroma.url, catalog)
    follow(catalog, index, batch_chunks=8)

    assert all_found(index)
    assert trap.built == 0
    index.close()
    with pytest.warns(UserWarning, match="Could not reconstruct"):
        assert collection(chroma, catalog).schema
    assert trap.built > 0


def test_no_more_is_written_or_asked_for_at_once_than_chroma_cloud_allows(
    chroma: ChromaServer, catalog: Catalog
) -> None:
    chunks = tuple(Chunk(start, "mot", None, vector(100, start)) for start in range(0, 310 * 4, 4))
    catalog.put(StoredDocument("f" * 64, "t", "mot " * 310, "fr", None, chunks), ["/docs/long.txt"])
    with Between(chroma.url, lambda _, __: None) as between:
        index = opened(between.url, catalog)
        follow(catalog, index)
        found = index.search(vector(0, 0), 1000)
        index.close()

    assert len(found) == 300
    assert sum(path.endswith("/add") for path in between.paths) == 2
    assert rows(collection(chroma, catalog)) == wanted(catalog)


def test_several_catalogs_share_a_server(chroma: ChromaServer, catalog: Catalog, tmp_path: Path) -> None:
    other = Catalog.create(tmp_path / "other.sqlite", "random")
    put(other, 1000)
    first, second = opened(chroma.url, catalog), opened(chroma.url, other)
    follow(catalog, first)
    follow(other, second)

    with first.anew():
        pass

    assert rows(collection(chroma, catalog)) == {}
    assert rows(collection(chroma, other)) == wanted(other)
    for opened_one in (first, second):
        opened_one.close()
    other.close()


def test_the_key_goes_with_every_request_and_into_no_log(
    chroma: ChromaServer, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Between(chroma.url, lambda number, _: LOSE_REQUEST if number == 3 else None) as between:
        index = opened(between.url, catalog, Patience(20, 20), key=KEY)
        follow(catalog, index)
        index.close()

    assert between.keys == [[KEY]] * len(between.paths)
    assert "Trying again" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(Address(between.url, KEY))


ELSEWHERE = "http://127.0.0.1:9/elsewhere"
REPLIES: dict[str, tuple[Reply, str]] = {
    "wrong key": ((401, {}, f"no such key: {KEY}".encode()), "it answers 401 Unauthorized. Set INDEX_CHROMA_KEY"),
    "known error": (
        (403, {}, json.dumps({"error": "AuthError", "message": f"\x1b[31m{KEY} is\nno key"}).encode()),
        r"cannot be used: \[31m… is no key. Set INDEX_CHROMA_KEY",
    ),
    "redirect": ((307, {"location": ELSEWHERE}, b""), "it answers 307 .*which is not followed"),
    "another server": ((200, {}, b"<html>"), "cannot be read .*See that INDEX_CHROMA_URL"),
    "another shape": ((200, {}, b"[]"), "cannot be read .*See that INDEX_CHROMA_URL"),
    "not found": ((404, {}, b"<html>"), "it answers 404 Not Found. See that INDEX_CHROMA_URL"),
}


@pytest.mark.parametrize("kind", REPLIES)
def test_what_will_not_heal_is_asked_once_and_told_without_the_key(
    chroma: ChromaServer, catalog: Catalog, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply, message = REPLIES[kind]
    with (
        Between(chroma.url, lambda _, __: reply) as between,
        pytest.raises(StoreUnavailable, match=message) as caught,
    ):
        opened(between.url, catalog, Patience(20, 20), key=KEY)

    assert len(between.paths) == 1
    assert KEY not in str(caught.value) + caplog.text
    assert str(caught.value).isprintable()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(chroma: ChromaServer, catalog: Catalog, status: int) -> None:
    with Between(chroma.url, lambda number, _: (status, {}, b"busy") if number == 2 else None) as between:
        index = opened(between.url, catalog, Patience(20, 20))
        assert index.position is None
        index.close()


def test_a_database_that_is_not_there_is_named(chroma: ChromaServer, catalog: Catalog) -> None:
    with pytest.raises(StoreUnavailable, match=r"Database \[news\] does not exist\. See .*INDEX_CHROMA_DATABASE"):
        VectorIndex(Server(Address(chroma.url, database="news"), catalog.id))


@pytest.mark.parametrize("databases", [["default_database", "news"], ["*"], []])
def test_a_key_that_opens_several_databases_wants_one_named(
    chroma: ChromaServer, catalog: Catalog, databases: list[str]
) -> None:
    identity = json.dumps({"user_id": "", "tenant": "default_tenant", "databases": databases}).encode()

    def several(_: int, path: str) -> Reply | None:
        return (200, {}, identity) if path.endswith("/identity") else None

    with Between(chroma.url, several) as between:
        with pytest.raises(StoreUnavailable, match="Set INDEX_CHROMA_DATABASE"):
            opened(between.url, catalog)
        index = VectorIndex(Server(Address(between.url, database="default_database"), catalog.id))
        assert index.position is None
        index.close()


def test_what_the_environment_says_to_chroma_does_not_lead_elsewhere(
    chroma: ChromaServer, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CHROMA_SERVER_HOST": "elsewhere.example",
        "CHROMA_SERVER_HTTP_PORT": "1",
        "CHROMA_SERVER_SSL_ENABLED": "true",
        "CHROMA_CLIENT_AUTH_PROVIDER": "chromadb.auth.token_authn.TokenAuthClientProvider",
        "CHROMA_CLIENT_AUTH_CREDENTIALS": KEY,
        "CHROMA_OTEL_COLLECTION_ENDPOINT": "http://127.0.0.1:9",
        "CHROMA_OTEL_GRANULARITY": "all",
    }.items():
        monkeypatch.setenv(name, value)

    with Between(chroma.url, lambda _, __: None) as between:
        index = opened(between.url, catalog)
        follow(catalog, index)
        assert all_found(index)
        index.close()

    assert between.keys == [[]] * len(between.paths)
    assert chromadb.telemetry.opentelemetry.tracer is None


def test_an_index_with_a_server_answers_though_the_server_lost_all_and_a_sync_without_changes_brings_it_up_to_date(
    chroma: ChromaServer, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "chat.txt").write_text("Le chat dort sur le toit de la maison.", encoding="utf-8")
    with create_index(IndexSettings(path=tmp_path / "index", chroma_url=chroma.url)) as index:
        index.sync(plan([docs], index.catalog), lambda _: None)
        chroma.kill()
        with pytest.raises(StoreUnavailable):
            index.retriever(2).search("Qui dort ?")
        shutil.rmtree(chroma.folder)
        chroma.run()

        assert [passage.title for passage in index.retriever(2).search("Qui dort ?")] == ["chat"]
        assert rows(collection(chroma, index.catalog)) == wanted(index.catalog)

        [known] = [change.document for change in index.catalog.changes(0)]
        index.catalog.put(replace(known, content_hash="0" * 64), ["/elsewhere/chat.txt"])
        assert str(index.sync(plan([docs], index.catalog), lambda _: None)) == "+0 ~0 -0 =1"
        assert rows(collection(chroma, index.catalog)) == wanted(index.catalog)

    assert not (tmp_path / "index" / "vectors").exists()
