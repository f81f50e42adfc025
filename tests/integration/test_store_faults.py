"""What no store can prevent: killed processes, full disks, files that somebody damaged."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import chromadb
import numpy as np
import pytest
from sqlalchemy import Engine, event

from index.catalog import Catalog, Chunk, StoredDocument, follow
from index.errors import StoreLost, StoreUnavailable
from index.lexical import LexicalIndex
from index.lock import lock
from index.probe import Probe
from index.split import SentenceSplitter
from index.sync import plan, sync
from index.types import Progress
from index.vectors import Folder, VectorIndex
from tests.fakes import HashingEmbeddings, word_spans
from tests.processes import forks, limit_files

DOCUMENTS = 6
splitter = SentenceSplitter(word_spans, chunk_tokens=20, overlap_tokens=5)


def sync_and_fail(index: Path, docs: Path, said: Path, fault: Callable[[], None]) -> None:
    """Sync in a process of its own, in which something goes wrong after the plan is made; say what is done."""
    with lock(index):
        catalog = Catalog.open(index / "catalog.sqlite")
        planned = plan([docs], catalog)
        catalog.close()
        fault()
        catalog = Catalog.open(index / "catalog.sqlite")

        documents = 0

        def acknowledge(progress: Progress) -> None:
            nonlocal documents
            if progress.documents > documents:
                say(said, progress.path)
            documents = progress.documents

        try:
            sync(planned, catalog, splitter, HashingEmbeddings(), acknowledge)
        except StoreUnavailable as error:
            say(said, str(error))


def follow_and_fail(folder: Path, kind: str, said: Path, fault: Callable[[], None]) -> None:
    """Follow the catalog in a process of its own, in which something goes wrong; say what."""
    catalog = Catalog.open(folder / "catalog.sqlite")
    follower = VectorIndex(Folder(folder / kind)) if kind == "vectors" else LexicalIndex(folder / kind)
    fault()
    try:
        follow(catalog, follower, batch_chunks=700)
    except StoreUnavailable as error:
        say(said, str(error))


def say(file: Path, line: str) -> None:
    with file.open("a") as said:
        said.write(f"{line}\n")


def die_at_statement(number: int) -> None:
    """Let the process be killed before the statement of this number; a commit counts as one."""
    seen = itertools.count(1)

    def count(*_: object) -> None:
        if next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)


def die_after(seconds: float) -> None:
    """Let an alarm that nobody hears end the process where it stands, in whatever thread and language."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def limit_pages(number: int) -> None:
    """Let no database grow beyond this many pages; SQLite then says what it says when the disk is full."""
    event.listen(Engine, "connect", lambda connection, _: connection.execute(f"PRAGMA max_page_count = {number}"))


def run(function: Callable[..., None], *arguments: object) -> int | None:
    """Run a function in a process of its own; give its exit status."""
    process = forks.Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(DOCUMENTS):
        text = f"Le chat numéro {number} dort sur le toit. " * (3 + number)
        (docs / f"{number:02}.txt").write_text(text, encoding="utf-8")
    return docs


@pytest.fixture
def index(tmp_path: Path) -> Path:
    Catalog.create(tmp_path / "index" / "catalog.sqlite", "hashing").close()
    return tmp_path / "index"


def synced(index: Path, docs: Path) -> tuple[str, dict[str, list[str]]]:
    """Sync in this process; give the counts and the state."""
    with lock(index):
        catalog = Catalog.open(index / "catalog.sqlite")
        report = sync(plan([docs], catalog), catalog, splitter, HashingEmbeddings(), lambda _: None)
        catalog.close()
    return str(report), state(index)


def state(index: Path) -> dict[str, list[str]]:
    """Give the chunk ids under each path, and make sure that the documents are whole."""
    catalog = Catalog.open(index / "catalog.sqlite")
    documents = {change.source: change.document for change in catalog.changes(0) if change.document}
    paths = {path: hash[:16] for path, hash in catalog.hashes().items()}
    catalog.close()
    assert set(paths.values()) == set(documents)
    for document in documents.values():
        assert all(document.text.startswith(chunk.text, chunk.start) for chunk in document.chunks)
    return {path: [id for id, _ in documents[id].chunks_by_id()] for path, id in paths.items()}


# Every document takes about ten statements and its commit.
@pytest.mark.parametrize("statement", [1, 4, 7, 8, 9, 10, 11, 12, 13, 38, 41, 44])
def test_a_sync_killed_at_any_statement_leaves_whole_documents_and_the_next_ends_it(
    index: Path, docs: Path, tmp_path: Path, statement: int
) -> None:
    Catalog.create(tmp_path / "unharmed" / "catalog.sqlite", "hashing").close()
    _, unharmed = synced(tmp_path / "unharmed", docs)
    said = tmp_path / "said"
    said.touch()

    status = run(sync_and_fail, index, docs, said, partial(die_at_statement, statement))
    left = state(index)

    assert status == -signal.SIGKILL
    assert set(said.read_text().split()) <= set(left)
    assert left.items() <= unharmed.items()
    assert len(left) < DOCUMENTS
    assert synced(index, docs) == (f"+{DOCUMENTS - len(left)} ~0 -0 ={len(left)}", unharmed)


