"""Requests that no client writes: of two lengths, without an end, with signs where none may be."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from assistant.web.app import create_app
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.files import pdf

QUESTION = b'{"question":"Quand ?"}'
SMUGGLED = b"GET /api/sources HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
"""After it the server ends the connection, as it does after what it refuses."""
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def assistant() -> ScriptedAssistant:
    return ScriptedAssistant()


@pytest.fixture(scope="module")
def address(assistant: ScriptedAssistant) -> Iterator[str]:
    with serving(create_app(assistant, SyncQueue(assistant.index), tries_examples=False)) as address:
        yield address


def answered(address: str, request: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server ends the connection."""
    there = urlsplit(address)
    with socket.create_connection((there.hostname or "", there.port or 0), 60) as line:
        line.settimeout(20)
        line.sendall(request)
        found = b""
        try:
            while part := line.recv(65536):
                found += part
        except ConnectionResetError:
            pass
        return found


def statuses(response: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", response)]


def asking(*headers: bytes, body: bytes) -> bytes:
    lines = [b"POST /api/ask HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/json", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_request_as_it_should_be_is_answered(address: str) -> None:
    length = b"Content-Length: %d" % len(QUESTION)

    assert statuses(answered(address, asking(length, body=QUESTION) + SMUGGLED)) == [200, 200]


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 22", b"Content-Length: 5"),
        (b"Content-Length: 22, 5",),
        (b"Content-Length: -1",),
        (b"Content-Length: +22",),
        (b"Content-Length: 0x16",),
        (b"Content-Length: 22", b"Transfer-Encoding: chunked"),
        (b"Content-Length : 22",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding:\x0bchunked", b"Content-Length: 22"),
        (b"Content-Length: 99999999999999999999999",),
    ],
    ids=lambda headers: b"; ".join(headers).decode(),
)
def test_no_request_hides_behind_one_whose_length_is_unclear(address: str, headers: tuple[bytes, ...]) -> None:
    response = answered(address, asking(*headers, body=QUESTION + SMUGGLED))

    assert statuses(response) in ([], [400], [501], [413])
    assert b"armistice" not in response


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n" + QUESTION + b"\r\n0\r\n\r\n",
        b"-16\r\n" + QUESTION + b"\r\n0\r\n\r\n",
        b"16\r\n" + QUESTION + b"XX0\r\n\r\n",
    ],
)
def test_a_body_in_pieces_that_make_no_sense_is_refused(address: str, body: bytes) -> None:
    response = answered(address, asking(b"Transfer-Encoding: chunked", body=body + SMUGGLED))

    assert statuses(response) in ([], [400])
    assert b"armistice" not in response


@pytest.mark.parametrize(
    "line",
    [b"X: a\x00b", b"X\x00: a", b": a", b"X: " + b"a" * 200_000, b"no colon"],
    ids=["zero", "zero in the name", "no name", "long", "no colon"],
)
def test_a_header_that_is_none_leads_to_no_answer(address: str, line: bytes) -> None:
    length = b"Content-Length: %d" % len(QUESTION)

    assert set(statuses(answered(address, asking(line, length, body=QUESTION + SMUGGLED)))) <= {400, 431}


@pytest.mark.parametrize("path", ["/", "/?embed=1", "/demo", "/manage", "/api/health"])
def test_what_a_server_is_called_is_no_part_of_its_pages(path: str) -> None:
    assistant = ScriptedAssistant()
    with serving(create_app(assistant, SyncQueue(assistant.index), hosts=None, tries_examples=False)) as address:
        request = f"GET {path} HTTP/1.1\r\nHost: a{HOSTILE}\r\nReferer: {HOSTILE}\r\nOrigin: {HOSTILE}\r\n"
        response = answered(address, f"{request}Accept-Language: {HOSTILE}\r\nConnection: close\r\n\r\n".encode())

    assert response
    assert HOSTILE.encode() not in response


@pytest.mark.parametrize("path", ["/x\r\nSet-Cookie: a=b", "/\nX: y", "/%0d%0aX-Evil:%201", "/api/%0aX-Evil: 1"])
def test_what_is_asked_for_begins_no_header_of_a_response(address: str, path: str) -> None:
    response = answered(address, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())

    head = response.partition(b"\r\n\r\n")[0].lower()
    assert b"set-cookie" not in head
    assert b"\nx-evil" not in head


@pytest.mark.parametrize("name", ['a"; x="y.pdf', "a\r\nX-Evil: 1\r\n\r\n.pdf", "été\u202e.pdf", "a\x7f;b.pdf"])
def test_the_name_of_a_pdf_begins_no_header(
    assistant: ScriptedAssistant, address: str, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_bytes(pdf(["Un texte."]))
    assistant.begin({"un": "Un texte."})
    assistant.index.files["un"] = file

    response = httpx.get(f"{address}/documents/un/file", timeout=60)

    assert response.status_code == 200
    assert "x-evil" not in response.headers
    assert re.fullmatch(r"inline; filename\*?=(\"[\w.-]+\"|utf-8''[\w.%-]+)", response.headers["content-disposition"])
