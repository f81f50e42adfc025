"""Tokens of visitors: short-lived, signed, kept in the memory of a page. No cookie, and no key, is in any page.

The secret is made when the server starts and known to nobody else: a token ends with the server. Servers that share a
database share the secret too, so that each knows the tokens of the others.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import jwt

from assistant.clock import now
from assistant.errors import TokenExpired, TokenRefused

TOKEN_SECONDS = 30 * 60
_CLAIMS = ["sub", "origin", "exp"]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks on a page, as far as it is known."""

    subject: str
    """A random word; or "user:" and the name by which the page's own server knows them."""
    origin: str
    """Of the page."""

    @property
    def named(self) -> bool:
        """Say whether the page's own server said who it is."""
        return self.subject.startswith("user:")


class Tokens:
    """Makes and reads tokens.

    Args:
        seconds: how long a token is good.
        clock: seconds since 1970.
        secret: by which they are signed, 32 bytes; by default one that nobody else has.
    """

    def __init__(
        self, seconds: int = TOKEN_SECONDS, clock: Callable[[], float] = now, secret: bytes | None = None
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._secret = secret or secrets.token_bytes(32)

    def anonymous(self, origin: str) -> str:
        """Make a token for a visitor of whom nothing is known."""
        return self.sign(Visitor(secrets.token_urlsafe(12), origin))

    def sign(self, visitor: Visitor) -> str:
        """Make a token, good from now on."""
        claims = {"sub": visitor.subject, "origin": visitor.origin, "exp": int(self._clock()) + self.seconds}
        return jwt.encode(claims, self._secret, "HS256")

    def read(self, token: str) -> Visitor:
        """Give the visitor of a token.

        Raises:
            TokenExpired: it was good for its time.
            TokenRefused: it was not made here, or changed since.
        """
        try:
            # The time is compared below, with the clock that it was signed by.
            claims = jwt.decode(
                token, self._secret, ["HS256"], options={"require": _CLAIMS, "verify_exp": False, "verify_aud": False}
            )
            expires, visitor = int(claims["exp"]), Visitor(str(claims["sub"]), str(claims["origin"]))
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise TokenRefused("The token was not made by this server. Get one: POST /api/token") from error
        if expires <= self._clock():
            raise TokenExpired(f"The token was good for {self.seconds} seconds. Get a new one: POST /api/token")
        return visitor
