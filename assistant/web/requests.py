"""The id of each request: in every line that is logged of it, and in its response."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.logs import request_id
from assistant.web.proxy import NO_PROXY, Proxy

log = logging.getLogger(__name__)

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
LOGGED = ("/api/", "/v1/", "/mcp", "/owner/")
"""Of which a line says what became of them."""
PROBES = frozenset({"/api/health", "/api/ready"})
"""Asked every few seconds, by machines."""
PAGE = "/gradio_api/"
"""Gradio works on in tasks that would keep the id of the request that began them; what is logged names its own."""


class Identified:
    """Give each request an id, and log what became of it.

    The id that a trusted proxy gives is kept where it is well formed, so that its log can be read beside this one.
    """

    def __init__(self, app: ASGIApp, proxy: Proxy = NO_PROXY) -> None:
        self._app = app
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request with its id in the scope and, but for the page's, in the context."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id, path, began, status = self._id(scope), self._path(scope), time.perf_counter(), 500
        if PAGE not in path:
            # Not taken back at the end: an error is logged outside of this.
            request_id.set(id)

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = id
            await send(message)

        try:
            await self._app({**scope, "request_id": id}, receive, told)
        finally:
            if path.startswith(LOGGED) and path not in PROBES:
                log.info("%s %s: %d in %.3f s", scope["method"], path, status, time.perf_counter() - began)

    def _path(self, scope: Scope) -> str:
        path: str = scope["path"]
        return path.removeprefix(self._proxy.root_path)

    def _id(self, scope: Scope) -> str:
        given = Headers(scope=scope).get(HEADER, "")
        peer = scope["client"][0] if scope.get("client") else ""
        if self._proxy.trusts(peer) and WELL_FORMED.fullmatch(given):
            return given
        return secrets.token_hex(8)
