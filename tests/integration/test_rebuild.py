"""A rebuild makes a new index beside the old one, which stays and answers until the new one is whole."""

import os
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from langchain_core.embeddings import Embeddings

from index import IndexSettings
from index.build import Recipe, open_matching, open_or_create, own, rebuild, recipe
from index.catalog import Catalog
from index.errors import EmbeddingMismatch, IndexingError, IndexLocked, NothingToIndex
from index.lock import lock
from index.split import HEADED
from index.stop import Stop, Stopped
from index.sync import plan
from index.types import SyncReport
from tests.chroma import ChromaServer
from tests.fakes import HashingEmbeddings, paragraph_recipe
from tests.processes import Tell, listen, start

OLD = paragraph_recipe("old model", dimension=32)
NEW = paragraph_recipe("new model", dimension=48)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("chat", "chien", "loup"):
        write(docs / f"{name}.txt", f"Le {name} dort.\n\nLe {name} rêve.")
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere" / "seul.txt", "Le seul du dossier.")
    write(tmp_path / "elsewhere" / "autre.txt", "Pas indexé.")
    return docs


@pytest.fixture
def index(tmp_path: Path, docs: Path) -> Path:
    """Index a folder and a single file, by the old recipe."""
    with own(IndexSettings(path=tmp_path / "index"), OLD, open_or_create) as index:
        index.sync(plan([docs, tmp_path / "elsewhere" / "seul.txt"], index.catalog), lambda _: None)
    return tmp_path / "index"


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def rebuilt(index: Path, *paths: Path, recipe: Recipe = NEW, stop: Stop | None = None) -> SyncReport:
    return rebuild(IndexSettings(path=index), recipe, paths, lambda _: None, stop or Stop())


def answers(index: Path, recipe: Recipe) -> dict[str, str]:
    """Ask the index for each of its documents; give the name of the file found under each."""
    with own(IndexSettings(path=index), recipe, open_matching) as opened:
        retriever = opened.retriever(1)
        names = {source.id: Path(source.path).stem for source in opened.sources()}
        return {name: names[retriever.search(f"le {name}")[0].source] for name in names.values()}


