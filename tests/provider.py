"""A server that speaks OpenAI's API as a test tells it to, also badly."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-never-to-be-shown-0123456789"
Act = Callable[["Handler"], None]


@dataclass
class Provider:
    """What it does at each request, in turn; the last goes on for ever."""

    acts: list[Act]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when a client went away in the middle."""
    asked: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    provider: Provider

    def do_POST(self):
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        place = min(len(self.provider.requests), len(self.provider.acts) - 1)
        self.provider.requests.append(self.body | {"key": self.headers.get("Authorization", "")})
        self.provider.asked.set()
        try:
            self.provider.acts[place](self)
        except ConnectionError:  # the client went while something was written to it
            self.provider.gone.set()

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: dict[str, Any] | str, **headers: str) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def piece(self, text: str | None, reason: str | None = None) -> None:
        choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}
        self.event({"id": "1", "object": "chat.completion.chunk", "model": "petit", "choices": [choice]})

    def event(self, content: dict[str, Any] | str) -> None:
        data = content if isinstance(content, str) else json.dumps(content)
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def wait_for_the_client_to_go(self) -> None:
        self.connection.settimeout(60)
        if self.connection.recv(1) == b"":
            self.provider.gone.set()

    def break_off(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def refusing(status: int, message: str = "", **headers: str) -> Act:
    """Answer with an error, in which the key stands as real providers let it."""
    return lambda handler: handler.answer(status, {"error": {"message": f"{message} {KEY}"}}, **headers)


def saying(*pieces: str, tokens: tuple[int, int] = (100, 10)) -> Act:
    """Stream pieces, whole."""

    def act(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.piece(piece)
        handler.piece(None, "stop")
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        handler.event({"id": "1", "object": "chat.completion.chunk", "model": "petit", "choices": [], "usage": usage})
        handler.event("[DONE]")

    return act


def cut_after(*pieces: str) -> Act:
    """Stream pieces, and no end."""

    def act(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.piece(piece)

    return act


def garbage_after(garbage: bytes, *pieces: str) -> Act:
    """Stream pieces, then an event that is none."""

    def act(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.piece(piece)
        handler.wfile.write(b"data: " + garbage + b"\n\n")

    return act


def killed_after(*pieces: str) -> Act:
    """Stream pieces in chunks, and lose the connection."""

    def act(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for piece in pieces:
            handler.piece(piece)
        handler.break_off()

    return act


def silent_after(*pieces: str) -> Act:
    """Stream pieces, then nothing, and notice when the client goes."""

    def act(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.piece(piece)
        handler.wait_for_the_client_to_go()

    return act


def silent(handler: Handler) -> None:
    """Answer nothing at all, and notice when the client goes."""
    handler.wait_for_the_client_to_go()


@contextmanager
def provider(*acts: Act) -> Iterator[Provider]:
    """Run one on a free port."""
    scripted = Provider(list(acts))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Scripted", (Handler,), {"provider": scripted}))
    server.daemon_threads = True
    scripted.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
