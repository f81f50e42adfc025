"""The chat in pages of others: the script that puts it there, its start in a frame, tokens for visitors, a demo."""

import html
import json
import secrets
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Security
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.errors import OriginNotListed
from assistant.origins import Origins
from assistant.web import shapes
from assistant.web.access import Access, caller_of
from assistant.web.tokens import Visitor

STATIC = Path(__file__).parent / "static"
MANIFEST = b'<link rel="manifest" href="/manifest.json" />'
ICON = '<link rel="icon" href="favicon.ico">'


class Wanted(BaseModel):
    """For whom a token should be; a page's visitor need not say."""

    model_config = ConfigDict(extra="forbid")

    origin: Annotated[str, StringConstraints(max_length=300)] | None = None
    """Of the page that will use the token; with a key only."""
    user: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """By which name the page's server knows them; with a key only."""


def embed_routes(access: Access) -> APIRouter:
    """Return POST /api/token, and what is needed to embed the chat: GET /widget.js and GET /demo."""
    routes = APIRouter()
    script = widget_script(access.origins)
    demo = (STATIC / "demo.html").read_text("utf-8")

    @routes.post(
        "/api/token",
        dependencies=[Security(shapes.KEY)],
        responses=shapes.told(shapes.Token) | shapes.WRITTEN,
    )
    def token(request: Request, wanted: Wanted) -> dict[str, Any]:
        """Give a token for half an hour.

        A visitor gets one for the page they are on, and in exchange for one that is still good, one that is good for
        longer. With a key, the page's own server gets one for a user that it names.
        """
        caller = caller_of(request.scope)
        own = f"{request.url.scheme}://{request.url.netloc}"
        if caller.trusted and wanted.origin is not None:
            if wanted.origin != own and wanted.origin not in access.origins:
                raise OriginNotListed(
                    f"{wanted.origin!r} may not embed the chat. Allow it: ASSISTANT_EMBED_ORIGINS={wanted.origin}"
                )
            subject = f"user:{wanted.user}" if wanted.user else secrets.token_urlsafe(12)
            visitor = Visitor(subject, wanted.origin)
        elif caller.visitor is not None:
            visitor = caller.visitor
        else:
            visitor = Visitor(secrets.token_urlsafe(12), request.headers.get("origin", own))
        return {"token": access.tokens.sign(visitor), "seconds": access.tokens.seconds, "origin": visitor.origin}

    @routes.get("/widget.js", include_in_schema=False)
    def widget() -> Response:
        """Give the script that a page of others loads."""
        # Pages that ask for it be said so (COEP) may load it too.
        headers = {"Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(script, media_type="text/javascript; charset=utf-8", headers=headers)

    @routes.get("/demo", include_in_schema=False)
    def show(request: Request) -> HTMLResponse:
        """Show the owner the chat in a page, with the line that put it there."""
        base = html.escape(str(request.base_url).rstrip("/"))
        return HTMLResponse(demo.replace("{base}", base))

    return routes


def widget_script(origins: Origins) -> str:
    """Give the script, which knows where it may show itself."""
    source = (STATIC / "widget.js").read_text("utf-8").replace('"LISTED"', json.dumps(f"^(?:{origins.pattern})$"))
    # Lines are short and complete: without what only readers of the source need, a fifth less is sent.
    lines = map(str.strip, source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def snippet(server: str, language: str = "fr") -> str:
    """Give the line to paste into a page."""
    source = html.escape(f"{server.rstrip('/')}/widget.js")
    return f'<script src="{source}" data-lang="{language}" data-theme="auto" async></script>'


class Started:
    """Put into the chat page, before anything else of it runs, its visitor's token and what it lacks.

    Gradio breaks where a browser gives a frame no storage, and whatever it offers to put into a page's head
    comes too late. Behind a proxy, under a path, it names neither its icon nor the right manifest: the page has none.

    Args:
        app: Gradio.
        access: what the owner allows.
        adds: whether the page lets the owner add documents.
    """

    def __init__(self, app: ASGIApp, access: Access, *, adds: bool = False) -> None:
        self._app = app
        self._access = access
        self._adds = adds
        self._start = (STATIC / "start.js").read_text("utf-8")
        self._embed = (STATIC / "embed.js").read_text("utf-8")
        self._style = (STATIC / "embed.css").read_text("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request; change the answer where it is the page."""
        if scope["type"] != "http" or get_route_path(scope) not in {"", "/"}:
            await self._app(scope, receive, send)
            return
        # The page is changed as text: it comes uncompressed.
        headers = [pair for pair in scope["headers"] if pair[0] not in {b"accept-encoding", b"range"}]
        start: Message = {}
        body = bytearray()

        async def collected(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                page = bytes(body).replace(MANIFEST, b"").replace(b"<head>", b"<head>" + self._head(scope), 1)
                changed = MutableHeaders(raw=list(start["headers"]))
                changed["Content-Length"] = str(len(page))
                # It has a token of one visitor in it.
                changed["Cache-Control"] = "no-store"
                await send({**start, "headers": changed.raw})
                await send({"type": "http.response.body", "body": page})

        await self._app({**scope, "headers": headers}, receive, collected)

    def _head(self, scope: Scope) -> bytes:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        embedded = query.get("embed") == ["1"]
        visitor = None
        if embedded or not caller_of(scope).local:
            visitor = {
                "token": self._access.tokens.anonymous(self._page_origin(scope)),
                "seconds": self._access.tokens.seconds,
            }
        adds = self._adds and not embedded and caller_of(scope).trusted
        listed = f"^(?:{self._access.origins.pattern})$"
        start = {"visitor": visitor, "embedded": embedded, "listed": listed, "adds": adds}
        # Nothing in it can end the script: no "<" is left.
        words = json.dumps(start).replace("<", "\\u003c")
        script = self._start + self._embed * embedded
        style = f"<style>{self._style}</style>" * embedded
        return f"{ICON}<script>(() => {{ const START = {words};\n{script} }})();</script>{style}".encode()

    def _page_origin(self, scope: Scope) -> str:
        """Give the origin of the page around the frame; ours, where none is named."""
        headers = Headers(scope=scope)
        around = urlsplit(headers.get("referer", ""))
        origin = f"{around.scheme}://{around.netloc}"
        return origin if origin in self._access.origins else f"{scope['scheme']}://{headers.get('host', '')}"
