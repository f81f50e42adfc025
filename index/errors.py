"""What can go wrong between a file and a searchable index.

IndexingError
├── IndexNotFound          nothing has been indexed at this path
├── IndexLocked            another process owns the folder
├── EmbeddingMismatch      the index was built with another model, other sizes, or by an older version
├── EmbeddingUnavailable   the embedding model is not there, or its files are damaged
├── NothingToIndex         a path that does not exist, or has lost all it held
├── SourceNotFound         no document of this id is indexed
├── InvalidFilter          a filter names a day, a document or a language that is none
├── InvalidArchive         an archive of an index that is damaged, newer, or none
├── UnreadableFile         one file that cannot be read; a row of the report, never an abort
└── StoreUnavailable       the disk is full, the folder is read-only, a store does not answer
    └── StoreLost          what was stored is gone or damaged; the catalog makes it again

A message says what happened, with the value seen, then what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class IndexingError(Exception):
    """Anything that stops indexing or searching; its message is meant for the user."""


class IndexNotFound(IndexingError):
    """Nothing has been indexed at this path."""


class IndexLocked(IndexingError):
    """Another process owns the folder of the index."""


class EmbeddingMismatch(IndexingError):
    """The index was built with another embedding model, other chunk sizes, or by another version."""


class EmbeddingUnavailable(IndexingError):
    """The embedding model cannot be found or opened."""


class NothingToIndex(IndexingError):
    """One of the paths to index does not exist, or held documents and holds none any more."""


class SourceNotFound(IndexingError):
    """No document of this id is indexed."""


class InvalidFilter(IndexingError):
    """A filter names a day, a document or a language that is none."""


class InvalidArchive(IndexingError):
    """An archive of an index is damaged, of a newer version, or none at all."""


class UnreadableFile(IndexingError):
    """One file cannot be read; the message is its reason in plain words."""


class StoreUnavailable(IndexingError):
    """What is stored cannot be written or reached: disk full, folder read-only, server gone."""


class StoreLost(StoreUnavailable):
    """What was stored is no longer there, or damaged; following the catalog makes it again."""


@contextmanager
def usable(what: str, folder: Path, *errors: type[Exception]) -> Iterator[None]:
    """Say what the errors of a library that keeps files in a folder mean for the user.

    what: is in the folder. errors: of the library, beside OSError, ValueError and RuntimeError.

    Raises:
        StoreUnavailable: for each of them, and for a panic of a library in Rust.
    """
    try:
        yield
    except BaseException as error:
        # So fails a library in Rust where it never should: by no Exception, and of no public name.
        is_panic = type(error).__name__ == "PanicException"
        if not (is_panic or isinstance(error, (OSError, ValueError, RuntimeError, *errors))):
            raise
        raise StoreUnavailable(
            f"The {what} {folder} cannot be used: {error}. Check the disk's free space and the "
            "folder's permissions, then try again; or delete this folder, it is made again."
        ) from error
