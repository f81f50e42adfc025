"""From files to a searchable store. Names are loaded when they are first used, so that importing this costs nothing."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.build import (
        Index,
        create_index,
        export_index,
        import_index,
        open_catalog,
        open_index,
        open_mismatched,
        rebuild_index,
    )
    from index.catalog import Catalog
    from index.embed import SentenceTransformerEmbeddings, TokenVectors
    from index.errors import (
        EmbeddingMismatch,
        EmbeddingUnavailable,
        IndexingError,
        IndexLocked,
        IndexNotFound,
        InvalidArchive,
        InvalidFilter,
        NothingToIndex,
        SourceNotFound,
        StoreLost,
        StoreUnavailable,
        UnreadableFile,
    )
    from index.language import detect
    from index.queue import Comparing, Job, Step, SyncQueue, Waiting
    from index.replica import following
    from index.search import HybridRetriever
    from index.settings import IndexSettings
    from index.split import SentenceSplitter
    from index.stop import Stop, Stopped
    from index.sync import PathChange, Plan, plan, removal
    from index.types import ChunkMetadata, File, Filter, Passage, Progress, Source, SyncReport, Unreadable

__all__ = [
    "Catalog",
    "ChunkMetadata",
    "Comparing",
    "EmbeddingMismatch",
    "EmbeddingUnavailable",
    "File",
    "Filter",
    "HybridRetriever",
    "Index",
    "IndexLocked",
    "IndexNotFound",
    "IndexSettings",
    "IndexingError",
    "InvalidArchive",
    "InvalidFilter",
    "Job",
    "NothingToIndex",
    "Passage",
    "PathChange",
    "Plan",
    "Progress",
    "SentenceSplitter",
    "SentenceTransformerEmbeddings",
    "Source",
    "SourceNotFound",
    "Step",
    "Stop",
    "Stopped",
    "StoreLost",
    "StoreUnavailable",
    "SyncQueue",
    "SyncReport",
    "TokenVectors",
    "Unreadable",
    "UnreadableFile",
    "Waiting",
    "create_index",
    "detect",
    "export_index",
    "following",
    "import_index",
    "open_catalog",
    "open_index",
    "open_mismatched",
    "plan",
    "rebuild_index",
    "removal",
]

_MODULES = {
    "build": (
        "Index",
        "create_index",
        "export_index",
        "import_index",
        "open_catalog",
        "open_index",
        "open_mismatched",
        "rebuild_index",
    ),
    "catalog": ("Catalog",),
    "embed": ("SentenceTransformerEmbeddings", "TokenVectors"),
    "errors": (
        "EmbeddingMismatch",
        "EmbeddingUnavailable",
        "IndexLocked",
        "IndexNotFound",
        "IndexingError",
        "InvalidArchive",
        "InvalidFilter",
        "NothingToIndex",
        "SourceNotFound",
        "StoreLost",
        "StoreUnavailable",
        "UnreadableFile",
    ),
    "language": ("detect",),
    "queue": ("Comparing", "Job", "Step", "SyncQueue", "Waiting"),
    "replica": ("following",),
    "search": ("HybridRetriever",),
    "settings": ("IndexSettings",),
    "split": ("SentenceSplitter",),
    "stop": ("Stop", "Stopped"),
    "sync": ("PathChange", "Plan", "plan", "removal"),
    "types": ("ChunkMetadata", "File", "Filter", "Passage", "Progress", "Source", "SyncReport", "Unreadable"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'index' has no attribute {name!r}")
    return getattr(importlib.import_module(f"index.{_MODULE_OF[name]}"), name)
