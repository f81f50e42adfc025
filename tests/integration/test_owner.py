"""A command hands its work to the server that owns the index: a real server and a real index, a model that is faked."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import httpx
import pytest

from assistant.errors import InvalidQuestion, OwnerUnreachable
from assistant.owner import Address, Owner, owner_of, published
from assistant.types import Answer
from assistant.web.app import create_app
from index import Filter, Index, IndexSettings, Progress, Stop, Stopped, SyncQueue, Waiting
from index.build import open_or_create, own
from index.errors import InvalidFilter, NothingToIndex, SourceNotFound
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.fakes import Gate, paragraph_recipe

SECRET = "a secret of this run"
QUESTION = "Quand fut signé l'armistice ?"


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="module")
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, gate: Gate) -> Iterator[Index]:
    recipe = replace(paragraph_recipe("hashing", dimension=32), reader=gate.reader)
    with own(IndexSettings(path=tmp_path_factory.mktemp("owned") / "index"), recipe, open_or_create) as index:
        yield index


@pytest.fixture(scope="module")
def address(index: Index, assistant: ScriptedAssistant) -> Iterator[str]:
    with (
        SyncQueue(index) as queue,
        serving(create_app(assistant, queue, secret=SECRET)) as address,
        published(index.folder, address, SECRET),
    ):
        yield address


@pytest.fixture
def owner(address: str, index: Index, gate: Gate) -> Iterator[Owner]:
    """The server, as a command finds it."""
    owner = owner_of(index.folder)
    assert owner is not None
    yield owner
    gate.open.set()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name in ("avoine", "orge", "seigle"):
        (tmp_path / f"{name}.txt").write_text(f"{tmp_path.name} : {name} en fleur.", encoding="utf-8")
    return tmp_path


def ignore(_: object) -> None:
    pass


def test_a_sync_is_done_by_the_server_with_the_progress_and_the_report_of_one_done_here(
    owner: Owner, index: Index, docs: Path
) -> None:
    (docs / "photo.jpg").write_bytes(b"\xff\xd8")
    steps: list[object] = []

    report = owner.sync([docs], steps.append, Stop())

    assert isinstance(steps[-1], Progress)
    assert (steps[-1].documents, steps[-1].documents_in_all) == (3, 3)
    assert str(report) == "+3 ~0 -0 =0"
    assert [row.path for row in report.unreadable] == [str(docs / "photo.jpg")]
    assert {str(docs / "orge.txt")} <= {source.path for source in index.sources()}


def test_a_relative_folder_is_that_of_the_command(owner: Owner, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(docs.parent)

    assert owner.sync([Path(docs.name)], ignore, Stop()).added == 3


def test_what_goes_wrong_there_is_raised_here(owner: Owner, docs: Path) -> None:
    with pytest.raises(NothingToIndex, match="nowhere"):
        owner.sync([docs / "nowhere"], ignore, Stop())
    with pytest.raises(SourceNotFound, match="nowhere"):
        owner.remove([str(docs / "nowhere")], ignore, Stop())
    with pytest.raises(InvalidQuestion):
        owner.ask("  ", [], Filter())


def test_documents_are_forgotten_by_the_server(owner: Owner, index: Index, docs: Path) -> None:
    owner.sync([docs], ignore, Stop())

    report = owner.remove([str(docs / "orge.txt")], ignore, Stop())

    assert report.deleted == 1
    assert str(docs / "orge.txt") not in {source.path for source in index.sources()}


def test_whoever_comes_second_is_told_that_it_waits(owner: Owner, gate: Gate, docs: Path, tmp_path: Path) -> None:
    gate.close()
    first = Thread(target=owner.sync, args=([docs], ignore, Stop()))
    first.start()
    assert gate.reached.wait(30)

    def go_on(step: object) -> None:
        steps.append(step)
        gate.open.set()

    steps: list[object] = []
    report = owner.sync([docs], go_on, Stop())
    first.join(30)

    assert steps[0] == Waiting(1)
    assert str(report) == "+0 ~0 -0 =3"


def test_ctrl_c_here_stops_the_sync_there_which_says_what_is_left(owner: Owner, gate: Gate, docs: Path) -> None:
    gate.close()
    stop = Stop()

    def ask_to_stop(_: object) -> None:
        assert gate.reached.wait(30)
        stop.ask()

    asking = Thread(target=gate.open_when_asked)
    asking.start()
    report = owner.sync([docs], ask_to_stop, stop)
    asking.join(30)

    assert report.pending == 3


def test_ctrl_c_while_it_waits_changes_nothing(owner: Owner, gate: Gate, docs: Path) -> None:
    gate.close()
    first = Thread(target=owner.sync, args=([docs], ignore, Stop()))
    first.start()
    assert gate.reached.wait(30)
    stop = Stop()
    stop.ask()

    with pytest.raises(Stopped):
        owner.sync([docs], lambda _: gate.open.set(), stop)
    first.join(30)


def test_a_command_that_is_killed_has_its_sync_stopped(owner: Owner, gate: Gate, docs: Path, index: Index) -> None:
    gate.close()
    code = (
        "import sys; from pathlib import Path; from assistant.owner import owner_of; from index import Stop\n"
        "owner_of(Path(sys.argv[1])).sync([Path(sys.argv[2])], print, Stop())"
    )
    command = subprocess.Popen([sys.executable, "-c", code, index.folder, docs], stdout=subprocess.DEVNULL)
    assert gate.reached.wait(60)

    command.kill()
    command.wait()
    gate.open_when_asked()

    assert owner.sync([docs], ignore, Stop()).added == 3


def test_a_question_is_answered_as_it_would_be_here(owner: Owner, assistant: ScriptedAssistant) -> None:
    where = Filter(since="2024-01-01", languages=("fr",))
    before = [{"role": "user", "content": "Et avant ?"}]

    answer = owner.ask(QUESTION, before, where)

    assert answer == assistant.ask(QUESTION)
    assert isinstance(answer, Answer)
    assert assistant.filters[-2] == where
    assert assistant.asked[-2] == (QUESTION, before)


def test_an_error_in_answering_is_told_to_the_owner_in_full(owner: Owner, assistant: ScriptedAssistant) -> None:
    assistant.raises = InvalidFilter("no document 'x'")
    try:
        with pytest.raises(InvalidFilter, match="no document 'x'"):
            owner.ask(QUESTION, [], Filter())
    finally:
        assistant.raises = None


@pytest.mark.parametrize("route", ["sync", "remove", "stop", "ask", "search"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": SECRET}, {"Authorization": "Bearer another"}])
def test_without_the_secret_nothing_is_done(address: str, route: str, headers: dict[str, str]) -> None:
    response = httpx.post(f"{address}/owner/{route}", json={}, headers=headers)

    assert response.status_code == 401


def test_what_comes_from_another_computer_is_refused_even_with_the_secret(address: str) -> None:
    # As a proxy on this computer says of whom it passes on.
    headers = {"Authorization": f"Bearer {SECRET}", "X-Forwarded-For": "192.0.2.7"}

    assert httpx.post(f"{address}/owner/stop", json={"job": ""}, headers=headers).status_code == 401
    del headers["X-Forwarded-For"]
    assert httpx.post(f"{address}/owner/stop", json={"job": ""}, headers=headers).status_code == 200


def test_the_routes_are_not_part_of_the_public_api(address: str) -> None:
    assert "owner" not in httpx.get(f"{address}/api/openapi.json").text


def test_only_its_user_can_read_where_it_listens_and_it_is_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "server.new").write_text("left by a kill")
    before = os.umask(0)
    try:
        with published(tmp_path, "http://127.0.0.1:1", SECRET):
            [file] = tmp_path.iterdir()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert SECRET in file.read_text("utf-8")
    finally:
        os.umask(before)

    assert list(tmp_path.iterdir()) == []


def test_a_server_that_was_killed_is_told_apart(tmp_path: Path) -> None:
    with published(tmp_path, "http://127.0.0.1:1", SECRET):
        left = (tmp_path / "server").read_bytes()
    (tmp_path / "server").write_bytes(left)
    assert owner_of(tmp_path) is None, "nobody owns the folder"

    with closing(own(IndexSettings(path=tmp_path), paragraph_recipe("hashing", 32), open_or_create)):
        assert owner_of(tmp_path) is not None
        (tmp_path / "owner").write_text("1\n")
        assert owner_of(tmp_path) is None, "another process owns it"
        (tmp_path / "server").write_text("{")
        assert owner_of(tmp_path) is None, "the file is not whole"


def test_a_server_that_does_not_answer_is_named_with_what_to_do() -> None:
    with pytest.raises(OwnerUnreachable, match=r"http://127\.0\.0\.1:1 .* Run the command again"):
        Owner(Address(1, "http://127.0.0.1:1", SECRET)).ask(QUESTION, [], Filter())