def right(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def pieces(index: Path) -> set[str]:
    return {path.name for path in index.iterdir()}


WHOLE_INDEX = {"catalog.sqlite", "lexical", "vectors", "lock"}


def test_an_index_is_made_again_from_the_files_of_all_its_roots_with_another_model(
    index: Path, docs: Path, tmp_path: Path
) -> None:
    (docs / "loup.txt").unlink()
    write(docs / "lapin.txt", "Le lapin creuse.")
    with pytest.raises(EmbeddingMismatch, match="assistant index --rebuild"):
        own(IndexSettings(path=index), NEW, open_matching)

    report = rebuilt(index)

    assert str(report) == "+4 ~0 -0 =0"
    assert answers(index, NEW) == right("chat", "chien", "lapin", "seul")
    assert pieces(index) == WHOLE_INDEX
    with pytest.raises(EmbeddingMismatch):
        own(IndexSettings(path=index), OLD, open_matching)


def test_an_index_of_an_older_version_says_how_to_make_it_again(tmp_path: Path) -> None:
    now = recipe(IndexSettings()).name
    before = now.replace(f"; {HEADED}", "")
    Catalog.create(tmp_path / "catalog.sqlite", before).close()

    with pytest.raises(EmbeddingMismatch) as told:
        own(IndexSettings(path=tmp_path), recipe(IndexSettings()), open_matching)

    assert f"built with {before}; this version, with the settings as they are, builds {now}." in str(told.value)
    assert str(told.value).endswith("build it again: assistant index --rebuild")


def test_paths_that_are_named_are_added_to_the_roots(index: Path, tmp_path: Path) -> None:
    report = rebuilt(index, tmp_path / "elsewhere")

    assert str(report) == "+5 ~0 -0 =0"
    assert "autre" in answers(index, NEW)


def test_the_next_sync_and_the_next_rebuild_know_the_roots_again(index: Path, docs: Path) -> None:
    rebuilt(index)
    with own(IndexSettings(path=index), NEW, open_matching) as opened:
        assert str(opened.sync(plan([docs], opened.catalog), lambda _: None)) == "+0 ~0 -0 =3"

    assert str(rebuilt(index, recipe=OLD)) == "+4 ~0 -0 =0"


def test_an_index_is_built_where_there_was_none(tmp_path: Path, docs: Path) -> None:
    assert str(rebuilt(tmp_path / "new", docs)) == "+3 ~0 -0 =0"
    assert answers(tmp_path / "new", NEW) == right("chat", "chien", "loup")


def overwrite(catalog: Path) -> None:
    catalog.write_bytes(b"rubbish" * 1000)


def truncate(catalog: Path) -> None:
    catalog.write_bytes(catalog.read_bytes()[:5000])


def change_schema(catalog: Path) -> None:
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("UPDATE meta SET value = '0' WHERE key = 'schema'")


@pytest.mark.parametrize("damage", [overwrite, truncate, change_schema, Path.unlink])
def test_a_damaged_index_is_made_again_from_the_paths_that_are_named(index: Path, docs: Path, damage) -> None:
    damage(index / "catalog.sqlite")

    assert str(rebuilt(index, docs)) == "+3 ~0 -0 =0"
    assert answers(index, NEW) == right("chat", "chien", "loup")
    assert pieces(index) == WHOLE_INDEX


def test_the_roots_are_read_even_out_of_a_catalog_of_another_version(index: Path) -> None:
    change_schema(index / "catalog.sqlite")

    assert str(rebuilt(index)) == "+4 ~0 -0 =0"


def test_where_no_root_is_known_they_are_asked_for(index: Path, tmp_path: Path) -> None:
    overwrite(index / "catalog.sqlite")
    for folder in (index, tmp_path / "none"):
        with pytest.raises(NothingToIndex, match="assistant index --rebuild FOLDER"):
            rebuilt(folder)


@pytest.mark.parametrize("loss", ["emptied", "gone"])
def test_a_root_that_has_lost_all_it_held_leaves_the_old_index(index: Path, docs: Path, loss: str) -> None:
    docs.rename(docs.parent / "away")
    if loss == "emptied":
        docs.mkdir()

    with pytest.raises(NothingToIndex, match=rf"{docs} .*assistant index --remove {docs}"):
        rebuilt(index)

    assert answers(index, OLD) == right("chat", "chien", "loup", "seul")
    assert pieces(index) == WHOLE_INDEX


def test_where_nothing_can_be_read_any_more_the_old_index_stays(index: Path, docs: Path, tmp_path: Path) -> None:
    for file in [*docs.iterdir(), tmp_path / "elsewhere" / "seul.txt"]:
        write(file, " ")

    report = rebuilt(index)

    assert (report.indexed, len(report.unreadable)) == (0, 4)
    assert answers(index, OLD) == right("chat", "chien", "loup", "seul")


class Asking(HashingEmbeddings):
    """Asks to stop when it is called."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self.stop = stop

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.stop.ask()
        return super().embed_documents(texts)


class Failing(HashingEmbeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise IndexingError("the model is out of breath")


def with_embeddings(embeddings: Embeddings) -> Recipe:
    return replace(NEW, embeddings=embeddings)


def test_a_rebuild_that_is_stopped_leaves_the_old_index(index: Path) -> None:
    stop = Stop()
    many = index.parent / "docs" / "many.txt"
    write(
        many,
        "\n\n".join(f"Le paragraphe {number} est assez long pour être seul dans un morceau." for number in range(100)),
    )

    report = rebuilt(index, recipe=with_embeddings(Asking(stop)), stop=stop)

    assert report.pending > 0
    assert answers(index, OLD) == right("chat", "chien", "loup", "seul")
    assert pieces(index) == WHOLE_INDEX


def test_a_rebuild_that_is_stopped_before_it_began_leaves_the_old_index(index: Path) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped):
        rebuilt(index, stop=stop)

    assert pieces(index) == WHOLE_INDEX


def test_a_rebuild_that_fails_leaves_the_old_index(index: Path) -> None:
    with pytest.raises(IndexingError, match="out of breath"):
        rebuilt(index, recipe=with_embeddings(Failing()))

    assert answers(index, OLD) == right("chat", "chien", "loup", "seul")
    assert pieces(index) == WHOLE_INDEX


def test_an_index_that_is_in_use_is_not_rebuilt(index: Path) -> None:
    with lock(index), pytest.raises(IndexLocked):
        rebuilt(index)


@pytest.mark.parametrize("event", ["progress", "commit"])
def test_a_rebuild_killed_before_the_new_index_is_whole_leaves_the_old_one_untouched(index: Path, event: str) -> None:
    before = files(index)

    killed_before(index, event)

    left = files(index)
    assert {name: left[name] for name in before} == before
    own(IndexSettings(path=index), OLD, open_matching).close()
    assert pieces(index) == WHOLE_INDEX


@pytest.mark.parametrize("event", ["catalog.sqlite", "lexical", "vectors"])
def test_a_rebuild_killed_while_the_new_index_is_moved_into_place_is_finished_by_whoever_comes_next(
    index: Path, event: str
) -> None:
    killed_before(index, event)

    assert answers(index, NEW) == right("chat", "chien", "loup", "seul")
    assert pieces(index) == WHOLE_INDEX


def killed_before(index: Path, event: str) -> None:
    process, said = start(rebuild_and_die, index, event)
    seen = list(listen(said))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert event not in seen


def rebuild_and_die(tell: Tell, index: Path, last: str) -> None:
    """Rebuild, tell each step, and be killed before this one."""
    renamed = {str(index / "rebuild"): "commit"} | {str(index / "rebuilt" / name): name for name in WHOLE_INDEX}

    def come_to(step: str) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)
        tell(step)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and str(arguments[0]) in renamed:
            come_to(renamed[str(arguments[0])])

    sys.addaudithook(hear)
    rebuild(IndexSettings(path=index), NEW, [], lambda _: come_to("progress"), Stop())


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("recipe", "stays"), [(NEW, "new"), (with_embeddings(Failing()), "old")], ids=["whole", "failing"]
)
def test_a_server_keeps_the_vectors_of_the_index_that_stays_and_no_others(
    docs: Path, tmp_path: Path, chroma: ChromaServer, recipe: Recipe, stays: str
) -> None:
    settings = IndexSettings(path=tmp_path / "index", chroma_url=chroma.url)
    others = collections(chroma)
    with own(settings, OLD, open_or_create) as index:
        index.sync(plan([docs], index.catalog), lambda _: None)
        old = {f"sourcier-{index.catalog.id}"}

    with suppress(IndexingError):
        rebuild(settings, recipe, [], lambda _: None, Stop())

    with own(settings, NEW if stays == "new" else OLD, open_matching) as index:
        assert collections(chroma) - others == {f"sourcier-{index.catalog.id}"}
        assert (collections(chroma) - others == old) is (stays == "old")
        assert index.retriever(1).search("le loup")[0].title == "loup"


def collections(chroma: ChromaServer) -> set[str]:
    path = "/api/v2/tenants/default_tenant/databases/default_database/collections"
    return {collection["name"] for collection in httpx.get(chroma.url + path).json()}