@pytest.mark.parametrize("statement", [4, 8, 10, 12, 14, 16, 50])
def test_an_update_killed_at_any_statement_leaves_the_old_or_the_new_document(
    index: Path, docs: Path, tmp_path: Path, statement: int
) -> None:
    _, old = synced(index, docs)
    for file in docs.iterdir():
        file.write_text(file.read_text(encoding="utf-8").replace("chat", "chien"), encoding="utf-8")

    status = run(sync_and_fail, index, docs, tmp_path / "said", partial(die_at_statement, statement))
    left = state(index)
    _, new = synced(index, docs)

    assert status == -signal.SIGKILL
    assert set(left) == set(old) == set(new)
    assert all(left[path] in (old[path], new[path]) for path in left)
    assert any(left[path] == old[path] for path in left)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(partial(limit_files, 90_000), "disk I/O error"), (partial(limit_pages, 20), "database or disk is full")],
    ids=["files", "pages"],
)
def test_a_full_disk_stops_the_sync_and_keeps_what_was_acknowledged(
    index: Path, docs: Path, tmp_path: Path, fault: Callable[[], None], reason: str
) -> None:
    assert run(sync_and_fail, index, docs, tmp_path / "said", fault) == 0
    *acknowledged, error = (tmp_path / "said").read_text().splitlines()

    assert error.startswith(f"The catalog {index / 'catalog.sqlite'} cannot be used: {reason}. ")
    assert 0 < len(acknowledged) < DOCUMENTS
    assert sorted(state(index)) == acknowledged
    report, whole = synced(index, docs)
    assert report == f"+{DOCUMENTS - len(acknowledged)} ~0 -0 ={len(acknowledged)}"
    assert len(whole) == DOCUMENTS


WORDS = [f"mot{number:04}" for number in range(1500)]
PROBES = WORDS[::100]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a catalog of 1,500 chunks (Chroma writes its HNSW files at 1,000) and both of its followers."""
    folder = tmp_path_factory.mktemp("store")
    catalog = Catalog.create(folder / "catalog.sqlite", "random")
    for first in range(0, len(WORDS), 10):
        words = WORDS[first : first + 10]
        starts = [place * 8 for place in range(len(words))]
        chunks = (Chunk(s, w, None, vector_of(w)) for s, w in zip(starts, words, strict=True))
        document = StoredDocument(f"{first:016}" + "0" * 48, "t", " ".join(words), "fr", None, tuple(chunks))
        catalog.put(document, [f"/docs/{first}.txt"])
    catalog.close()
    answers(folder)
    return folder


@pytest.fixture
def folder(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copy"))


def vector_of(word: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.random.default_rng(int(word[3:])).normal(size=32).astype(np.float32)


def answers(folder: Path) -> dict[str, list[str]]:
    """Open both indexes, bring them up to date, and ask each for some of the words."""
    catalog = Catalog.open(folder / "catalog.sqlite")
    vectors = VectorIndex.open(Probe.start(folder / "vectors"))
    lexical = LexicalIndex.open(folder / "lexical")
    for follower in (vectors, lexical):
        follow(catalog, follower)
    found = {
        word: [
            passage.text
            for ranking in (vectors.search(vector_of(word), 1), lexical.search({"fr": [word]}, 1))
            for passage in catalog.passages(ranking)
        ]
        for word in PROBES
    }
    vectors.close()
    catalog.close()
    return found


RIGHT = {word: [word, word] for word in PROBES}


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwrite(file: Path) -> None:
    file.write_bytes(b"\xa5" * file.stat().st_size)


def scratch(file: Path) -> None:
    """Change some bytes in the middle."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = bytes(255 - byte for byte in content[middle : middle + 20])
    file.write_bytes(content)


DAMAGES = [Path.unlink, truncate, overwrite, scratch]


