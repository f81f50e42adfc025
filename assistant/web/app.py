"""The web server: the API and the chat page behind one guard."""

import asyncio
import ipaddress
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from assistant.owner import published
from assistant.settings import EXTRACTIVE, AssistantSettings
from assistant.web.access import Access
from assistant.web.api import add_api
from assistant.web.chat import chat_page, word
from assistant.web.connections import IDLE_SECONDS, Patient, allow_many
from assistant.web.conversations import Conversations
from assistant.web.embed import Started, embed_routes
from assistant.web.metrics import Metrics
from assistant.web.openai import add_openai
from assistant.web.owner import add_owner
from assistant.web.page_routes import page_routes
from assistant.web.panel import panel_routes
from assistant.web.proxy import NO_PROXY, BehindProxy, Proxy
from assistant.web.requests import HEADER, Identified
from assistant.web.security import LOOPBACK_HOSTS, Guard, PageOnly
from assistant.web.start import Start
from assistant.web.streams import Places
from assistant.web.texts import ENGLISH, FRENCH
from assistant.web.upload_routes import upload_routes
from assistant.web.uploads import Uploads

if TYPE_CHECKING:
    from assistant.answer import Assistant
    from assistant.settings import AssistantSettings
    from index import SyncQueue

STATIC = Path(__file__).parent / "static"
ANSWER_SECONDS = 20
"""How long a server that is stopped waits for the answers that are being made,"""
CONNECTION_SECONDS = 1
"""and then for the last of their words to be sent."""
SCRIPTS = ("page.js", "panel.js", "history.js", "opinion.js", "documents.js")


def create_app(  # noqa: PLR0913 - what an owner may choose
    assistant: "Assistant",
    queue: "SyncQueue",
    *,
    title: str = "Sourcier",
    greeting: str | None = None,
    hosts: Collection[str] | None = LOOPBACK_HOSTS,
    secret: str | None = None,
    conversations: Conversations | None = None,
    tries_examples: bool = True,
    access: Access | None = None,
    proxy: Proxy = NO_PROXY,
    places: Places | None = None,
    uploads: Uploads | None = None,
) -> FastAPI:
    """Join API and chat page into one application.

    Args:
        assistant: what answers.
        queue: by which its index is kept in step.
        title: the name on the page.
        greeting: what an empty page says instead of its own greeting.
        hosts: names under which the server may be called, by this computer alone; None allows every name.
        secret: by which the owner's own commands hand their work over; with None they cannot.
        conversations: where they are kept; None keeps them in memory.
        tries_examples: whether the page asks the assistant questions of its own, to show those that it answers.
        access: who may embed the chat and who holds keys; None stands for nobody.
        proxy: what stands in front.
        places: how many answers are made at once.
        uploads: where the owner adds documents on the page; with None nobody does.
    """
    access = access or Access()
    places = places or Places()
    os.environ["GRADIO_TEMP_DIR"] = _private_folder().name
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.add_middleware(Guard, access=access, hosts=hosts)
    # Gradio's own, which allows every origin to read, gives way to it. It is outside of the guard, so that a listed
    # page can read why it was refused.
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=access.origins.pattern,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After", HEADER],
    )
    app.add_middleware(BehindProxy, proxy=proxy)
    app.add_middleware(Identified, proxy=proxy)
    add_api(app, assistant, places)
    app.include_router(panel_routes(assistant.index))
    add_openai(app, assistant, places)
    if secret:
        add_owner(app, assistant, queue, places, secret)
    kept = conversations or Conversations()
    start = Start(assistant, title, greeting, tries_examples)
    app.include_router(page_routes(kept, start))
    app.include_router(upload_routes(uploads))
    app.include_router(embed_routes(access))
    metrics = Metrics(assistant, queue, places)
    places.on_end = metrics.count
    app.include_router(metrics.routes())
    _mount_page(app, chat_page(assistant, places, kept, start), access, adds=uploads is not None)
    return app


