from collections.abc import Iterator

import pytest

from tests.chroma import ChromaServer
from tests.network import close_network

close_network()


@pytest.fixture(scope="session")
def chroma_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path_factory.mktemp("chroma"))
    yield server
    server.kill()


@pytest.fixture
def chroma(chroma_process: ChromaServer) -> ChromaServer:
    """A Chroma server that runs; started again when the test before stopped it."""
    chroma_process.run()
    return chroma_process
