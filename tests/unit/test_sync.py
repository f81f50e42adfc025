import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_text_splitters import CharacterTextSplitter, RecursiveCharacterTextSplitter, TextSplitter

from index.catalog import Catalog
from index.errors import IndexingError, NothingToIndex, SourceNotFound, StoreUnavailable, UnreadableFile
from index.load import LOADERS, Loader, load
from index.loaders.parts import Loaded, Part
from index.split import SentenceSplitter, searched_text
from index.stop import Stop, Stopped
from index.sync import BATCH_CHUNKS, CALL_TEXTS, Plan, plan, removal, sync
from index.types import Progress, SyncReport
from tests.fakes import HashingEmbeddings, word_spans

splitter = SentenceSplitter(word_spans, chunk_tokens=20, overlap_tokens=5)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.create(tmp_path / "index" / "catalog.sqlite", "hashing")
    yield catalog
    catalog.close()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    write(docs / "chat.txt", "Le chat dort sur le toit. Il rêve de souris.")
    write(docs / "chien.txt", "Le chien garde la maison.")
    write(docs / "deep" / "loup.txt", "Le loup court dans la forêt.")
    return docs


@pytest.fixture
def embeddings() -> HashingEmbeddings:
    return HashingEmbeddings()


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def synced(catalog: Catalog, embeddings: HashingEmbeddings, *paths: Path) -> SyncReport:
    return sync(plan(paths, catalog), catalog, splitter, embeddings, lambda _: None)


def content(catalog: Catalog) -> dict[str, str]:
    """Give the stored text under each path's file name; every path of the sources, first paths only."""
    return {Path(source.path).name: catalog.text(source.id) for source in catalog.sources()}


def lines(plan: Plan) -> list[tuple[str, str, str | None]]:
    """Give each change with file names."""
    return [(c.change, Path(c.path).name, c.origin and Path(c.origin).name) for c in plan.changes]


def ids(catalog: Catalog) -> list[str]:
    return [id for change in catalog.changes(0) if change.document for id, _ in change.document.chunks_by_id()]


def reasons(report: SyncReport) -> dict[str, str]:
    return {Path(row.path).name: row.reason for row in report.unreadable}


