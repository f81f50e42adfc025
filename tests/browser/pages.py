"""Pages of others, on a server of their own: under any name that ends with localhost, so of any origin."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browser.serving import serving

TEXT = "<main><h1>Une page</h1><p>Du texte d'une autre personne.</p></main>"


@dataclass
class Site:
    """Serves what is put into `pages` by path, with the `headers` of that path."""

    port: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def origin(self, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}"

    def put(self, path: str, head: str = "", body: str = TEXT, **headers: str) -> str:
        """Put a page there and give its address."""
        self.pages[path] = (
            f'<!doctype html><html lang="fr"><head><meta charset="utf-8"><title>Une page</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head>'
            f"<body>{body}</body></html>"
        )
        self.headers[path] = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.origin() + path

    def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path not in self.pages:
            return Response(status_code=404)
        kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
        return HTMLResponse(self.pages[path], headers={**self.headers.get(path, {}), "content-type": kind})


@contextmanager
def site() -> Iterator[Site]:
    """Serve pages on a free port."""
    pages = Site()
    app = Starlette(routes=[Route("/{path:path}", pages._answer)])
    with serving(app) as address:
        pages.port = address.rpartition(":")[2]
        yield pages
