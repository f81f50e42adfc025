"""What every request has to pass, and the headers that every response carries.

One ASGI middleware in front of the API and the page, and an allow-list in front of Gradio. Pure ASGI, because
Starlette's BaseHTTPMiddleware holds streamed responses back.
"""

import asyncio
import json
import logging
from collections.abc import Collection, Mapping

from starlette._utils import get_route_path
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.errors import KeysUnreadable, NotAllowed, TooManyQuestions
from assistant.web.access import Access, Caller, is_own
from assistant.web.texts import texts_for
from index.errors import StoreUnavailable

log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
"""In which such a body must have come."""
FILE_SECONDS = 60.0
"""How long a file that is sent may stand still."""
RETRY_SECONDS = "10"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

IN_PERSON = frozenset({"/demo", "/manage"})
"""What the owner opens in a browser."""
KEYED = ("/api/", "/v1/", "/mcp", "/metrics", *sorted(IN_PERSON))
"""What needs an API key from elsewhere than this computer."""
OPEN = frozenset({"/api/health", "/api/ready", "/api/openapi.json"})
ASKING = ("/api/ask", "/v1/", "/mcp")
"""What counts as a question, where something is sent to it."""
VISITED = frozenset({"/api/ask", "/api/token"})
"""What a page of a listed origin may call for its visitor."""
UPLOADS = "/api/uploads"
"""Where a file is sent, as its bytes; whoever takes it in counts them and writes them to the disk as they come."""
CHAT = "/gradio_api/queue/join"
OWNER = "/owner/"
"""Where commands of the owner bring a secret of their own, which is compared there."""

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
    ]
)
FRAMED_BY_US = "frame-ancestors 'self'"
HEADERS = {
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
        # By which a page that lost its server notices that it is back.
        "/gradio_api/app_id",
    }
)
PAGE_FOLDERS = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")


