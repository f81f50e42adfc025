"""The tools of `assistant mcp`, used by the client of the protocol's own SDK, with the real model."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from assistant import AssistantSettings, open_assistant
from assistant.owner import published
from assistant.web.app import create_app
from assistant.web.mcp import PIECE_CHARACTERS, OwnDocuments, OwnersDocuments, mcp_app
from index import IndexSettings, SyncQueue, create_index, open_catalog, open_index, plan
from tests.browser.serving import serving
from tests.processes import start_command
from tests.threads import alone

ARMISTICE = "L'armistice fut signé le 11 novembre 1918 à Rethondes. Il mit fin aux combats à l'Ouest."
LONG = "La tour de Valbourg fut achevée en 1889. " + "On la repeint tous les sept ans. " * 1_000
QUESTION = {"question": "Quand fut signé l'armistice ?"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two documents and their index."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "armistice.txt").write_text(ARMISTICE, "utf-8")
    (folder / "tour.txt").write_text(LONG, "utf-8")
    with create_index(IndexSettings(path=folder / ".index")) as index:
        index.sync(plan([folder], index.catalog), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    copy = shutil.copytree(folder / ".index", tmp_path_factory.mktemp("served") / "index")
    with (
        open_index(IndexSettings(path=copy)) as index,
        serving(mcp_app(OwnDocuments(open_assistant(index, AssistantSettings())))) as address,
    ):
        yield address


@pytest.fixture(scope="module")
def owned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose index a server owns, as `assistant serve` does."""
    copy = tmp_path_factory.mktemp("owned")
    shutil.copytree(folder / ".index", copy / ".index")
    with open_index(IndexSettings(path=copy / ".index")) as index, SyncQueue(index) as queue:
        app = create_app(open_assistant(index, AssistantSettings()), queue, secret="a secret of this run")
        with serving(app) as address, published(index.folder, address, "a secret of this run"):
            yield copy


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "INDEX_PATH": str(folder / ".index")}


@dataclass
class Pipes:
    """`assistant mcp` in a process whose network is closed, and the pipes to its standard input and output."""

    process: BaseProcess
    stdin: Path
    stdout: Path

    @property
    def joined(self) -> StdioServerParameters:
        """A command that passes on what comes and goes."""
        both = f"cat {shlex.quote(str(self.stdout))} & exec cat > {shlex.quote(str(self.stdin))}"
        return StdioServerParameters(command="sh", args=["-c", both])


@contextmanager
def by_stdio(folder: Path) -> Iterator[Pipes]:
    """Run the command until its input ends."""
    with TemporaryDirectory() as place:
        stdin, stdout = Path(place) / "stdin", Path(place) / "stdout"
        os.mkfifo(stdin)
        os.mkfifo(stdout)
        process = start_command(
            "mcp", env=environment(folder), stdin=stdin, stdout=stdout, stderr=Path(place) / "stderr"
        )
        try:
            yield Pipes(process, stdin, stdout)
            process.join(60)
            assert process.exitcode == 0, (Path(place) / "stderr").read_text("utf-8")
        finally:
            process.kill()
            process.join()


