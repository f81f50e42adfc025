"""Several indexes that follow one catalog in PostgreSQL; the models are faked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import URL

from assistant.settings import AssistantSettings
from assistant.web.uploads import Uploads
from index import Index, IndexSettings, SyncQueue, following, plan, removal
from index.build import Recipe, export_index, import_index, open_matching, open_or_create, own, rebuild
from index.errors import EmbeddingMismatch, IndexingError, StoreUnavailable
from index.stop import NEVER
from tests.chroma import ChromaServer
from tests.fakes import paragraph_recipe
from tests.postgres import PostgresServer

RECIPE = paragraph_recipe("hashing", dimension=32)
OTHER = paragraph_recipe("another model", dimension=48)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("avoine", "orge", "seigle"):
        (docs / f"{name}.txt").write_text(f"L'{name} est mûr.", "utf-8")
    return docs


@pytest.fixture(params=["own vectors", "vectors on a server"])
def chroma_url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "own vectors":
        return None
    server: ChromaServer = request.getfixturevalue("chroma")
    return server.url


def settings(tmp_path: Path, name: str, database: URL, chroma_url: str | None = None) -> IndexSettings:
    address = database.render_as_string(hide_password=False)
    return IndexSettings(path=tmp_path / name, catalog_url=address, chroma_url=chroma_url)


@pytest.fixture
def replicas(tmp_path: Path, database: URL, chroma_url: str | None) -> Iterator[tuple[Index, Index]]:
    with (
        own(settings(tmp_path, "a", database, chroma_url), RECIPE, open_or_create) as first,
        own(settings(tmp_path, "b", database, chroma_url), RECIPE, open_or_create) as second,
    ):
        yield first, second


def synced(index: Index, docs: Path) -> str:
    with index.turn(NEVER):
        return str(index.sync(plan([docs], index.catalog), lambda _: None))


def found(index: Index, query: str) -> list[tuple[str, float]]:
    return [(passage.text, round(passage.score, 6)) for passage in index.retriever(3).search(query)]


def test_what_one_indexes_and_forgets_another_finds_and_forgets(replicas: tuple[Index, Index], docs: Path) -> None:
    first, second = replicas
    assert found(second, "orge") == []
    assert synced(first, docs) == "+3 ~0 -0 =0"

    second.follow()
    assert found(second, "orge") == found(first, "orge")
    assert found(second, "orge")[0][0] == "L'orge est mûr."

    with second.turn(NEVER):
        second.remove(removal([str(docs / "orge.txt")], second.catalog))
    first.follow()
    assert found(first, "orge") == found(second, "orge")
    assert "L'orge est mûr." not in dict(found(first, "orge"))
    assert first.check() == second.check() == []


@pytest.mark.parametrize("chroma_url", ["own vectors"], indirect=True)
def test_a_database_that_hangs_is_told_to_a_question_and_a_sync_and_used_again_once_it_goes_on(
    replicas: tuple[Index, Index], docs: Path, postgres: PostgresServer
) -> None:
    first, second = replicas
    synced(first, docs)
    second.follow()
    before = found(second, "orge")

    with postgres.hanging():
        with pytest.raises(StoreUnavailable, match="See that it runs, can be reached"):
            found(second, "orge")
        with pytest.raises(StoreUnavailable, match="See that it runs, can be reached"):
            synced(first, docs)

    assert found(second, "orge") == before
    (docs / "maïs.txt").write_text("Le maïs est mûr.", "utf-8")
    assert synced(first, docs) == "+1 ~0 -0 =3"


def test_vectors_that_whoever_synced_could_not_write_are_written_by_another(
    tmp_path: Path, database: URL, chroma: ChromaServer, docs: Path
) -> None:
    with own(settings(tmp_path, "a", database), RECIPE, open_or_create) as without_server:
        synced(without_server, docs)

    with own(settings(tmp_path, "b", database, chroma.url), RECIPE, open_matching) as replica:
        assert found(replica, "orge")[0][0] == "L'orge est mûr."
        assert replica.check() == []


def test_nobody_touches_the_vectors_while_another_has_the_turn(
    tmp_path: Path, database: URL, chroma: ChromaServer, docs: Path
) -> None:
    with (
        own(settings(tmp_path, "a", database, chroma.url), RECIPE, open_or_create) as first,
        own(settings(tmp_path, "b", database, chroma.url), RECIPE, open_or_create) as second,
    ):
        synced(first, docs)
        with first.turn(NEVER):
            first.catalog.remove([str(docs / "orge.txt")])
            second.follow()
            assert len(second.check()) == 0
            held = second._followers[0].ids()
        second.follow()
        assert len(held) == 3
        assert len(second._followers[0].ids()) == 2


def test_a_replica_follows_by_itself(replicas: tuple[Index, Index], docs: Path) -> None:
    first, second = replicas
    with following(second, look_seconds=0.01):
        synced(first, docs)
        while second._followed != first.catalog.position:
            pass
    assert second.check() == []


def test_a_rebuild_takes_the_place_of_the_catalog_and_replicas_go_over_to_it(
    tmp_path: Path, database: URL, replicas: tuple[Index, Index], docs: Path, chroma_url: str | None
) -> None:
    first, second = replicas
    synced(first, docs)
    second.follow()
    (docs / "blé.txt").write_text("Le blé est mûr.", "utf-8")

    def rebuilt(recipe: Recipe) -> str:
        where = settings(tmp_path, "c", database, chroma_url)
        return str(rebuild(where, recipe, [], lambda _: None, NEVER))

    assert rebuilt(RECIPE) == "+4 ~0 -0 =0"
    for replica in replicas:
        replica.follow()
        assert found(replica, "blé")[0][0] == "Le blé est mûr."
        assert replica.check() == []

    rebuilt(OTHER)
    for replica in replicas:
        with pytest.raises(EmbeddingMismatch):
            replica.follow()
        with pytest.raises(EmbeddingMismatch):
            found(replica, "blé")


def test_documents_are_added_on_the_page_only_to_a_folder_that_somebody_named_for_all(
    tmp_path: Path, database: URL
) -> None:
    with own(settings(tmp_path, "a", database), RECIPE, open_or_create) as index, SyncQueue(index) as queue:
        assert Uploads.of(AssistantSettings(), index, queue) is None
        named = Uploads.of(AssistantSettings(uploads_path=tmp_path / "mounted"), index, queue)
        assert named is not None
        assert named.folder == tmp_path / "mounted"


def test_an_index_goes_from_a_folder_into_a_database_and_back(tmp_path: Path, database: URL, docs: Path) -> None:
    here, shared, there = (
        IndexSettings(path=tmp_path / "here"),
        settings(tmp_path, "shared", database),
        IndexSettings(path=tmp_path / "there"),
    )
    with own(here, RECIPE, open_or_create) as index:
        synced(index, docs)
        wanted = found(index, "orge")
    export_index(here, tmp_path / "one.zip")

    import_index(shared, tmp_path / "one.zip")
    with own(shared, RECIPE, open_matching) as index:
        assert found(index, "orge") == wanted
        assert synced(index, docs) == "+0 ~0 -0 =3"
    with pytest.raises(IndexingError, match="--replace"):
        import_index(shared, tmp_path / "one.zip")
    export_index(shared, tmp_path / "two.zip")
    import_index(there, tmp_path / "two.zip")

    with own(there, RECIPE, open_matching) as index:
        assert found(index, "orge") == wanted
        assert index.check() == []


@pytest.mark.parametrize(
    "address", ["mysql://u:secret@h/d", "postgresql://u:secret@h", "secret", "postgresql+asyncpg://u:secret@h/d"]
)
def test_another_address_is_refused_without_telling_it(address: str) -> None:
    with pytest.raises(ValidationError, match="postgresql://user:password@host:port/database") as caught:
        IndexSettings(catalog_url=address)

    assert "secret" not in str(caught.value)
    assert "secret" not in repr(IndexSettings(catalog_url="postgresql://u:secret@h/d"))