class Guard:
    """Refuse what no page of ours sends and who may not ask; add the security headers to all that goes out.

    What brings a policy of its own keeps it, with the pages that may frame it from here.

    Refused, each with {"error": {"type", "message"}}:

    - 421, a Host that is not in `hosts`: a name that an attacker points at 127.0.0.1 would otherwise reach a
      server meant for this computer alone (DNS rebinding);
    - 403, a write from a page of an origin that is neither ours nor listed;
    - 415, a POST that is not JSON, or a file not sent as bytes: a browser sends text/plain across origins without
      asking;
    - 401, a call of the API with no key, unless it comes from this computer, and any call with a key or token that
      opens nothing;
    - 429, a question beyond the limits;
    - 503, what wants a key or a count that is in a file or database, where that cannot be read;
    - 413, a body of more than 64 kB that is no file, counted while it is read: Content-Length can be absent or wrong;
    - 408, such a body that does not come to its end. A file that stands still counts as broken off.

    What is let in finds its Caller in the scope (access.caller_of).

    Args:
        app: the application behind.
        access: what the owner allows.
        hosts: names without port under which the server may be called, by this computer alone; None allows every
            name, and then nobody comes without a key.
    """

    def __init__(self, app: ASGIApp, access: Access, hosts: Collection[str] | None = LOOPBACK_HOSTS) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts
        self._frame_ancestors = " ".join([FRAMED_BY_US, *access.origins.listed])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send, self._frame_ancestors)
        headers, path = Headers(scope=scope), get_route_path(scope)
        refusal = self._refusal(scope["method"], path, headers)
        if refusal:
            await _refuse(send, *refusal)
            return
        if path.startswith(OWNER):
            await self._limited(scope, receive, send)
            return
        try:
            caller = await run_in_threadpool(self._caller, scope) if self._access.waits else self._caller(scope)
        except NotAllowed as error:
            # In an address bar there is no other way to give a key, nor to give another when that one is revoked.
            basic = path in IN_PERSON or headers.get("authorization", "").lower().startswith("basic ")
            challenge = {"WWW-Authenticate": 'Basic realm="API key as password"' if basic else "Bearer"}
            await _refuse(send, 401, type(error).__name__, str(error), challenge)
            return
        except TooManyQuestions as error:
            message = texts_for(headers.get("accept-language", "")).error(error)
            await _refuse(send, 429, type(error).__name__, message, {"Retry-After": str(error.retry_seconds)})
            return
        except (KeysUnreadable, StoreUnavailable) as error:
            log.error("Nobody is let in: %s", error)
            message = "Who asks cannot be looked up now. Try again in a moment."
            await _refuse(send, 503, type(error).__name__, message, {"Retry-After": RETRY_SECONDS})
            return
        scope = {**scope, "caller": caller}
        if _is_file(scope["method"], path):
            await self._app(scope, unless_still(receive), send)
        else:
            await self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request with its body, unless that is too long, or too long in coming."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            await _refuse(send, 408, "BodyTooSlow", "The body did not come to its end.", {"Connection": "close"})
            return
        if body is None:
            await _refuse(send, 413, "BodyTooLarge", f"The body is longer than {BODY_BYTES} bytes.")
            return
        await self._app(scope, _replay(body, receive), send)

    def _refusal(self, method: str, path: str, headers: Headers) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if self._hosts is not None and _without_port(host) not in self._hosts:
            return 421, "UnknownHost", f"This server is not called {host[:200]!r}. Call it by 127.0.0.1."
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        listed = path.startswith(KEYED) and origin in self._access.origins if origin else False
        if origin is not None and not is_own(origin, host) and not listed:
            return 403, "ForeignOrigin", f"Pages of {origin[:200]!r} may not send questions here."
        if method != "POST":
            return None  # A browser asks, across origins, before it sends any other.
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = "application/octet-stream" if _is_file(method, path) else "application/json"
        if media_type != wanted:
            kind = "NotJson" if wanted == "application/json" else "NotBytes"
            return 415, kind, f"The body is {media_type[:200]!r}. Send {wanted}."
        return None

    def _caller(self, scope: Scope) -> Caller:
        """Give who sent the request, if they may; raises as _admit and access.caller do."""
        headers = Headers(scope=scope)
        caller = self._access.caller(scope, headers.get("host", ""), loopback_only=self._hosts is not None)
        self._admit(caller, scope["method"], get_route_path(scope), headers.get("origin"))
        return caller

    def _admit(self, caller: Caller, method: str, path: str, origin: str | None) -> None:
        """Let in who may do this; count the question, if it is one.

        Raises:
            NotAllowed: a key or token is missing.
            TooManyQuestions: a limit is reached.
        """
        if caller.trusted:
            pass
        elif method != "OPTIONS" and path.startswith(KEYED) and path not in OPEN:
            if path not in VISITED or (caller.visitor is None and (path != "/api/token" or origin is None)):
                raise NotAllowed("This needs an API key: Authorization: Bearer …. Make one: assistant keys create NAME")
        elif path == CHAT and caller.visitor is None:
            raise NotAllowed("This needs the token of a visitor, which the chat page has. Open the page again.")
        if method not in SAFE_METHODS and path.startswith(ASKING):
            caller.count_question()


class PageOnly:
    """Let through to Gradio only what the chat page asks for.

    Gradio also offers uploads, a proxy, files by URL, a prediction API and more, open to everybody.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer 404."""
        path = get_route_path(scope)
        if scope["type"] == "http" and path not in PAGE_PATHS and not path.startswith(PAGE_FOLDERS):
            await _refuse(send, 404, "NotFound", "There is nothing at this address.")
            return
        await self._app(scope, receive, send)


def unless_still(receive: Receive, seconds: float = FILE_SECONDS) -> Receive:
    """Take a client that sends nothing of its body for so long for one that went away."""
    over = False

    async def received() -> Message:
        nonlocal over
        if over:
            return await receive()
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        over = not message.get("more_body", False)
        return message

    return received


def _is_file(method: str, path: str) -> bool:
    return method == "POST" and path == UPLOADS


def _without_port(host: str) -> str:
    """Give the name of a Host header: [::1]:7860 → [::1]."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _with_headers(send: Send, frame_ancestors: str) -> Send:
    headers = HEADERS | {"Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; {frame_ancestors}"}

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = MutableHeaders(scope=message)
            policy = own.get("content-security-policy", "").replace(FRAMED_BY_US, frame_ancestors)
            own.update(headers | ({"Content-Security-Policy": policy} if policy else {}))
            if own.get("content-type", "").startswith(("text/event-stream", "application/x-ndjson")):
                # nginx would hold back what comes event by event, line by line.
                own["X-Accel-Buffering"] = "no"
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


async def _refuse(send: Send, status: int, kind: str, message: str, more: Mapping[str, str] = {}) -> None:
    body = json.dumps({"error": {"type": kind, "message": message}}, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **more}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