def call(server: Any, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """Call tools, one after the other, in one session."""

    async def session() -> list[Any]:
        async with Client(server, read_timeout_seconds=240) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return alone(lambda: asyncio.run(session()))


def told(server: Any, name: str, **arguments: Any) -> dict[str, Any]:
    [result] = call(server, (name, arguments))
    assert not result.is_error, result.content
    return result.structured_content


def refused(server: Any, name: str, **arguments: Any) -> str:
    [result] = call(server, (name, arguments))
    assert result.is_error
    return result.content[0].text


def check_the_three_tools(server: Any) -> None:
    async def session() -> list[dict[str, Any]]:
        async with Client(server, read_timeout_seconds=240) as client:
            answer = (await client.call_tool("ask", QUESTION)).structured_content
            declined = await client.call_tool("ask", {**QUESTION, "since": "2999-01-01"})
            found = await client.call_tool("search", {"query": "tour"})
            quote = answer["citations"][0]
            place = {"source": quote["source"], "start": quote["start"], "characters": len(quote["quote"])}
            piece = await client.call_tool("read_source", place)
            return [answer, *(result.structured_content for result in (declined, found, piece))]

    answer, declined, found, piece = alone(lambda: asyncio.run(session()))

    assert answer["answered"]
    assert piece["text"] == answer["citations"][0]["quote"] == ARMISTICE[:54]
    assert piece["characters"] == len(ARMISTICE)
    assert not declined["answered"]
    assert declined["citations"] == []
    assert any(passage["text"].startswith("La tour de Valbourg") for passage in found["passages"])


def test_the_tools_work_over_standard_input_and_output(folder: Path) -> None:
    with by_stdio(folder) as server:
        check_the_three_tools(server.joined)


def test_the_tools_work_over_http(address: str) -> None:
    check_the_three_tools(f"{address}/mcp")


def test_the_tools_say_what_they_take_and_give(address: str) -> None:
    async def listed() -> Any:
        async with Client(f"{address}/mcp") as client:
            return (await client.list_tools()).tools

    tools = alone(lambda: asyncio.run(listed()))

    assert [tool.name for tool in tools] == ["ask", "search", "read_source"]
    for tool in tools:
        assert tool.description
        assert tool.output_schema["properties"]
        assert tool.annotations.read_only_hint


def test_a_long_document_comes_in_pieces(address: str) -> None:
    [passage] = told(f"{address}/mcp", "search", query="tour de Valbourg", limit=1)["passages"]
    first, second = (
        told(f"{address}/mcp", "read_source", source=passage["source"], start=start) for start in (0, PIECE_CHARACTERS)
    )
    beyond = told(f"{address}/mcp", "read_source", source=passage["source"], start=10**9)

    assert first["text"] + second["text"] == LONG
    assert second["end"] == second["characters"] == len(LONG)
    assert (beyond["text"], beyond["start"]) == ("", len(LONG))


def test_a_filter_narrows_what_is_asked_and_found(address: str) -> None:
    [tower] = told(f"{address}/mcp", "search", query="tour", limit=1)["passages"]
    answer = told(f"{address}/mcp", "ask", **QUESTION, sources=[tower["source"]])
    found = told(f"{address}/mcp", "search", query="armistice", sources=[tower["source"]])

    assert {citation["source"] for citation in answer["citations"]} <= {tower["source"]}
    assert {passage["source"] for passage in found["passages"]} == {tower["source"]}
    assert told(f"{address}/mcp", "search", query="armistice", since="2999-01-01")["passages"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ask", {"question": " "}, "The question is empty"),
        ("ask", {"question": "a" * 2_001}, "2000"),
        ("ask", {**QUESTION, "since": "hier"}, "not a day"),
        ("search", {"query": "tour", "limit": 21}, "20"),
        ("search", {"query": "tour", "sources": ["none"]}, "none"),
        ("read_source", {"source": "../../etc/passwd"}, "No document"),
        ("read_source", {"source": "none", "characters": 10**6}, "20000"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    address: str, name: str, arguments: dict[str, Any], message: str
) -> None:
    assert message in refused(f"{address}/mcp", name, **arguments)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403), ({}, 413)],
)
def test_over_http_other_names_other_pages_and_large_bodies_are_refused(
    address: str, headers: dict[str, str], status: int
) -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}' if headers else b" " * 70_000

    response = httpx.post(
        f"{address}/mcp",
        content=body,
        headers={"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers},
    )

    assert response.status_code == status


def test_standard_output_holds_the_protocol_and_nothing_else(folder: Path) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "ask", "arguments": QUESTION}},
    ]
    with by_stdio(folder) as server, server.stdin.open("w") as stdin, server.stdout.open() as stdout:
        stdin.writelines(json.dumps(message) + "\n" for message in messages)
        stdin.flush()
        lines = [stdout.readline() for _ in range(2)]
        stdin.close()
        lines += stdout.readlines()

    assert [json.loads(line)["id"] for line in lines] == [1, 2]
    assert json.loads(lines[1])["result"]["structuredContent"]["answered"]


def test_while_a_server_owns_the_index_the_tools_hand_their_work_to_it(owned: Path) -> None:
    with by_stdio(owned) as server:
        check_the_three_tools(server.joined)


def test_what_makes_no_sense_to_the_server_is_refused_in_the_same_words(owned: Path) -> None:
    with by_stdio(owned) as server:
        empty, unknown, missing = call(
            server.joined,
            ("ask", {"question": " "}),
            ("search", {"query": "tour", "sources": ["none"]}),
            ("read_source", {"source": "../../etc/passwd"}),
        )

    assert "The question is empty" in empty.content[0].text
    assert "none" in unknown.content[0].text
    assert "No document" in missing.content[0].text
    assert all(result.is_error for result in (empty, unknown, missing))


def test_once_the_server_was_stopped_documents_are_read_and_the_rest_is_said_to_need_it(folder: Path) -> None:
    with serving(mcp_app(OwnersDocuments(IndexSettings(path=folder / ".index")))) as address:
        asked, found = call(f"{address}/mcp", ("ask", QUESTION), ("search", {"query": "tour"}))
        with closing(open_catalog(IndexSettings(path=folder / ".index"))) as catalog:
            [armistice, _] = sorted(catalog.sources(), key=lambda source: source.path)
        piece = told(f"{address}/mcp", "read_source", source=armistice.id)

    assert "was stopped" in asked.content[0].text
    assert "was stopped" in found.content[0].text
    assert piece["text"] == ARMISTICE


def test_an_index_that_another_process_owns_is_said_to_be(folder: Path) -> None:
    with open_index(IndexSettings(path=folder / ".index")):
        done = subprocess.run(
            [sys.executable, "-m", "assistant", "mcp"],
            env=environment(folder),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "is using the index" in done.stderr


def test_the_example_in_readme_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```python\n(import asyncio\n.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)

    alone(lambda: exec(example.replace("http://127.0.0.1:7861", address), {"__name__": "example"}))

    assert capsys.readouterr().out.strip()
