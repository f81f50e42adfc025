"""Looks whether the catalog is sound, and whether both indexes hold what it holds, chunk by chunk; changes nothing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from index.catalog import Catalog, Position, document_of
from index.database import CATALOG
from index.errors import StoreUnavailable
from index.types import Fault

if TYPE_CHECKING:
    from index.vectors import VectorIndex

COMPARED_VECTORS = 1_000


class Held(Protocol):
    """An index that follows the catalog, as far as it is looked at here."""

    @property
    def position(self) -> Position | None:
        """How far it has come."""

    def ids(self) -> set[str]:
        """Which chunks it holds."""

    def fault(self) -> str | None:
        """Say what is wrong with its files."""


def faults(catalog: Catalog, vectors: "VectorIndex | None", lexical: Held | None) -> Iterator[Fault]:
    """Yield what is wrong; nothing where all is well. An index that is None is not looked at.

    What was written to the catalog and is still to be followed is no fault.
    """
    try:
        yield from (Fault(CATALOG, says) for says in catalog.faults())
    except StoreUnavailable as error:
        # With what it says, nothing can be compared.
        yield Fault(CATALOG, str(error))
        return
    for part, held in (("vectors", vectors), ("lexical", lexical)):
        if held is not None:
            found = [*_differences(catalog, held)]
            yield from (Fault(part, says) for says in found)
            if vectors is held and not found:
                yield from (Fault(part, says) for says in _wrong_vectors(catalog, vectors))


def _differences(catalog: Catalog, held: Held) -> Iterator[str]:
    if said := held.fault():
        yield said
        return
    position = held.position
    if position is None or not catalog.reaches(position):
        yield "it was not made from this catalog"
        return
    pending = catalog.changed_since(position.number)
    there, here = held.ids(), catalog.chunk_ids()
    for ids, says in ((here - there, "are missing"), (there - here, "are not in the catalog")):
        if settled := sorted(id for id in ids if document_of(id) not in pending):
            yield f"{len(settled)} chunks {says}: {settled[0]} …"


def _wrong_vectors(catalog: Catalog, vectors: "VectorIndex") -> Iterator[str]:
    stored = catalog.vectors(COMPARED_VECTORS)
    there = vectors.vectors([*stored])
    wrong = sum(not np.allclose(there[id], stored[id], atol=1e-4) for id in there)
    if wrong:
        yield f"{wrong} of {len(there)} vectors that were compared are others than in the catalog"
