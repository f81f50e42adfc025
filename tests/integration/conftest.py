import pytest

from index import SentenceTransformerEmbeddings
from index.models import PACKAGED


@pytest.fixture(scope="session")
def embeddings() -> SentenceTransformerEmbeddings:
    """The packaged model, loaded once."""
    return SentenceTransformerEmbeddings(PACKAGED)
