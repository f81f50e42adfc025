import datetime
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread, Timer
from time import monotonic

import numpy as np
import pytest
from sqlalchemy import URL, text

from index.catalog import SCHEMA, TOMBSTONES, Catalog, Chunk, Position, StoredDocument, salvage_roots
from index.connection import SILENCE_SECONDS
from index.database import Place, database_at
from index.errors import EmbeddingMismatch, IndexNotFound, SourceNotFound, StoreUnavailable
from index.stop import NEVER, Stop, Stopped
from tests.postgres import PASSWORD, PostgresServer

TEXT = "Le chat dort. 😀 Il ronfle.\n\nLe chien veille."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


@pytest.fixture(params=["file", "database"])
def place(request: pytest.FixtureRequest) -> Place:
    """Where a catalog can be: in a file, or in PostgreSQL."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    catalog = Catalog.create(place, "e5; 200+40 tokens")
    yield catalog
    catalog.close()


@pytest.fixture
def catalog_file(file: Path) -> Iterator[Catalog]:
    catalog = Catalog.create(file, "e5; 200+40 tokens")
    yield catalog
    catalog.close()


def document(name: str, text: str = TEXT, language: str | None = "fr") -> StoredDocument:
    """Make a document of two chunks; the same name is the same content."""
    middle = len(text) // 2
    return StoredDocument(
        content_hash=f"{name:0>64}"[::-1],
        title=f"Titre {name}",
        text=text,
        language=language,
        date="2024-05-01",
        author="Anne Martin",
        chunks=(
            Chunk(0, text[:middle], None, np.array([1, 0, 0.5], np.float32)),
            Chunk(middle, text[middle:], 2, np.array([0, 1, 0.25], np.float32), "Chapitre 2 › Détail"),
        ),
    )


def changed(catalog: Catalog, since: int = 0) -> list[tuple[str, bool]]:
    """Give each change as id and whether the document is there."""
    return [(change.source, change.document is not None) for change in catalog.changes(since)]


def test_a_document_comes_back_as_it_was_put(catalog: Catalog) -> None:
    put = document("a")

    catalog.put(put, ["/docs/a.txt"])

    [change] = catalog.changes(since=0)
    stored = change.document
    assert stored is not None
    assert (stored.id, stored.title, stored.text) == (put.id, put.title, put.text)
    assert (stored.language, stored.date, stored.author) == ("fr", "2024-05-01", "Anne Martin")
    assert stored.content_hash == put.content_hash
    assert [(c.start, c.text, c.page, c.section) for c in stored.chunks] == [
        (c.start, c.text, c.page, c.section) for c in put.chunks
    ]
    for before, after in zip(put.chunks, stored.chunks, strict=True):
        assert after.vector.dtype == np.float32
        np.testing.assert_array_equal(after.vector, before.vector)


def test_what_is_stored_is_there_after_opening_again(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    catalog.close()

    again = Catalog.open(catalog.place)

    assert again.id == catalog.id
    assert again.text(document("a").id) == TEXT
    assert again.counts() == (1, 2)
    assert again.position == Position(catalog.id, 1)
    again.close()


def test_two_catalogs_have_two_ids(catalog: Catalog, tmp_path: Path) -> None:
    other = Catalog.create(tmp_path / "other" / "catalog.sqlite", "e5; 200+40 tokens")
    assert other.id != catalog.id
    other.close()


def test_sources_are_listed_by_path_and_once_each(catalog: Catalog) -> None:
    catalog.put(document("b"), ["/docs/b.txt"])
    catalog.put(document("a"), ["/docs/z.txt", "/docs/a.txt"])

    sources = catalog.sources()

    assert [(source.id, source.paths, source.chunks) for source in sources] == [
        (document("a").id, ("/docs/a.txt", "/docs/z.txt"), 2),
        (document("b").id, ("/docs/b.txt",), 2),
    ]
    assert sources[0].as_dict()["path"] == sources[0].path == "/docs/a.txt"
    assert (sources[0].title, sources[0].language, sources[0].date) == ("Titre a", "fr", "2024-05-01")
    assert sources[0].author == "Anne Martin"
    assert sources[0].content_hash == document("a").content_hash


def test_paths_are_ordered_character_by_character_as_python_orders_them(catalog: Catalog) -> None:
    paths = ["/docs/Zinc.txt", "/docs/ami.txt", "/docs/azur.txt", "/docs/été.txt"]
    catalog.put(document("a"), paths)

    assert catalog.sources()[0].paths == tuple(sorted(paths))


def test_a_document_with_new_content_takes_the_place_of_the_old_one(catalog: Catalog) -> None:
    catalog.put(document("old"), ["/docs/a.txt"])
    catalog.put(document("new"), ["/docs/a.txt"])

    assert [source.id for source in catalog.sources()] == [document("new").id]
    assert catalog.counts() == (1, 2)
    assert changed(catalog) == [(document("new").id, True), (document("old").id, False)]


def test_a_document_that_lies_elsewhere_too_stays_when_one_of_its_files_changes(catalog: Catalog) -> None:
    catalog.put(document("old"), ["/docs/a.txt", "/docs/b.txt"])
    catalog.put(document("new"), ["/docs/a.txt"])

    assert catalog.hashes() == {
        "/docs/a.txt": document("new").content_hash,
        "/docs/b.txt": document("old").content_hash,
    }


def test_a_reader_never_sees_neither_or_both_of_an_old_and_a_new_document(catalog: Catalog) -> None:
    catalog.put(document("0"), ["/docs/a.txt"])
    seen: list[int] = []

    def write() -> None:
        for number in range(1, 40):
            catalog.put(document(str(number)), ["/docs/a.txt"])

    def read() -> None:
        reader = Catalog.open(catalog.place)
        while writer.is_alive():
            seen.append(len(reader.sources()))
        seen.append(len(reader.sources()))
        reader.close()

    writer = Thread(target=write)
    writer.start()
    read()
    writer.join()

    assert set(seen) == {1}


def test_threads_may_write_at_the_same_time(catalog: Catalog) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 10):
            catalog.put(document(str(number)), [f"/docs/{number}.txt"])

    writers = [Thread(target=write, args=(first,)) for first in range(0, 40, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert catalog.counts() == (40, 80)


def test_a_document_goes_with_its_last_path(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt", "/docs/b.txt"])

    catalog.remove(["/docs/a.txt"])
    assert catalog.counts() == (1, 2)

    catalog.remove(["/docs/b.txt"])
    assert catalog.counts() == (0, 0)
    assert changed(catalog) == [(document("a").id, False)]


def test_removing_what_is_not_there_changes_nothing(catalog: Catalog) -> None:
    catalog.remove(["/docs/a.txt"])
    assert catalog.position == Position(catalog.id, 0)


def test_documents_may_change_places(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    catalog.put(document("b"), ["/docs/b.txt"])

    catalog.point({"/docs/a.txt": document("b").id, "/docs/b.txt": document("a").id})

    assert catalog.hashes() == {
        "/docs/a.txt": document("b").content_hash,
        "/docs/b.txt": document("a").content_hash,
    }


def test_a_new_path_is_no_change_for_a_follower(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    before = catalog.position

    catalog.point({"/docs/b.txt": document("a").id})

    assert catalog.position == before


def test_a_path_cannot_name_a_document_that_is_not_stored(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])

    with pytest.raises(SourceNotFound):
        catalog.point({"/docs/a.txt": "0123456789abcdef"})

    assert catalog.hashes() == {"/docs/a.txt": document("a").content_hash}


def test_passages_come_in_the_order_given_with_their_scores(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    put = document("a")
    (first, chunk), (second, other) = put.chunks_by_id()

    passages = catalog.passages([(second, 0.9), (first, 0.8)])

    assert [(p.id, p.text, p.score, p.page, p.section) for p in passages] == [
        (second, other.text, 0.9, 2, "Chapitre 2 › Détail"),
        (first, chunk.text, 0.8, None, None),
    ]
    assert all(TEXT[p.start : p.end] == p.text for p in passages)
    assert (passages[0].source, passages[0].title) == (put.id, "Titre a")


def test_passages_are_cut_by_characters_not_by_bytes(catalog: Catalog) -> None:
    text = "é😀" * 50 + "fin\u0301 ß𝔘"
    catalog.put(document("a", text), ["/docs/a.txt"])

    passages = catalog.passages([(id, 0.0) for id, _ in document("a", text).chunks_by_id()])

    assert "".join(passage.text for passage in passages) == text


def test_a_chunk_that_is_gone_is_left_out(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    [(first, _), _] = document("a").chunks_by_id()

    passages = catalog.passages([("gone-0", 0.9), (first, 0.8)])

    assert [passage.id for passage in passages] == [first]


def test_languages_are_those_of_the_documents(catalog: Catalog) -> None:
    catalog.put(document("a", language="fr"), ["/docs/a.txt"])
    catalog.put(document("b", language="de"), ["/docs/b.txt"])
    catalog.put(document("c", language=None), ["/docs/c.txt"])

    assert catalog.languages() == {"fr", "de"}


def test_an_unknown_document_is_said_to_be_unknown(catalog: Catalog) -> None:
    with pytest.raises(SourceNotFound, match=r"No document 0123 is indexed.*assistant sources"):
        catalog.text("0123")


def test_changes_give_only_what_came_since_and_only_the_last_state(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    catalog.put(document("b"), ["/docs/b.txt"])
    since = catalog.position.number
    catalog.put(document("c"), ["/docs/c.txt"])
    catalog.remove(["/docs/a.txt"])
    catalog.put(document("a"), ["/docs/a.txt"])

    assert changed(catalog, since) == [(document("c").id, True), (document("a").id, True)]
    assert [change.number for change in catalog.changes(0)] == [2, 3, 5]


def test_changes_of_many_documents_are_given_once_each_and_in_order(catalog: Catalog) -> None:
    for number in range(150):
        catalog.put(document(str(number)), [f"/docs/{number}.txt"])

    assert changed(catalog) == [(document(str(number)).id, True) for number in range(150)]


def test_a_log_of_documents_that_are_gone_is_shortened_and_followers_behind_it_are_told(catalog_file: Catalog) -> None:
    catalog = catalog_file
    catalog.put(document("stays"), ["/docs/stays.txt"])
    for number in range(TOMBSTONES):
        catalog.put(document(str(number)), ["/docs/changing.txt"])
    before = catalog.position
    for number in range(TOMBSTONES, 2 * TOMBSTONES):
        catalog.put(document(str(number)), ["/docs/changing.txt"])

    assert len(changed(catalog)) <= 1.5 * TOMBSTONES + 2
    assert (document("stays").id, True) in changed(catalog)
    assert not catalog.reaches(Position(catalog.id, 1))
    assert catalog.reaches(before)
    assert catalog.reaches(catalog.position)


def test_positions_of_another_catalog_or_from_the_future_are_not_reached(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])

    assert catalog.reaches(Position(catalog.id, 1))
    assert not catalog.reaches(Position(catalog.id, 2))
    assert not catalog.reaches(Position("another", 1))


def test_a_root_is_remembered_once_and_forgotten_with_the_last_path_below_it(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    catalog.put(document("b"), ["/docs2/b.txt", "/docs/"])
    for _ in range(2):
        catalog.remember(["/docs", "/docs2", "/docs2/b.txt", "/"])
    assert catalog.roots() == ["/", "/docs", "/docs2", "/docs2/b.txt"]

    catalog.remove(["/docs2/b.txt"])
    assert catalog.roots() == ["/", "/docs"]

    catalog.remove(["/docs/a.txt", "/docs/"])
    assert catalog.roots() == []


def test_roots_are_read_out_of_a_catalog_of_another_version_and_none_out_of_rubbish(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    catalog.remember(["/docs"])
    _change(catalog.place, "UPDATE meta SET value = '99' WHERE key = 'schema'")
    (tmp_path / "rubbish.sqlite").write_bytes(b"rubbish" * 1000)

    assert salvage_roots(catalog.place) == ["/docs"]
    assert salvage_roots(tmp_path / "rubbish.sqlite") == []


def test_a_document_knows_which_loader_has_read_it(catalog: Catalog) -> None:
    catalog.put(replace(document("a"), loader="text/1"), ["/docs/a.txt"])
    catalog.put(replace(document("a"), loader="text/2"), ["/docs/a.txt"])

    [change] = catalog.changes(0)
    assert change.document
    assert change.document.loader == "text/2"
    assert catalog.loaders() == {document("a").content_hash: "text/2"}


def test_followers_of_a_catalog_that_forgot_start_again_and_of_one_that_removed_go_on(catalog: Catalog) -> None:
    for name in "abc":
        catalog.put(document(name), [f"/docs/{name}.txt"])
    catalog.remove(["/docs/a.txt"])
    up_to_date = catalog.position
    assert catalog.reaches(up_to_date)

    catalog.forget(["/docs/c.txt"])

    assert not catalog.reaches(up_to_date)
    assert catalog.reaches(catalog.position)
    assert changed(catalog) == [(document("b").id, True)]
    catalog.put(document("d"), ["/docs/d.txt"])
    assert catalog.position.number > up_to_date.number + 1


def test_traces_are_noted_when_a_document_is_gone_until_they_are_scrubbed(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt", "/docs/copy.txt"])
    catalog.put(document("b"), ["/docs/b.txt"])
    catalog.put(document("c"), ["/docs/b.txt"])
    catalog.remove(["/docs/copy.txt"])
    assert not catalog.has_traces

    catalog.remove(["/docs/a.txt"])
    assert catalog.has_traces
    catalog.scrub()
    assert not catalog.has_traces

    catalog.put(document("a"), ["/docs/a.txt"])
    catalog.point({"/docs/b.txt": document("a").id})
    assert catalog.has_traces


def test_traces_wait_for_the_next_scrub_while_somebody_reads_the_old_state(catalog_file: Catalog, file: Path) -> None:
    catalog_file.put(document("a"), ["/docs/a.txt"])
    catalog_file.put(document("b"), ["/docs/b.txt"])
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT text FROM documents").fetchone()
        catalog_file.remove(["/docs/a.txt"])

        catalog_file.scrub()
        assert catalog_file.has_traces

    catalog_file.scrub()
    assert not catalog_file.has_traces


@pytest.mark.parametrize("seed", [6, 7])  # 7: SQLite leaves some where it moved a row, unless the file is written anew
def test_of_text_that_is_gone_nothing_is_left_in_the_files_whatever_was_done_before(
    catalog_file: Catalog, file: Path, seed: int
) -> None:
    chance = random.Random(seed)
    catalog = catalog_file
    marks = {}
    for _ in range(60):
        path = f"/docs/{chance.randrange(25)}.txt"
        if chance.random() < 0.3:
            catalog.remove([path])
            marks.pop(path, None)
        else:
            marks[path] = f"secret{chance.randrange(10**12):012}"
            catalog.put(document(marks[path], f"{marks[path]} " * chance.choice([2, 30, 300])), [path])
    gone = _marks(file) - set(marks.values())
    catalog.remove(["/docs/0.txt"])
    marks.pop("/docs/0.txt", None)
    catalog.put(document("last"), ["/docs/0.txt"])
    catalog.remove(["/docs/0.txt"])

    catalog.scrub()

    assert gone
    assert _marks(file) == set(marks.values())


def test_a_copy_in_a_file_holds_all_and_goes_on_where_the_catalog_was(catalog: Catalog, file: Path) -> None:
    for name in "abc":
        catalog.put(document(name), [f"/docs/{name}.txt"])
    catalog.remember(["/docs"])
    catalog.forget(["/docs/c.txt"])
    position = catalog.position
    place = file.with_name("copy.sqlite")

    catalog.copy_to(place)

    with closing(Catalog.open(place)) as copy:
        assert (copy.id, copy.fingerprint, copy.position) == (catalog.id, catalog.fingerprint, position)
        assert (copy.sources(), copy.roots(), copy.changed()) == (catalog.sources(), ["/docs"], catalog.changed())
        assert changed(copy) == changed(catalog)
        assert [*copy.faults()] == []
        copy.put(document("d"), ["/docs/d.txt"])
        assert copy.position.number > position.number


def test_another_catalog_takes_the_place_of_what_was_there_and_whoever_has_it_open_is_told(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.put(document("old"), ["/docs/old.txt"])
    before = catalog.position
    with closing(Catalog.open(catalog.place)) as open_meanwhile:
        with closing(Catalog.create(tmp_path / "new.sqlite", "another model")) as new:
            new.put(document("new"), ["/docs/new.txt"])
            new.put(document("gone"), ["/docs/gone.txt"])
            new.forget(["/docs/gone.txt"])
            catalog.take(new)

            assert catalog.position == new.position
        assert [source.path for source in open_meanwhile.sources()] == ["/docs/new.txt"]
        assert open_meanwhile.replaced()
        assert not open_meanwhile.replaced()
        assert not open_meanwhile.reaches(before)
        with pytest.raises(EmbeddingMismatch):
            open_meanwhile.expect("e5; 200+40 tokens")
        last = catalog.position
        open_meanwhile.put(document("next"), ["/docs/next.txt"])
        assert [change.source for change in catalog.changes(last.number)] == [document("next").id]


def test_the_day_of_the_last_change_is_known(catalog: Catalog) -> None:
    assert catalog.changed() is None
    catalog.put(document("a"), ["/docs/a.txt"])
    assert catalog.changed() == datetime.date.today().isoformat()


def test_whoever_follows_misses_no_change_however_many_write(database: URL) -> None:
    first = Catalog.create(database, "e5")
    others = [Catalog.open(database) for _ in range(3)]
    seen: set[str] = set()

    def write(catalog: Catalog, begin: int) -> None:
        for number in range(begin, begin + 25):
            catalog.put(document(str(number)), [f"/docs/{number}.txt"])

    writers = [Thread(target=write, args=(catalog, 100 * place)) for place, catalog in enumerate(others)]
    for writer in writers:
        writer.start()
    reached = 0
    while any(writer.is_alive() for writer in writers) or reached < first.position.number:
        for change in first.changes(reached):
            seen.add(change.source)
            reached = change.number

    assert len(seen) == first.counts()[0] == 75
    for catalog in [first, *others]:
        catalog.close()


def test_one_has_the_turn_at_a_time_and_whoever_waits_can_be_stopped(database: URL) -> None:
    stop = Stop()
    with closing(Catalog.create(database, "e5")) as one, closing(Catalog.open(database)) as other:
        with one.turn(NEVER):
            with other.turn_if_free() as ours:
                assert not ours
            Timer(0.05, stop.ask).start()
            with pytest.raises(Stopped), other.turn(stop):
                pytest.fail("it has the turn")
            other.put(document("a"), ["/docs/a.txt"])
        with other.turn_if_free() as ours:
            assert ours


def test_a_database_that_goes_away_and_comes_back_is_used_again_and_its_password_is_not_told(
    postgres: PostgresServer, database: URL
) -> None:
    catalog = Catalog.create(database, "e5")
    catalog.put(document("a"), ["/docs/a.txt"])
    postgres.cut()
    with pytest.raises(StoreUnavailable, match="See that it runs, can be reached") as caught:
        catalog.counts()
    postgres.run()

    assert catalog.counts() == (1, 2)
    assert PASSWORD not in str(caught.value)
    assert "postgresql://sourcier:***@127.0.0.1" in str(caught.value)
    with pytest.raises(StoreUnavailable, match="Correct the name or the password") as caught:
        Catalog.open(database.set(password="falsch"))
    assert "falsch" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="Make it, or set its address to another"):
        Catalog.open(database.set(database="nowhere"))
    catalog.close()


def test_a_database_that_hangs_is_told_in_seconds_and_used_again_once_it_goes_on(
    postgres: PostgresServer, database: URL
) -> None:
    """One connection is in the middle of a transaction, others lie ready, new ones are begun."""
    impatient = database.update_query_dict({"connect_timeout": "2"})
    with (
        closing(Catalog.create(impatient, "e5")) as catalog,
        closing(database_at(impatient)) as writers,
        closing(database_at(impatient)) as others,
    ):
        catalog.put(document("a"), ["/docs/a.txt"])
        began = monotonic()
        with (
            pytest.raises(StoreUnavailable, match=r"it does not answer\. See that it runs"),
            writers.writing() as connection,
            postgres.hanging(),
        ):
            with pytest.raises(StoreUnavailable, match="See that it runs, can be reached"):
                catalog.counts()
            connection.execute(text("SELECT 1"))
        assert monotonic() < began + 60

        assert catalog.counts() == (1, 2)
        with others.writing() as connection:
            assert connection.scalar(text("SELECT 1"))


def test_a_statement_that_takes_long_is_waited_for(database: URL) -> None:
    with closing(database_at(database)) as place, place.reading() as connection:
        assert connection.scalar(text(f"SELECT 1 FROM pg_sleep({SILENCE_SECONDS + 0.5})")) == 1


def test_whoever_waits_for_a_writer_that_hangs_is_told_so(database: URL) -> None:
    with closing(database_at(database)) as one, closing(database_at(database)) as other, one.writing() as writing:
        writing.execute(text("SELECT pg_advisory_xact_lock(1)"))
        with pytest.raises(StoreUnavailable, match="Another assistant writes to it"), other.reading() as waiting:
            assert waiting.scalar(text("SHOW lock_timeout")) == "30s"
            waiting.execute(text("SET LOCAL lock_timeout = 50"))
            waiting.execute(text("SELECT pg_advisory_xact_lock(1)"))


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")

    with pytest.raises(StoreUnavailable, match=r"has the encoding LATIN1.*createdb --encoding UTF8"):
        Catalog.create(postgres.url.set(database="latin"), "e5")


def test_a_place_in_a_database_is_empty_until_something_is_indexed(database: URL) -> None:
    with pytest.raises(IndexNotFound, match="Build one: assistant index FOLDER"):
        Catalog.open(database)


def test_a_document_without_chunks_is_refused(catalog: Catalog) -> None:
    empty = StoredDocument("f" * 64, "t", "text", None, None, ())
    with pytest.raises(ValueError, match="no chunks"):
        catalog.put(empty, ["/docs/a.txt"])


def test_an_index_that_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound) as caught:
        Catalog.open(tmp_path / "catalog.sqlite")
    assert str(caught.value) == f"No index at {tmp_path}. Build one: assistant index FOLDER"


def test_an_index_whose_making_was_interrupted_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").touch()

    with pytest.raises(IndexNotFound):
        Catalog.open(tmp_path / "catalog.sqlite")
    Catalog.create(tmp_path / "catalog.sqlite", "e5").close()


def test_a_catalog_is_never_made_over_another(catalog: Catalog) -> None:
    catalog.put(document("a"), ["/docs/a.txt"])
    with pytest.raises(StoreUnavailable, match="already exists"):
        Catalog.create(catalog.place, "e5")
    assert catalog.counts() == (1, 2)


def test_another_model_is_refused_with_both_names(catalog: Catalog) -> None:
    catalog.expect("e5; 200+40 tokens")
    with pytest.raises(EmbeddingMismatch) as caught:
        catalog.expect("minilm; 200+40 tokens")
    for part in ("e5; 200+40", "minilm; 200+40", "INDEX_EMBEDDING_MODEL", "assistant index --rebuild"):
        assert part in str(caught.value)


@pytest.mark.parametrize("schema", ["0", "1", "999"])
def test_another_schema_is_refused(catalog: Catalog, schema: str) -> None:
    _change(catalog.place, f"UPDATE meta SET value = '{schema}' WHERE key = 'schema'")

    with pytest.raises(StoreUnavailable, match=f"has schema {schema}, this version reads schema {SCHEMA}.*--rebuild"):
        Catalog.open(catalog.place)


def test_a_file_that_is_no_catalog_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"garbage " * 2000)

    with pytest.raises(StoreUnavailable) as caught:
        Catalog.open(path)
    assert str(path) in str(caught.value)
    assert "Build it again from your files: assistant index --rebuild FOLDER" in str(caught.value)


def test_a_damaged_catalog_is_refused_with_what_to_do(catalog_file: Catalog, file: Path) -> None:
    for number in range(50):
        catalog_file.put(document(str(number), TEXT * 20), [f"/docs/{number}.txt"])
    catalog_file.close()
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)

    with pytest.raises(StoreUnavailable, match="assistant index --rebuild FOLDER"):
        Catalog.open(file).sources()


def test_a_catalog_that_was_deleted_or_replaced_is_neither_read_nor_written_until_it_is_back(
    catalog_file: Catalog, file: Path, tmp_path: Path
) -> None:
    catalog_file.put(document("a"), ["/docs/a.txt"])
    away, other = tmp_path / "away.sqlite", tmp_path / "other.sqlite"
    Catalog.create(other, "e5").close()

    for replaced in (False, True):
        file.rename(away)
        if replaced:
            other.rename(file)
        with pytest.raises(StoreUnavailable, match="Put it back, or start Sourcier again"):
            catalog_file.sources()
        with pytest.raises(StoreUnavailable):
            catalog_file.put(document("b"), ["/docs/b.txt"])
        away.replace(file)

    catalog_file.put(document("b"), ["/docs/b.txt"])
    assert len(catalog_file.sources()) == 2


def test_a_folder_that_cannot_be_made_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "catalog.sqlite"

    with pytest.raises(StoreUnavailable, match="cannot be used"):
        Catalog.create(path, "e5")


def _marks(path: Path) -> set[str]:
    """Find every mark in the raw bytes of a catalog's files."""
    content = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    return {found.decode() for found in re.findall(rb"secret\d{12}", content)}


def _change(place: Place, statement: str) -> None:
    """Do something that a catalog would not."""
    with closing(database_at(place)) as database, database.writing() as connection:
        connection.execute(text(statement))
