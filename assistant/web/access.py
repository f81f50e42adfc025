"""Who may do what: the owner's own computer anything, programs with a key the API, visitors of a page ask."""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.types import Scope

from assistant.errors import TokenRefused
from assistant.keys import PREFIX, Key, Keys
from assistant.logs import request_id
from assistant.origins import Origins
from assistant.settings import AssistantSettings
from assistant.web.limits import Limits
from assistant.web.shared import Shared, SharedKeys
from assistant.web.tokens import Tokens, Visitor

Event = TypeVar("Event")

DOTS = 2
"""In a JSON Web Token."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the owner allows."""

    origins: Origins = field(default_factory=Origins)
    keys: Keys = field(default_factory=lambda: Keys(Path(".assistant/keys.json")))
    tokens: Tokens = field(default_factory=Tokens)
    limits: Limits = field(default_factory=Limits)
    waits: bool = False
    """Whether to look for a key or to count a question may take a while: another computer is asked."""

    @classmethod
    def of(cls, settings: AssistantSettings) -> "Access":
        """Take what the settings say; raise KeysUnreadable where the keys cannot be read."""
        origins = Origins.parse(settings.embed_origins)
        limits = (settings.visitor_limit, settings.address_limit, settings.service_limit)
        if settings.shared is None:
            keys = Keys(settings.api_keys)
            keys.all()
            return cls(origins, keys, Tokens(), Limits(*limits))
        shared = Shared(settings.shared)
        return cls(origins, SharedKeys(shared), Tokens(secret=shared.secret()), Limits(*limits, shared), waits=True)

    def caller(self, scope: Scope, host: str, *, loopback_only: bool) -> "Caller":
        """Say who sent a request: whose key or token it carries, or else from where it comes.

        Args:
            scope: of the request.
            host: its Host header.
            loopback_only: whether the server is there for this computer alone.

        Raises:
            TokenExpired, TokenRefused: it carries a token that opens nothing, from wherever it comes. From this
                computer, a word that is neither key nor token is nothing: clients of OpenAI's API must send one.
        """
        headers = Headers(scope=scope)
        address = scope["client"][0] if scope.get("client") else ""
        origin = headers.get("origin", "")
        foreign = bool(origin) and not is_own(origin, host)
        word = _credential(headers.get("authorization", ""))
        if word.startswith(PREFIX):
            key = self.keys.find(word)
            if key is None:
                raise TokenRefused("No such API key. It was revoked, or never made: assistant keys list")
            return Caller(address, key=key, count=self.limits.count)
        local = loopback_only and not foreign and scope.get("direct", True) and _is_loopback(address)
        if word and not (local and word.count(".") != DOTS):
            return Caller(address, visitor=self._visitor(word, origin if foreign else ""), count=self.limits.count)
        return Caller(address, local=local, count=self.limits.count)

    def _visitor(self, token: str, origin: str) -> Visitor:
        visitor = self.tokens.read(token)
        if origin and origin != visitor.origin:
            raise TokenRefused(f"The token is for pages of {visitor.origin}, not of {origin[:200]}.")
        return visitor


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    address: str
    count: Callable[..., None]
    local: bool = False
    """From this computer, to a server that is for it alone."""
    key: Key | None = None
    visitor: Visitor | None = None

    @property
    def trusted(self) -> bool:
        """Say whether it is the owner, or a program of theirs."""
        return self.local or self.key is not None

    def count_question(self) -> None:
        """Count a question; raise TooManyQuestions where a limit is reached. The owner has none.

        Whom a page's server names is counted under that name alone: a class behind one address is no crowd.
        """
        if self.local:
            return
        address = None if self.key or (self.visitor and self.visitor.named) else self.address
        self.count(subject=self.visitor.subject if self.visitor else None, address=address)


def caller_of(scope: Scope) -> Caller:
    """Give who sent a request that the guard has let in."""
    caller: Caller = scope["caller"]
    return caller


def counted(scope: Scope, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
    """Give the events of an answer, once its question is counted; what is logged meanwhile names the request."""
    request_id.set(scope["request_id"])
    caller_of(scope).count_question()
    yield from events


def is_own(origin: str, host: str) -> bool:
    """Say whether an Origin header names this server, as the Host header does."""
    return origin.lower().partition("://")[2] == host.lower() != ""


def _credential(authorization: str) -> str:
    """Give the key or token of an Authorization header; of Basic, by which a browser asks for it, the password."""
    scheme, _, word = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return word.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(word, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return "?"
    return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
