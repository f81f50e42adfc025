"""Who may add documents over HTTP, and how: a real server and a real index, whose model is faked."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from assistant.keys import Keys
from assistant.origins import Origins
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.uploads import SENDING, Limits, Uploads
from index import Index, IndexSettings, SyncQueue
from index.build import open_or_create, own
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.fakes import paragraph_recipe

BYTES = {"Content-Type": "application/octet-stream"}
PAGE = "https://example.org"


@dataclass
class Stage:
    local: str
    """As it is on the owner's computer."""
    opened: str
    """The same to the network, where everybody is from elsewhere."""
    closed: str
    """Where nobody may add anything."""
    uploads: Uploads
    key: str
    access: Access


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("uploads")
    keys = Keys(folder / "keys.json")
    key = keys.create("a program")
    access = Access(Origins.parse(PAGE), keys)
    with ExitStack() as stack:
        recipe = paragraph_recipe("hashing", dimension=32)
        index = stack.enter_context(own(IndexSettings(path=folder / "index"), recipe, open_or_create))
        queue = stack.enter_context(SyncQueue(index))
        uploads = Uploads(folder / "uploads", index, queue, Limits(file_bytes=1_000_000))
        yield Stage(
            serve(stack, index, queue, uploads, access=access),
            serve(stack, index, queue, uploads, access=access, hosts=None),
            serve(stack, index, queue, None, access=access),
            uploads,
            key,
            access,
        )


def serve(stack: ExitStack, index: Index, queue: SyncQueue, uploads: Uploads | None, **more: object) -> str:
    assistant = ScriptedAssistant()
    assistant.index = index
    return stack.enter_context(serving(create_app(assistant, queue, tries_examples=False, uploads=uploads, **more)))


def sent(address: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{address}/api/uploads?name=a.txt", content=b"Le chat dort.", headers=BYTES | headers)


def test_a_file_is_kept_indexed_listed_and_removed(stage: Stage) -> None:
    assert sent(stage.local).json() == {"name": "a.txt"}
    told = httpx.post(f"{stage.local}/api/uploads/sync", json={})
    assert '"SyncReport": {"added": 1' in told.text.split("\n")[-2]
    assert told.headers["X-Accel-Buffering"] == "no"
    [file] = httpx.get(f"{stage.local}/api/uploads").json()["files"]
    assert httpx.get(f"{stage.local}/api/sources/{file['source']}").json()["text"] == "Le chat dort."

    removed = httpx.request("DELETE", f"{stage.local}/api/uploads/a.txt", json={})

    assert removed.status_code == 200
    assert httpx.get(f"{stage.local}/api/sources").json() == []
    assert httpx.request("DELETE", f"{stage.local}/api/uploads/a.txt", json={}).status_code == 404


def test_from_elsewhere_a_key_is_needed(stage: Stage) -> None:
    assert sent(stage.opened).status_code == 401
    assert sent(stage.opened, Authorization="Bearer sourcier-" + "0" * 43).status_code == 401
    assert httpx.get(f"{stage.opened}/api/uploads").status_code == 401
    assert stage.uploads.list() == []

    assert sent(stage.opened, Authorization=f"Bearer {stage.key}").status_code == 201
    stage.uploads.remove("a.txt")


def test_a_visitor_of_a_page_may_not(stage: Stage) -> None:
    token = stage.access.tokens.anonymous(PAGE)

    for address in (stage.local, stage.opened):
        assert sent(address, Authorization=f"Bearer {token}").status_code == 401
        assert sent(address, Authorization=f"Bearer {token}", Origin=PAGE).status_code == 401
    assert stage.uploads.list() == []


def test_where_nobody_may_add_anything_it_is_forbidden(stage: Stage) -> None:
    refused = sent(stage.closed)

    assert refused.status_code == 403
    assert "ASSISTANT_UPLOADS" in refused.json()["error"]["message"]
    assert httpx.get(f"{stage.closed}/api/uploads").status_code == 403
    assert httpx.post(f"{stage.closed}/api/uploads/sync", json={}).status_code == 403
    assert httpx.request("DELETE", f"{stage.closed}/api/uploads/a.txt", json={}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE])
def test_a_page_of_another_origin_cannot(stage: Stage, origin: str) -> None:
    assert sent(stage.local, Origin=origin).status_code in {401, 403}
    assert stage.uploads.list() == []


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/json"])
def test_a_file_comes_as_bytes_which_no_page_may_send_unasked(stage: Stage, kind: str) -> None:
    assert sent(stage.local, **{"Content-Type": kind}).status_code == 415
    assert stage.uploads.list() == []


def test_a_file_beyond_the_limit_is_refused_and_leaves_nothing(stage: Stage) -> None:
    pieces = (b"a" * 50_000 for _ in range(25))

    refused = httpx.post(f"{stage.local}/api/uploads?name=a.txt", content=pieces, headers=BYTES, timeout=60)

    assert refused.status_code == 413
    assert refused.json()["error"]["type"] == "FileTooLarge"
    until(lambda: not any((stage.uploads.folder / SENDING).iterdir()))
    assert stage.uploads.list() == []


def test_an_upload_that_is_broken_off_leaves_nothing(stage: Stage) -> None:
    place = urlsplit(stage.local)
    with socket.create_connection((place.hostname or "", place.port or 0)) as line:
        line.sendall(
            f"POST /api/uploads?name=a.txt HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 100\r\n"
            "Content-Type: application/octet-stream\r\n\r\nLe chat".encode()
        )
        until(lambda: any((stage.uploads.folder / SENDING).iterdir()))

    until(lambda: not any((stage.uploads.folder / SENDING).iterdir()))
    assert stage.uploads.list() == []


def test_what_is_told_of_a_failure_names_no_folder(stage: Stage, tmp_path: Path) -> None:
    sent(stage.local)
    httpx.post(f"{stage.local}/api/uploads/sync", json={})
    (stage.uploads.folder / "a.txt").unlink()

    told = httpx.post(f"{stage.local}/api/uploads/sync", json={}).text

    assert '"Failure": {"kind": "NothingToIndex"' in told
    assert str(stage.uploads.folder) not in told


def test_the_owner_elsewhere_gives_a_key_to_the_browser(stage: Stage) -> None:
    asked = httpx.get(f"{stage.opened}/manage")
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic")

    let_in = httpx.get(f"{stage.opened}/manage", auth=("", stage.key))
    assert let_in.headers["location"] == "./"
    assert '"adds": true' in httpx.get(f"{stage.opened}/", auth=("", stage.key)).text
    assert '"adds": false' in httpx.get(f"{stage.opened}/").text
    assert '"adds": false' in httpx.get(f"{stage.opened}/?embed=1", auth=("", stage.key)).text
    # One that was revoked can be given anew.
    gone = httpx.get(f"{stage.opened}/", auth=("", "sourcier-" + "0" * 43))
    assert gone.headers["www-authenticate"].startswith("Basic")


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.01)
