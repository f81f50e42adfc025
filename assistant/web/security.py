"""What every request has to pass, and the headers that every response carries.

One ASGI middleware in front of the API and the page, and an allow-list in front of Gradio. Pure ASGI, because
Starlette's BaseHTTPMiddleware holds streamed responses back.
"""

import json
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 64 * 1024
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

# Gradio needs inline scripts (its settings are one) and styles. Nothing goes to or comes from another host.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

PAGE_PATHS = frozenset(
    {
        "/",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/gradio_api/queue/join",
        "/gradio_api/queue/data",
        "/gradio_api/startup-events",
    }
)
PAGE_FOLDERS = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")


class Guard:
    """Refuse what no page of ours sends; add the security headers to all that goes out, but to what brings its own.

    Refused, each with {"error": {"type", "message"}}:

    - 421, a Host that is not in `hosts`: a name that an attacker points at 127.0.0.1 would otherwise reach a
      server meant for this computer alone (DNS rebinding);
    - 403, a write from a page of another origin;
    - 415, a write that is not JSON: a browser sends text/plain across origins without asking;
    - 413, a body of more than 64 kB, counted while it is read: Content-Length can be absent or wrong.

    Args:
        app: the application behind.
        hosts: names without port under which the server may be called; None allows every name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None = LOOPBACK_HOSTS) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal:
            await _refuse(send, *refusal)
            return
        body = await _body(receive)
        if body is None:
            await _refuse(send, 413, "BodyTooLarge", f"The body is longer than {BODY_BYTES} bytes.")
            return
        await self._app(scope, _replay(body, receive), send)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if self._hosts is not None and _without_port(host) not in self._hosts:
            return 421, "UnknownHost", f"This server is not called {host[:200]!r}. Call it by 127.0.0.1."
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "ForeignOrigin", f"Pages of {origin[:200]!r} may not send questions here."
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return 415, "NotJson", f"The body is {media_type[:200]!r}. Send application/json."
        return None


class PageOnly:
    """Let through to Gradio only what the chat page asks for.

    Gradio also offers uploads, a proxy, files by URL, a prediction API and more, open to everybody.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer 404."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path not in PAGE_PATHS and not path.startswith(PAGE_FOLDERS):
            await _refuse(send, 404, "NotFound", "There is nothing at this address.")
            return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    """Give the name of a Host header: [::1]:7860 → [::1]."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped


async def _body(receive: Receive) -> bytes | None:
    """Read the body; None if it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then whatever comes after it: that the client went away."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


async def _refuse(send: Send, status: int, kind: str, message: str) -> None:
    body = json.dumps({"error": {"type": kind, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
