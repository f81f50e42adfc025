"""A real Chroma server on loopback, to be stopped and started again in the middle of things."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Self

import httpx

CHROMA = Path(sys.executable).with_name("chroma")


class ChromaServer:
    """`chroma run` on a free port, which stays the same from start to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Wait until it answers, started if it does not run."""
        if self._process:
            return
        command = [CHROMA, "run", "--path", self.folder, "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, "the Chroma server ended"
            assert monotonic() < deadline, "the Chroma server does not start"
            sleep(0.02)

    def kill(self) -> None:
        """Let it die where it stands."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Let it take connections and answer nothing, until it is killed or resumed."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/heartbeat").is_success
        except httpx.TransportError:
            return False


KEY_HEADERS = ("x-chroma-token", "authorization", "cookie")
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
LOSE_REQUEST, LOSE_ANSWER = "lose request", "lose answer"
Interfere = Callable[[int, str], Reply | str | None]
"""Number and path of a request → what is answered in place of the server, what is lost, or None."""


class Between:
    """Stands between a client and a Chroma server, and may interfere with each request."""

    def __init__(self, server_url: str, interfere: Interfere) -> None:
        self.interfere = interfere
        self.onward = httpx.Client(
            base_url=server_url, headers={"content-type": "application/json"}, timeout=60, verify=False
        )
        self.paths: list[str] = []
        self.keys: list[list[str]] = []
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                between.paths.append(self.path)
                between.keys.append([self.headers[name] for name in KEY_HEADERS if name in self.headers])
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                fate = between.interfere(len(between.paths), self.path)
                if fate == LOSE_REQUEST:
                    self.close_connection = True
                    return
                if isinstance(fate, tuple):
                    self.reply(*fate)
                    return
                answer = between.onward.request(self.command, self.path, content=body)
                if fate == LOSE_ANSWER:
                    self.close_connection = True
                else:
                    self.reply(answer.status_code, {"content-type": "application/json"}, answer.content)

            do_GET = do_POST = do_PUT = do_DELETE = forward  # noqa: N815

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.onward.close()