def test_both_indexes_answer_and_are_not_made_again_while_nothing_is_wrong(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert answers(folder) == RIGHT
    assert caplog.records == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["data_level0.bin", "header.bin", "index_metadata.pickle", "length.bin", "link_lists.bin"]
)
def test_a_damaged_vector_file_is_noticed_and_made_again(
    folder: Path, name: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    [file] = (folder / "vectors").rglob(name)
    damage(file)

    assert answers(folder) == RIGHT
    assert f"The vector index at {folder / 'vectors'} is made again" in caplog.text


@pytest.mark.parametrize("damage", [Path.unlink, truncate, overwrite])
def test_a_damaged_vector_database_is_noticed_and_made_again(
    folder: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder / "vectors" / "chroma.sqlite3")

    assert answers(folder) == RIGHT
    assert "is made again" in caplog.text


def test_a_vector_folder_without_its_hnsw_files_is_made_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    [file] = (folder / "vectors").rglob("header.bin")
    shutil.rmtree(file.parent)

    assert answers(folder) == RIGHT
    assert "is made again" in caplog.text


def one_of_each(folder: Path) -> list[str]:
    """Name one file of each kind."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    return [*{file.suffix if folder.name == "lexical" else file.name: file.name for file in files}.values()]


def damage_and_ask(folder: Path, kind: str, damage: Callable[[Path], None], said: Path) -> None:
    """Damage each of the files of an index that is open, one after the other; it may find all, or say it is lost."""
    for name in one_of_each(folder / kind):
        work = folder / "work" / name
        shutil.copytree(folder, work, ignore=shutil.ignore_patterns("work"))
        [file] = (work / kind).rglob(name)
        catalog = Catalog.open(work / "catalog.sqlite")
        index = VectorIndex(Folder(work / kind)) if kind == "vectors" else LexicalIndex(work / kind)

        assert asked(catalog, index) == PROBES
        damage(file)
        try:
            assert asked(catalog, index) == PROBES, f"{name}: something else is found"
        except StoreLost:
            say(said, f"{name} is lost")
        if fault := index.fault():
            say(said, f"{name}: {fault}")
        follow(catalog, index)
        assert asked(catalog, index) == PROBES, f"{name}: it is not made again"
        assert index.fault() is None
        catalog.close()


def asked(catalog: Catalog, index: VectorIndex | LexicalIndex) -> list[str]:
    """Give what is found of some of the words."""
    found = [
        index.search(vector_of(word), 1) if isinstance(index, VectorIndex) else index.search({"fr": [word]}, 1)
        for word in PROBES
    ]
    return [passage.text for ranking in found for passage in catalog.passages(ranking)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["vectors", "lexical"])
def test_what_is_damaged_while_it_is_open_is_never_taken_for_something_else_and_made_again(
    folder: Path, kind: str, damage: Callable[[Path], None]
) -> None:
    said = folder / "said"

    assert run(damage_and_ask, folder, kind, damage, said) == 0

    print(said.read_text())
    assert [line.split(": ")[0] for line in said.read_text().splitlines() if ": " in line] == one_of_each(folder / kind)


def open_and_ask(folder: Path) -> None:
    client = chromadb.PersistentClient(str(folder))
    client.get_collection("chunks", embedding_function=None).query(query_embeddings=np.ones((1, 32), np.float32))


def test_a_vector_folder_that_kills_whoever_opens_it_does_not_kill_us(folder: Path) -> None:
    [file] = (folder / "vectors").rglob("link_lists.bin")
    file.write_bytes(bytes(file.stat().st_size))
    status = run(open_and_ask, folder / "vectors")
    assert status == -signal.SIGSEGV

    assert answers(folder) == RIGHT


def files_of_lexical(folder: Path) -> Iterator[Path]:
    for file in sorted((folder / "lexical").iterdir()):
        if not file.name.startswith("."):
            yield file


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_lexical_file_is_noticed_and_made_again(
    folder: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    suffixes = set()
    for file in list(files_of_lexical(folder)):
        if not file.exists() or file.suffix in suffixes:
            continue
        suffixes.add(file.suffix)
        caplog.clear()
        shutil.rmtree(folder / "work", ignore_errors=True)
        shutil.copytree(folder, folder / "work", ignore=shutil.ignore_patterns("vectors"))
        damage(folder / "work" / "lexical" / file.name)

        assert lexical_answers(folder / "work") == {word: [word] for word in PROBES}
        assert f"The lexical index at {folder / 'work' / 'lexical'} is made again" in caplog.text, file.name
    assert {".json", ".idx", ".term", ".store", ".fieldnorm"} <= suffixes


def lexical_answers(folder: Path) -> dict[str, list[str]]:
    catalog = Catalog.open(folder / "catalog.sqlite")
    lexical = LexicalIndex.open(folder / "lexical")
    follow(catalog, lexical)
    found = {word: [p.text for p in catalog.passages(lexical.search({"fr": [word]}, 1))] for word in PROBES}
    catalog.close()
    return found


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("kind", ["vectors", "lexical"])
def test_an_index_whose_process_was_killed_while_it_followed_answers_right_afterwards(
    folder: Path, kind: str, seconds: float
) -> None:
    shutil.rmtree(folder / kind)

    status = run(follow_and_fail, folder, kind, folder / "said", partial(die_after, seconds))

    assert status in (0, -signal.SIGALRM)
    assert answers(folder) == RIGHT


@pytest.mark.parametrize("kind", ["vectors", "lexical"])
def test_an_index_on_a_full_disk_says_so_and_answers_right_afterwards(folder: Path, kind: str) -> None:
    shutil.rmtree(folder / kind)

    assert run(follow_and_fail, folder, kind, folder / "said", partial(limit_files, 2_000)) == 0

    assert f"{folder / kind}.rebuild cannot be used" in (folder / "said").read_text()
    assert answers(folder) == RIGHT
