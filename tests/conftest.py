from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import URL

from tests.chroma import ChromaServer
from tests.network import close_network
from tests.postgres import PostgresServer

close_network()

# A machine that is busy is no fault of what is tested. The second: --hypothesis-profile many
settings.register_profile("few", max_examples=50, deadline=None)
settings.register_profile("many", max_examples=10_000, deadline=None)
settings.load_profile("few")


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


@pytest.fixture(scope="session")
def postgres_process() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_process: PostgresServer) -> PostgresServer:
    """A PostgreSQL server that runs; started again when the test before cut it off."""
    postgres_process.run()
    return postgres_process


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[URL]:
    """An empty place in PostgreSQL."""
    with postgres.schema() as url:
        yield url