def test_a_folder_is_indexed_with_all_that_is_below_it(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    report = synced(catalog, embeddings, docs)

    assert str(report) == "+3 ~0 -0 =0"
    assert report.unreadable == ()
    assert [source.path for source in catalog.sources()] == [
        str(docs / "chat.txt"),
        str(docs / "chien.txt"),
        str(docs / "deep" / "loup.txt"),
    ]
    assert content(catalog)["loup.txt"] == "Le loup court dans la forêt."


def test_the_vectors_stored_are_those_of_the_chunks_under_their_titles(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)

    documents = [change.document for change in catalog.changes(0) if change.document]
    chunks = [(document.title, chunk) for document in documents for chunk in document.chunks]

    assert len(chunks) == catalog.counts()[1] >= 3
    for title, chunk in chunks:
        headed = searched_text(title, chunk.section, chunk.text)
        assert chunk.vector.tolist() == pytest.approx(embeddings.embed_query(headed), abs=1e-6)


def test_an_unchanged_folder_costs_no_call_to_the_embedder(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    before, position = embeddings.texts_embedded, catalog.position

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -0 =3"
    assert (embeddings.texts_embedded, catalog.position) == (before, position)


def test_a_time_stamp_alone_changes_nothing_and_a_change_that_keeps_it_is_seen(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    file = docs / "chien.txt"
    before = file.stat()
    os.utime(docs / "chat.txt", (0, 0))
    write(file, "Le chien garde la Maison.")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~1 -0 =2"
    assert content(catalog)["chien.txt"] == "Le chien garde la Maison."


def test_a_changed_file_replaces_its_document(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    synced(catalog, embeddings, docs)
    write(docs / "chien.txt", "Le chien a quitté la maison.")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~1 -0 =2"
    assert content(catalog)["chien.txt"] == "Le chien a quitté la maison."
    assert catalog.counts()[0] == 3


def test_a_file_that_is_gone_is_deleted(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    synced(catalog, embeddings, docs)
    (docs / "deep" / "loup.txt").unlink()
    (docs / "deep").rmdir()

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -1 =2"
    assert set(content(catalog)) == {"chat.txt", "chien.txt"}


def test_a_moved_file_is_not_embedded_again(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    synced(catalog, embeddings, docs)
    before = embeddings.texts_embedded
    (docs / "chat.txt").rename(docs / "deep" / "minet.txt")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -0 =3"
    assert embeddings.texts_embedded == before
    assert set(content(catalog)) == {"minet.txt", "chien.txt", "loup.txt"}
    assert str(docs / "chat.txt") not in catalog.hashes()


def test_the_same_content_at_two_paths_is_one_document(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "copie.txt", "Le chien garde la maison.")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+3 ~0 -0 =0"
    assert catalog.counts()[0] == 3
    assert [source.paths for source in catalog.sources()] == [
        (str(docs / "chat.txt"),),
        (str(docs / "chien.txt"), str(docs / "copie.txt")),
        (str(docs / "deep" / "loup.txt"),),
    ]


def test_a_copy_of_what_is_indexed_is_not_embedded_again(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    before = embeddings.texts_embedded
    write(docs / "copie.txt", "Le chien garde la maison.")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -0 =3"
    assert embeddings.texts_embedded == before
    assert len(catalog.hashes()) == 4


def test_a_document_stays_while_one_of_its_copies_stays(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "copie.txt", "Le chien garde la maison.")
    synced(catalog, embeddings, docs)
    (docs / "chien.txt").unlink()

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -0 =3"
    assert set(content(catalog)) == {"chat.txt", "copie.txt", "loup.txt"}


def test_files_that_swap_their_contents_are_not_embedded_again(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    before = embeddings.texts_embedded
    (docs / "chat.txt").rename(docs / "x")
    (docs / "chien.txt").rename(docs / "chat.txt")
    (docs / "x").rename(docs / "chien.txt")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -0 =3"
    assert embeddings.texts_embedded == before
    assert content(catalog)["chat.txt"] == "Le chien garde la maison."


def test_a_renamed_file_with_a_new_one_in_its_place_is_one_document_more(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    (docs / "chat.txt").rename(docs / "minet.txt")
    write(docs / "chat.txt", "Un autre chat.")

    report = synced(catalog, embeddings, docs)

    assert set(content(catalog)) == {"minet.txt", "chat.txt", "chien.txt", "loup.txt"}
    assert (report.deleted, report.indexed) == (0, 4)


def test_a_file_that_becomes_a_copy_of_another_deletes_what_it_was(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    write(docs / "chat.txt", "Le chien garde la maison.")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~0 -1 =2"
    assert catalog.counts()[0] == 2


def test_what_was_indexed_from_elsewhere_is_left_alone(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, tmp_path: Path
) -> None:
    synced(catalog, embeddings, docs)
    (tmp_path / "docs2").mkdir()
    write(tmp_path / "docs2" / "renard.txt", "Le renard ruse.")
    (docs / "chat.txt").unlink()

    report = synced(catalog, embeddings, tmp_path / "docs2")

    assert str(report) == "+1 ~0 -0 =0"
    assert set(content(catalog)) == {"chat.txt", "chien.txt", "loup.txt", "renard.txt"}


def test_a_single_file_can_be_indexed(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    assert str(synced(catalog, embeddings, docs / "chat.txt")) == "+1 ~0 -0 =0"
    assert str(synced(catalog, embeddings, docs / "chat.txt", docs)) == "+2 ~0 -0 =1"


def test_paths_are_stored_absolute_however_they_are_given(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(docs / "deep")

    synced(catalog, embeddings, Path("..") / "deep", Path("../chat.txt"))

    assert sorted(catalog.hashes()) == [str(docs / "chat.txt"), str(docs / "deep" / "loup.txt")]


def test_a_path_that_does_not_exist_is_an_error_that_names_it(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    with pytest.raises(IndexingError, match=r"Cannot index .*nowhere: No such file"):
        synced(catalog, embeddings, docs, docs / "nowhere")
    assert catalog.counts() == (0, 0)


def test_hidden_files_and_folders_are_skipped_and_reported(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    (docs / ".git").mkdir()
    write(docs / ".git" / "config.txt", "secret")
    write(docs / ".notes.txt", "secret")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {".git": "hidden", ".notes.txt": "hidden"}
    assert catalog.counts()[0] == 3


def test_a_hidden_folder_that_is_named_is_indexed(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    (docs / ".notes").mkdir()
    write(docs / ".notes" / "a.txt", "Une note.")

    assert str(synced(catalog, embeddings, docs / ".notes")) == "+1 ~0 -0 =0"


def test_what_was_indexed_from_a_hidden_folder_stays_when_a_folder_around_it_is_indexed(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    notes = docs / ".assistant" / "uploads"
    notes.mkdir(parents=True)
    write(notes / "a.txt", "Une note.")
    write(notes / "b.txt", "Une autre note.")
    synced(catalog, embeddings, notes)

    assert str(synced(catalog, embeddings, docs)) == "+3 ~0 -0 =0"

    (notes / "b.txt").unlink()
    assert str(synced(catalog, embeddings, docs, notes)) == "+0 ~0 -1 =4"


def test_links_out_of_the_folder_are_skipped_and_reported(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    write(tmp_path / "outside" / "secret.txt", "Un secret.")
    (docs / "file.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (docs / "folder").symlink_to(tmp_path / "outside")
    (docs / "nothing.txt").symlink_to(tmp_path / "nothing")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {
        "file.txt": f"a link out of {docs}",
        "folder": f"a link out of {docs}",
        "nothing.txt": "a link to nothing",
    }
    assert "secret" not in str(content(catalog))


def test_links_within_the_folder_are_indexed_once_and_may_form_a_circle(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    (docs / "deep" / "up").symlink_to(docs)
    (docs / "same.txt").symlink_to(docs / "chat.txt")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+3 ~0 -0 =0"
    assert len(catalog.hashes()) == 3


def test_a_link_to_something_hidden_shows_nothing_of_it(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    (docs / ".private").mkdir()
    write(docs / ".private" / "key.txt", "Un secret.")
    (docs / "key.txt").symlink_to(docs / ".private" / "key.txt")

    report = synced(catalog, embeddings, docs)

    assert reasons(report)["key.txt"] == "a link to something hidden"
    assert catalog.counts()[0] == 3


def test_a_kind_without_a_loader_is_a_row_of_the_report(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "film.mp4", "x")
    write(docs / "README", "x")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {
        "film.mp4": "no loader for .mp4",
        "README": "no loader for files without a suffix",
    }
    assert report.added == 3


def test_a_pipe_is_not_waited_for(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    os.mkfifo(docs / "pipe.txt")
    assert reasons(synced(catalog, embeddings, docs)) == {"pipe.txt": "not a regular file"}


def test_a_name_that_is_no_text_is_a_row_that_can_be_printed(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    os.close(os.open(os.fsencode(docs) + b"/caf\xe9.txt", os.O_CREAT))

    [row] = synced(catalog, embeddings, docs).unreadable

    assert row.path.encode().endswith("caf�.txt".encode())
    assert row.reason == "its name is not Unicode; rename it"


def test_a_file_without_text_is_a_row_of_the_report(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "vide.txt", " \n\t ")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {"vide.txt": "no text in it"}
    assert str(report) == "+3 ~0 -0 =0"


def test_a_file_that_can_no_longer_be_read_keeps_what_is_indexed_of_it(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    (docs / "chat.txt").write_bytes(b"\x00\x01\x02" * 500)

    report = synced(catalog, embeddings, docs)

    assert list(reasons(report)) == ["chat.txt"]
    assert str(report) == "+0 ~0 -0 =2"
    assert "Le chat dort" in content(catalog)["chat.txt"]


def test_documents_are_reported_in_the_order_of_their_paths_one_by_one(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "vide.txt", " ")
    seen: list[tuple[Progress, int]] = []

    planned = plan([docs], catalog)
    sync(planned, catalog, splitter, embeddings, lambda p: seen.append((p, catalog.counts()[0])))

    assert [(p.documents, p.documents_in_all, Path(p.path).name, stored) for p, stored in seen] == [
        (0, 4, "vide.txt", 0),  # embedded, and not yet stored
        (1, 4, "chat.txt", 1),
        (2, 4, "chien.txt", 2),
        (3, 4, "loup.txt", 3),
        (4, 4, "vide.txt", 3),
    ]
    assert [p.chunks for p, _ in seen] == [catalog.counts()[1]] * 5


def test_a_plan_says_what_the_sync_then_does_and_changes_nothing(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    write(docs / "neuf.txt", "Du neuf.")
    write(docs / "chien.txt", "Un autre chien.")
    (docs / "chat.txt").unlink()
    (docs / "deep" / "loup.txt").rename(docs / "loup.txt")
    before = catalog.sources()

    planned = plan([docs], catalog)

    assert catalog.sources() == before
    assert str(planned.report) == "+1 ~1 -1 =1"
    assert sync(planned, catalog, splitter, embeddings, lambda _: None) == planned.report


def test_a_file_that_changes_after_the_plan_is_reported_and_not_stored_under_a_wrong_hash(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    planned = plan([docs], catalog)
    write(docs / "chat.txt", "Tout autre chose.")

    report = sync(planned, catalog, splitter, embeddings, lambda _: None)

    assert reasons(report) == {"chat.txt": "it changed while it was read; index again"}
    assert str(report) == "+2 ~0 -0 =0"
    assert str(synced(catalog, embeddings, docs)) == "+1 ~0 -0 =2"


def test_a_file_that_grows_while_it_is_read_is_reported_and_read_whole_by_the_next_sync(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    def load_as_it_grows(file: Path) -> list[Document]:
        documents = load(file)
        if file.name == "chat.txt":
            with file.open("a", encoding="utf-8") as growing:
                growing.write(" Il ronronne.")
        return documents

    report = sync(plan([docs], catalog), catalog, splitter, embeddings, lambda _: None, load=load_as_it_grows)

    assert reasons(report) == {"chat.txt": "it changed while it was read; index again"}
    assert str(report) == "+2 ~0 -0 =0"
    synced(catalog, embeddings, docs)
    assert content(catalog)["chat.txt"].endswith("Il ronronne.")


def test_a_file_that_a_pipe_takes_the_place_of_while_it_is_read_is_not_waited_for(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    def load_and_replace(file: Path) -> list[Document]:
        documents = load(file)
        if file.name == "chat.txt":
            file.unlink()
            os.mkfifo(file)
        return documents

    report = sync(plan([docs], catalog), catalog, splitter, embeddings, lambda _: None, load=load_and_replace)

    assert reasons(report) == {"chat.txt": "not a regular file"}
    assert report.added == 2


def test_a_file_that_vanishes_after_the_plan_is_a_row_of_the_report(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    planned = plan([docs], catalog)
    (docs / "chat.txt").unlink()

    report = sync(planned, catalog, splitter, embeddings, lambda _: None)

    assert list(reasons(report)) == ["chat.txt"]
    assert report.added == 2


def test_a_sync_that_breaks_off_is_finished_by_the_next_with_the_same_ids(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, tmp_path: Path
) -> None:
    whole = Catalog.create(tmp_path / "whole.sqlite", "hashing")
    synced(whole, embeddings, docs)

    class Broken(Exception):
        pass

    def break_off(progress: Progress) -> None:
        if progress.documents == 2:
            raise Broken

    with pytest.raises(Broken):
        sync(plan([docs], catalog), catalog, splitter, embeddings, break_off)
    assert catalog.counts()[0] == 2
    synced(catalog, embeddings, docs)

    assert ids(catalog) == ids(whole)
    whole.close()


def test_many_small_documents_are_embedded_together(catalog: Catalog, tmp_path: Path) -> None:
    class Counting(HashingEmbeddings):
        calls = 0

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.calls += 1
            assert len(texts) <= CALL_TEXTS
            return super().embed_documents(texts)

    (tmp_path / "many").mkdir()
    for number in range(300):
        write(tmp_path / "many" / f"{number}.txt", f"Texte numéro {number}.")
    embeddings = Counting()

    synced(catalog, embeddings, tmp_path / "many")

    of_each_batch = [ceil(chunks / CALL_TEXTS) for chunks in (BATCH_CHUNKS, 300 - BATCH_CHUNKS)]
    assert (embeddings.texts_embedded, embeddings.calls) == (300, sum(of_each_batch))


def read_pages(content: bytes) -> Loaded:
    """Read a kind of file with pages, parted by form feeds; a page is a chapter."""
    text = content.decode("utf-8", "surrogatepass")
    if text.startswith("bad"):
        raise UnreadableFile("it is bad")
    parts = [Part(page, number, (f"Chapitre {number}",)) for number, page in enumerate(text.split("\f"), start=1)]
    return Loaded(parts, title="Livre", date="2024-01-01", author="Anne Martin")


@pytest.fixture
def pages() -> Iterator[None]:
    LOADERS["pages"] = Loader(read_pages, version=1, megabytes=1, suffixes=(".pages",))
    yield
    del LOADERS["pages"]


@pytest.mark.usefixtures("pages")
def test_pages_are_joined_and_every_chunk_knows_its_page(
    catalog: Catalog, tmp_path: Path, embeddings: HashingEmbeddings
) -> None:
    texts = ["Première page. " * 10, "Deuxième page 😀. " * 10, "Troisième."]
    file = tmp_path / "livre.pages"
    write(file, "\f".join(texts))

    synced(catalog, embeddings, file)

    [source] = catalog.sources()
    text = catalog.text(source.id)
    passages = catalog.passages([(id, 0.0) for id in ids(catalog)])
    assert text == "\n\n".join(texts)
    assert (source.title, source.date, source.author) == ("Livre", "2024-01-01", "Anne Martin")
    assert {(passage.page, passage.section) for passage in passages} == {
        (1, "Chapitre 1"),
        (2, "Chapitre 2"),
        (3, "Chapitre 3"),
    }
    for passage in passages:
        assert text[passage.start : passage.end] == passage.text
        assert passage.text in texts[(passage.page or 0) - 1]


HEADINGS = st.from_regex(r"#{1,3} [A-C]{1,3}\n", fullmatch=True)
LINES = st.text(alphabet="ab é😀\u00ad\ufb01\0.\n", max_size=120).map(lambda line: line.replace("#", "") + "\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.one_of(HEADINGS, LINES), max_size=12))
@example(pieces=["# B\n", "# A\n", "# B\n"])
@example(pieces=["### A\n", "### B\n"] * 6)
def test_every_chunk_stands_in_the_stored_text_below_the_headings_of_its_section(
    catalog: Catalog, tmp_path: Path, embeddings: HashingEmbeddings, pieces: list[str]
) -> None:
    file = tmp_path / "notes.md"
    write(file, "".join(pieces))
    # Headings with nothing between them stay in one chunk.
    large = SentenceSplitter(word_spans, chunk_tokens=100, overlap_tokens=5)

    sync(plan([file], catalog), catalog, large, embeddings, lambda _: None)

    for source in catalog.sources():
        text = catalog.text(source.id)
        for passage in catalog.passages([(id, 0.0) for id in ids(catalog)]):
            assert text[passage.start : passage.end] == passage.text
            above = re.findall(r"^#{1,3} ([A-C]+)$", text[: passage.end], re.MULTILINE)
            if passage.section is None:
                assert above == [] or above[-1] == source.title
            else:
                assert above[-1] == passage.section.split(" › ")[-1]


@pytest.mark.usefixtures("pages")
def test_characters_that_no_database_takes_are_replaced_one_by_one(
    catalog: Catalog, tmp_path: Path, embeddings: HashingEmbeddings
) -> None:
    file = tmp_path / "étrange.pages"
    file.write_bytes("Un nul \0 et un demi \ud83d signe. Une fin.".encode("utf-8", "surrogatepass"))

    synced(catalog, embeddings, file)

    [source] = catalog.sources()
    assert catalog.text(source.id) == "Un nul   et un demi ? signe. Une fin."
    [passage] = catalog.passages([(id, 0.0) for id in ids(catalog)])
    assert passage.text.endswith("Une fin.")


@pytest.mark.usefixtures("pages")
def test_a_copy_that_can_be_read_speaks_for_one_that_cannot(
    catalog: Catalog, tmp_path: Path, embeddings: HashingEmbeddings
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    write(docs / "a.pages", "bad luck for pages")
    write(docs / "b.txt", "bad luck for pages")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+1 ~0 -0 =0"
    assert report.unreadable == ()


@pytest.mark.usefixtures("pages")
def test_what_is_indexed_of_a_kind_that_is_no_longer_read_is_kept(
    catalog: Catalog, tmp_path: Path, embeddings: HashingEmbeddings
) -> None:
    write(tmp_path / "livre.pages", "Une page.")
    synced(catalog, embeddings, tmp_path / "livre.pages")
    loader = LOADERS.pop("pages")

    report = synced(catalog, embeddings, tmp_path / "livre.pages")
    LOADERS["pages"] = loader

    assert reasons(report) == {"livre.pages": "no loader for .pages"}
    assert content(catalog) == {"livre.pages": "Une page."}


class Rewriting(CharacterTextSplitter):
    """A splitter that gives other text than it was given."""

    def split_text(self, text: str) -> list[str]:
        return [text.upper()]


@pytest.mark.parametrize(
    "foreign",
    [
        RecursiveCharacterTextSplitter(chunk_size=20, chunk_overlap=0),  # gives no start_index
        Rewriting(add_start_index=True),
    ],
    ids=["no start_index", "rewriting"],
)
def test_a_splitter_whose_chunks_are_not_where_they_say_is_refused(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, foreign: TextSplitter
) -> None:
    with pytest.raises(IndexingError, match=r"chat.txt that is not at its start_index .*add_start_index"):
        sync(plan([docs], catalog), catalog, foreign, embeddings, lambda _: None)
    assert catalog.counts() == (0, 0)


def test_a_plan_whose_documents_are_gone_is_refused_whole(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    write(docs / "copie.txt", "Le chien garde la maison.")
    stale: Plan = plan([docs], catalog)
    (docs / "chien.txt").unlink()
    (docs / "copie.txt").unlink()
    synced(catalog, embeddings, docs)

    with pytest.raises(IndexingError, match=r"No document .* is indexed"):
        sync(stale, catalog, splitter, embeddings, lambda _: None)
    assert set(content(catalog)) == {"chat.txt", "loup.txt"}


def test_a_store_that_fails_stops_the_sync(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, tmp_path: Path
) -> None:
    planned = plan([docs], catalog)
    catalog.close()
    (tmp_path / "index" / "catalog.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreUnavailable):
        sync(planned, catalog, splitter, embeddings, lambda _: None)


@pytest.mark.usefixtures("pages")
def test_a_document_that_an_older_loader_has_read_is_read_again(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "livre.pages", "Une page.")
    synced(catalog, embeddings, docs)
    assert catalog.loaders()[catalog.hashes()[str(docs / "livre.pages")]] == "pages/1"
    LOADERS["pages"] = replace(LOADERS["pages"], version=2)
    before = embeddings.texts_embedded

    planned = plan([docs], catalog)
    report = sync(planned, catalog, splitter, embeddings, lambda _: None)

    assert lines(planned) == [("updated", "livre.pages", None)]
    assert str(report) == str(planned.report) == "+0 ~1 -0 =3"
    assert embeddings.texts_embedded == before + 1
    assert catalog.loaders()[catalog.hashes()[str(docs / "livre.pages")]] == "pages/2"
    assert str(synced(catalog, embeddings, docs)) == "+0 ~0 -0 =4"


def test_a_file_whose_new_name_gives_it_another_loader_is_read_again(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    (docs / "chat.txt").rename(docs / "chat.md")

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~1 -0 =2"
    assert catalog.loaders()[catalog.hashes()[str(docs / "chat.md")]] == "markdown/1"
    assert str(docs / "chat.txt") not in catalog.hashes()


def test_copies_of_two_kinds_are_read_by_the_loader_of_either(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    write(docs / "chat.md", (docs / "chat.txt").read_text("utf-8"))
    assert str(synced(catalog, embeddings, docs)) == "+0 ~0 -0 =3"
    (docs / "chat.txt").unlink()

    report = synced(catalog, embeddings, docs)

    assert str(report) == "+0 ~1 -0 =2"


def test_a_document_that_lies_elsewhere_too_is_not_judged_by_the_files_seen_here(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, tmp_path: Path
) -> None:
    synced(catalog, embeddings, docs)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "chat.md", (docs / "chat.txt").read_text("utf-8"))

    assert str(synced(catalog, embeddings, tmp_path / "other")) == "+0 ~0 -0 =1"
    assert str(synced(catalog, embeddings, tmp_path / "other")) == "+0 ~0 -0 =1"


@pytest.mark.usefixtures("pages")
def test_a_document_that_its_new_loader_cannot_read_stays_as_the_old_one_has_read_it(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "livre.txt", "bad luck for pages")
    synced(catalog, embeddings, docs)
    (docs / "livre.txt").rename(docs / "livre.pages")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {"livre.pages": "it is bad"}
    assert content(catalog)["livre.pages"] == "bad luck for pages"


def test_a_plan_says_path_by_path_what_it_does(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    write(docs / "lapin.txt", "Le lapin creuse.")
    write(docs / "lapin2.txt", "Le lapin creuse.")
    write(docs / "taupe.txt", "La taupe aussi.")
    synced(catalog, embeddings, docs)
    write(docs / "neuf.txt", "Du neuf.")
    write(docs / "neuf2.txt", "Du neuf.")
    write(docs / "chien.txt", "Un autre chien.")
    write(docs / "taupe.txt", "Le lapin creuse.")
    (docs / "chat.txt").unlink()
    (docs / "lapin2.txt").unlink()
    (docs / "deep" / "loup.txt").rename(docs / "loup.txt")

    planned = plan([docs], catalog)

    assert str(planned.report) == "+1 ~1 -2 =2"
    assert lines(planned) == [
        ("updated", "chien.txt", None),
        ("added", "neuf.txt", None),
        ("moved", "loup.txt", "loup.txt"),
        ("copied", "neuf2.txt", "neuf.txt"),
        ("moved", "taupe.txt", "lapin2.txt"),
        ("deleted", "chat.txt", None),
        ("deleted", "taupe.txt", None),
    ]


def test_files_that_swap_their_contents_are_planned_as_two_moves(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    (docs / "chat.txt").rename(docs / "x")
    (docs / "chien.txt").rename(docs / "chat.txt")
    (docs / "x").rename(docs / "chien.txt")

    assert lines(plan([docs], catalog)) == [("moved", "chat.txt", "chien.txt"), ("moved", "chien.txt", "chat.txt")]


@pytest.fixture(params=["emptied", "with nothing to read", "gone"])
def lost(request: pytest.FixtureRequest, catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> Path:
    """Index a folder, then lose all of its files, as when a disc is not mounted."""
    synced(catalog, embeddings, docs)
    docs.rename(docs.parent / "elsewhere")
    if request.param != "gone":
        docs.mkdir()
    if request.param == "with nothing to read":
        (docs / ".hidden").touch()
        (docs / "film.mp4").touch()
    return docs


def test_a_folder_that_has_lost_all_it_held_is_not_forgotten_but_asked_about(catalog: Catalog, lost: Path) -> None:
    before = catalog.sources()

    with pytest.raises(NothingToIndex, match=rf"{lost} .*Is a disc not mounted\?.*assistant index --remove {lost}"):
        plan([lost], catalog)

    assert catalog.sources() == before


def test_a_folder_whose_files_were_all_moved_to_another_that_is_named_too_has_lost_nothing(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    docs.rename(docs.parent / "elsewhere")
    docs.mkdir()

    report = synced(catalog, embeddings, docs, docs.parent / "elsewhere")

    assert str(report) == "+0 ~0 -0 =3"


def test_a_circle_of_links_is_a_link_to_nothing(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    (docs / "circle").symlink_to("circle")
    (docs / "circle.txt").symlink_to("circle")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {"circle": "a link to nothing", "circle.txt": "a link to nothing"}
    with pytest.raises(NothingToIndex, match="circle: Too many levels of symbolic links"):
        plan([docs / "circle"], catalog)


def test_an_index_in_the_folder_is_left_out(catalog: Catalog, docs: Path, embeddings: HashingEmbeddings) -> None:
    index = docs / "index"
    index.mkdir()
    for name in ("lock", "catalog.sqlite", "notes.txt"):
        write(index / name, "Un chat.")

    report = synced(catalog, embeddings, docs)

    assert reasons(report) == {"index": "an index"}
    assert report.added == 3


def test_what_was_named_is_remembered_until_nothing_is_indexed_of_it(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs / "deep", docs / "chat.txt")
    synced(catalog, embeddings, docs)
    assert catalog.roots() == [str(docs), str(docs / "chat.txt"), str(docs / "deep")]
    (docs / "chat.txt").unlink()

    synced(catalog, embeddings, docs)

    assert catalog.roots() == [str(docs), str(docs / "deep")]


class Stopping(HashingEmbeddings):
    """Asks to stop at this call."""

    def __init__(self, calls: int, ask: Callable[[], None]) -> None:
        super().__init__()
        self.calls = calls
        self.ask = ask

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls -= 1
        if self.calls == 0:
            self.ask()
        return super().embed_documents(texts)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Make documents for two batches: short ones, one of many chunks, and short ones."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(80):
        write(many / f"{number:03}.txt", f"Texte numéro {number}.")
    write(many / "040.txt", "\n\n".join(f"Une phrase plus longue, la numéro {n}, qui dure." for n in range(300)))
    return many


@pytest.fixture
def undisturbed(many: Path, embeddings: HashingEmbeddings, tmp_path: Path) -> Iterator[Catalog]:
    """Give a catalog of these documents whose sync nobody stopped."""
    undisturbed = Catalog.create(tmp_path / "undisturbed.sqlite", "hashing")
    synced(undisturbed, embeddings, many)
    yield undisturbed
    undisturbed.close()


@pytest.mark.parametrize("calls", [1, 2, 4, 9])
@pytest.mark.parametrize("ask", [Stop.ask, Stop.interrupt])
def test_a_sync_stopped_while_it_embeds_has_written_whole_documents_and_the_next_writes_the_rest(
    catalog: Catalog, undisturbed: Catalog, many: Path, calls: int, ask: Callable[[Stop], None]
) -> None:
    stop = Stop()
    embeddings = Stopping(calls, partial(ask, stop))
    stopped = sync(plan([many], catalog), catalog, splitter, embeddings, lambda _: None, stop=stop)
    left = catalog.sources()

    assert stopped.added == stopped.indexed == len(left)
    assert stopped.added + stopped.pending == 80
    assert stopped.pending > 0
    whole = {source.id: source for source in undisturbed.sources()}
    assert all(source == whole[source.id] for source in left)

    before = embeddings.texts_embedded
    report = synced(catalog, embeddings, many)

    assert str(report) == f"+{stopped.pending} ~0 -0 ={stopped.added}"
    assert embeddings.texts_embedded - before == undisturbed.counts()[1] - sum(source.chunks for source in left)
    assert sorted(ids(catalog)) == sorted(ids(undisturbed))


def test_a_sync_stopped_in_a_batch_keeps_the_documents_that_were_embedded(catalog: Catalog, many: Path) -> None:
    stop = Stop()

    stopping = Stopping(40 // CALL_TEXTS, stop.ask)
    report = sync(plan([many], catalog), catalog, splitter, stopping, lambda _: None, stop=stop)

    assert BATCH_CHUNKS > 40
    assert report.added == 40  # the short ones before the long one: they were embedded first
    assert str(many / "040.txt") not in catalog.hashes()


def test_a_sync_is_stopped_by_whoever_is_told_of_its_progress(
    catalog: Catalog, many: Path, embeddings: HashingEmbeddings
) -> None:
    stop = Stop()

    def first_seen(progress: Progress) -> None:
        if progress.documents == 5:
            stop.ask()

    report = sync(plan([many], catalog), catalog, splitter, embeddings, first_seen, stop=stop)

    assert report.added == catalog.counts()[0]
    assert report.pending == 80 - report.added > 0


def test_a_sync_that_is_stopped_has_deleted_what_is_gone(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)
    (docs / "chat.txt").unlink()
    write(docs / "neuf.txt", "Du neuf.")
    planned = plan([docs], catalog)
    stop = Stop()
    stop.ask()

    report = sync(planned, catalog, splitter, embeddings, lambda _: None, stop=stop)

    assert (str(report), report.pending) == ("+0 ~0 -1 =2", 1)
    assert set(content(catalog)) == {"chien.txt", "loup.txt"}


def test_a_plan_can_be_stopped(catalog: Catalog, docs: Path) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped):
        plan([docs], catalog, stop)


def test_progress_tells_how_many_chunks_were_embedded_before_a_long_document_is_done(
    catalog: Catalog, many: Path, embeddings: HashingEmbeddings
) -> None:
    seen: list[Progress] = []

    sync(plan([many], catalog), catalog, splitter, embeddings, seen.append)

    assert [p.chunks for p in seen if not p.documents][:3] == [CALL_TEXTS, 2 * CALL_TEXTS, 3 * CALL_TEXTS]
    assert [p.documents for p in seen] == sorted(p.documents for p in seen)
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen)
    assert (seen[-1].documents, seen[-1].chunks, seen[-1].seconds_left) == (80, catalog.counts()[1], 0)


def forgotten(catalog: Catalog, *sources: str | Path) -> SyncReport:
    planned = removal([*map(str, sources)], catalog)
    catalog.forget(planned.remove)
    return planned.report


def test_a_document_is_forgotten_by_its_id_or_the_path_of_its_file_with_all_its_copies(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(docs / "copie.txt", "Le chien garde la maison.")
    synced(catalog, embeddings, docs)
    [chat, *_] = catalog.sources()
    monkeypatch.chdir(docs)
    (docs / "copie.txt").unlink()

    report = forgotten(catalog, chat.id, "copie.txt")

    assert report.deleted == 2
    assert list(catalog.hashes()) == [str(docs / "deep" / "loup.txt")]


def test_a_folder_is_forgotten_with_all_below_it_but_not_what_lies_elsewhere_too(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    write(docs / "deep" / "copie.txt", "Le chien garde la maison.")
    synced(catalog, embeddings, docs, docs / "deep")

    report = forgotten(catalog, docs / "deep")

    assert report.deleted == 1
    assert sorted(catalog.hashes()) == [str(docs / "chat.txt"), str(docs / "chien.txt")]
    assert catalog.roots() == [str(docs)]


def test_nothing_is_forgotten_where_one_of_the_names_is_unknown(
    catalog: Catalog, docs: Path, embeddings: HashingEmbeddings
) -> None:
    synced(catalog, embeddings, docs)

    with pytest.raises(SourceNotFound, match=r"Nothing is indexed under .*nowhere.txt\. .*assistant sources"):
        removal([str(docs / "chat.txt"), str(docs / "nowhere.txt")], catalog)