def serve(
    assistant: "Assistant", queue: "SyncQueue", listener: socket.socket, folder: Path, settings: AssistantSettings
) -> None:
    """Serve until interrupted, and let the answers end that are being made, as long as that takes 20 seconds at most.

    Raises KeyboardInterrupt when all is over. On a loopback address with no proxy, only the names of this computer are
    answered to.

    folder: of the index, where other commands of its owner are told where to hand their work over.
    """
    allow_many()
    with listener, _private_folder(), _published(folder, listener) as secret:
        is_loopback = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
        proxy = Proxy(tuple(settings.trusted_proxies.split()), settings.root_path)
        places = Places()
        app = create_app(
            assistant,
            queue,
            title=settings.title,
            greeting=settings.greeting,
            hosts=LOOPBACK_HOSTS if is_loopback and not proxy.trusted else None,
            secret=secret,
            conversations=kept_conversations(settings),
            tries_examples=settings.model == EXTRACTIVE,
            access=Access.of(settings),
            proxy=proxy,
            places=places,
            uploads=Uploads.of(settings, assistant.index, queue),
        )
        config = uvicorn.Config(
            app,
            http=Patient,
            timeout_keep_alive=IDLE_SECONDS,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=CONNECTION_SECONDS,
        )
        _Server(config, queue, places).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Stops the syncs first: whoever watches one holds a connection until it ends. Then answers may end.

    Whatever holds a connection after that is cut: the page's streams of events never end by themselves.
    """

    def __init__(self, config: uvicorn.Config, queue: "SyncQueue", places: Places) -> None:
        super().__init__(config)
        self._queue = queue
        self._places = places

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._queue.stop()
        self._places.close()
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + ANSWER_SECONDS
        while not (self._places.empty or self.force_exit or time.monotonic() > deadline):
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


@contextmanager
def _published(folder: Path, listener: socket.socket) -> Iterator[str]:
    """Tell other commands of the owner where to hand their work over, and give the secret that they use."""
    host, port, *_ = listener.getsockname()
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    secret = secrets.token_urlsafe(32)
    with published(
        folder, f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}", secret
    ):
        yield secret


def kept_conversations(settings: AssistantSettings) -> Conversations:
    """Open the conversations of the settings."""
    return Conversations(settings.chats, settings.chats_days) if settings.chats_days else Conversations()


def _mount_page(app: FastAPI, page: gr.Blocks, access: Access, *, adds: bool) -> None:
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size=0,
        i18n=word,
        theme=_theme(),
        css_paths=STATIC / "page.css",
        js=page_script(),
        favicon_path=str(STATIC / "favicon.png"),
    )
    # Gradio checks the file paths that a client names only after launch(), which a mounted page never calls:
    # without this line anybody reads any file (gradio 6.31, processing_utils._check_allowed).
    page.has_launched = True
    # As a route of its own it would take every request that another route has the path but not the method for.
    [mounted] = [route for route in app.router.routes if isinstance(route, Mount)]
    app.router.routes.remove(mounted)
    app.router.redirect_slashes = False
    app.router.default = PageOnly(Started(mounted.app, access, adds=adds))


def page_script() -> str:
    """Give the page's script, one function, with the words that it writes itself."""
    words = json.dumps({texts.language: texts.labels() for texts in (FRENCH, ENGLISH)}, ensure_ascii=False)
    parts = [(STATIC / name).read_text("utf-8") for name in SCRIPTS]
    return "\n".join(["() => {", f"const WORDS = {words};", *parts, "}"])


def _theme() -> gr.themes.Base:
    font: list[gr.themes.Font | str] = [gr.themes.LocalFont("IBM Plex Sans"), "system-ui", "sans-serif"]
    return gr.themes.Base(primary_hue="teal", neutral_hue="stone", font=font, font_mono=["monospace"])


@cache
def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder that only this user can read, for the files of Gradio; it goes with the server or the process."""
    return tempfile.TemporaryDirectory(prefix="sourcier-")
