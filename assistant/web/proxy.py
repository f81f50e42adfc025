"""What a proxy in front says of a request: believed of those that the owner names, and of nobody else."""

import ipaddress
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

FORWARDING = (b"x-forwarded-", b"x-real-ip", b"forwarded", b"via")
UNWANTED = (*FORWARDING, b"x-gradio-server")
"""Headers by which Gradio, too, would let anybody say what this server is called."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """What stands in front of the server."""

    trusted: tuple[str, ...] = ()
    """Addresses or networks of proxies whose word is taken."""
    root_path: str = ""
    """Under which they show the server, `/assistant`; they may hand requests on with it or without."""

    def trusts(self, address: str) -> bool:
        """Say whether the word of who sends from this address is taken."""
        try:
            sender = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(sender in ipaddress.ip_network(network) for network in self.trusted)


NO_PROXY = Proxy()


class BehindProxy:
    """Take the client's address and scheme from a trusted proxy, then drop all such headers.

    Leaves in the scope `direct`: whether a client of the network layer asked by itself, with no proxy between.

    Args:
        app: the application behind.
        proxy: what stands in front.
    """

    def __init__(self, app: ASGIApp, proxy: Proxy = NO_PROXY) -> None:
        self._believing = ProxyHeadersMiddleware(self._clean(app), list(proxy.trusted))  # type: ignore[arg-type]
        self._root_path = proxy.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request as its client made it."""
        if scope["type"] == "http":
            path = scope["path"]
            if self._root_path and not f"{path}/".startswith(f"{self._root_path}/"):
                path = self._root_path + path
            direct = not any(name.startswith(FORWARDING) for name, _ in scope["headers"])
            scope = {**scope, "root_path": self._root_path, "path": path, "direct": direct}
        await self._believing(scope, receive, send)  # type: ignore[arg-type]

    @staticmethod
    def _clean(app: ASGIApp) -> ASGIApp:
        async def cleaned(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope["headers"] = [pair for pair in scope["headers"] if not pair[0].startswith(UNWANTED)]
            await app(scope, receive, send)

        return cleaned
