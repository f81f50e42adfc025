"""Whatever becomes of the files, after each sync the index is what a new one of the same files would be."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from index.catalog import Catalog
from index.split import SentenceSplitter
from index.stop import NEVER, Stop
from index.sync import plan, sync
from index.types import SyncReport
from tests.fakes import HashingEmbeddings, word_spans

PLACES = st.sampled_from(["a.md", "b.md", "deep/c.md", "deep/down/d.md"])
WHICH = st.integers(0, 4)
"""Of the files that there are."""
SUBJECTS = ["chat", "chien", "loup"]
TEXTS = st.sampled_from(
    [f"# Le {one}\n\n" + f"Le {one} dort. Il rêve.\n" * many for one in SUBJECTS for many in (1, 9)]
)
UNREADABLE = (b"\x00\x01\x02" * 500, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 500)
"""No text; and a kind that is not read, whatever its name."""
SPLITTER = SentenceSplitter(word_spans, chunk_tokens=20, overlap_tokens=5)


class Folder(RuleBasedStateMachine):
    """A folder that people work in, and the index of it."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(mkdtemp())
        self.docs = self.home / "docs"
        self.docs.mkdir()
        # A folder that holds nothing any more is a matter of its own.
        self.write("always.md", "# Le hibou\n\nLe hibou reste.\n")
        self.catalog = Catalog.create(self.home / "index" / "catalog.sqlite", "hashing")
        self.known: dict[str, str] = {}
        """What is indexed, by path."""
        for place, subject in zip(("a.md", "b.md", "deep/c.md"), SUBJECTS, strict=True):
            self.write(place, f"# Le {subject}\n\nLe {subject} dort.\n")
        self.sync_to_the_end()

    @rule(place=PLACES, text=TEXTS)
    def write(self, place: str, text: str) -> None:
        file = self.docs / place
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            shutil.rmtree(file)
        file.write_text(text, "utf-8")

    @rule(which=WHICH, content=st.sampled_from(UNREADABLE))
    def make_unreadable(self, which: int, content: bytes) -> None:
        if file := self.file(which):
            file.write_bytes(content)

    @rule(which=WHICH, to=PLACES, stays=st.booleans())
    def move_or_copy(self, which: int, to: str, stays: bool) -> None:
        file, target = self.file(which), self.docs / to
        if file and not target.is_dir() and file != target:
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copy if stays else shutil.move)(file, target)

    @rule(which=WHICH, folder=st.booleans())
    def remove(self, which: int, folder: bool) -> None:
        if not (file := self.file(which)):
            return
        if folder and file.parent != self.docs:
            shutil.rmtree(file.parent)
        else:
            file.unlink()

    @rule(place=PLACES)
    def put_a_folder_there(self, place: str) -> None:
        if not (self.docs / place).exists():
            (self.docs / place).mkdir(parents=True)

    @rule(documents=st.integers(0, 3))
    def sync_and_stop(self, documents: int) -> None:
        on_disk = self.readable()
        self.synced(self.catalog, Stop(), documents)

        indexed = self.indexed(self.catalog)
        assert all(text in (self.known.get(path), on_disk.get(path)) for path, text in indexed.items())
        self.known = indexed

    @rule()
    def sync_to_the_end(self) -> None:
        report = self.synced(self.catalog)

        read = self.readable()
        unread = {str(file) for file in self.docs.rglob("*") if file.is_file()} - read.keys()
        assert report.pending == 0
        assert {row.path for row in report.unreadable} == unread
        # Of a file that became unreadable stays what was indexed of it.
        self.known = {path: text for path, text in self.known.items() if path in unread} | read
        assert self.indexed(self.catalog) == self.known
        if self.known == read:
            with new_catalog(self.home) as another:
                self.synced(another)
                assert everything(self.catalog) == everything(another)
        before = self.catalog.position
        self.synced(self.catalog)
        assert self.catalog.position == before

    def synced(self, catalog: Catalog, stop: Stop = NEVER, documents: int = 99) -> SyncReport:
        def ask(progress: object) -> None:
            if progress.documents >= documents:  # type: ignore[attr-defined]
                stop.ask()

        report = sync(plan([self.docs], catalog), catalog, SPLITTER, HashingEmbeddings(16), ask, stop=stop)
        for document in (change.document for change in catalog.changes(0) if change.document):
            assert document.chunks
            assert all(document.text.startswith(chunk.text, chunk.start) for chunk in document.chunks)
        return report

    def file(self, which: int) -> Path | None:
        files = sorted(file for file in self.docs.rglob("*.md") if file.is_file() and file.name != "always.md")
        return files[which % len(files)] if files else None

    def readable(self) -> dict[str, str]:
        files = (file for file in self.docs.rglob("*") if file.is_file())
        return {str(file): file.read_text("utf-8") for file in files if file.read_bytes() not in UNREADABLE}

    def indexed(self, catalog: Catalog) -> dict[str, str]:
        return {path: catalog.text(source.id) for source in catalog.sources() for path in source.paths}

    def teardown(self) -> None:
        self.sync_to_the_end()
        self.catalog.close()
        shutil.rmtree(self.home)


@contextmanager
def new_catalog(home: Path) -> Iterator[Catalog]:
    folder = Path(mkdtemp(dir=home))
    catalog = Catalog.create(folder / "catalog.sqlite", "hashing")
    yield catalog
    catalog.close()
    shutil.rmtree(folder)


def everything(catalog: Catalog) -> tuple[object, ...]:
    """Give all that a catalog holds, but for the order in which it came."""
    documents = [change.document for change in catalog.changes(0) if change.document]
    chunks = {id: chunk.vector.tolist() for document in documents for id, chunk in document.chunks_by_id()}
    return sorted(catalog.sources(), key=lambda source: source.id), catalog.hashes(), chunks


TestFolder = Folder.TestCase
TestFolder.settings = settings(max_examples=settings.default.max_examples // 5, stateful_step_count=12)
