import jwt
import pytest
from sqlalchemy import URL

from assistant.errors import TokenExpired, TokenRefused
from assistant.web.shared import Shared
from assistant.web.tokens import Tokens, Visitor

VISITOR = Visitor("user:ada", "https://example.org")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_says_who_it_is_for_until_its_time_is_over() -> None:
    clock = Clock()
    tokens = Tokens(clock=clock)
    token = tokens.sign(VISITOR)

    clock.now += 30 * 60 - 1
    assert tokens.read(token) == VISITOR
    clock.now += 1
    with pytest.raises(TokenExpired):
        tokens.read(token)


def test_a_token_of_another_server_or_without_a_signature_is_refused() -> None:
    tokens = Tokens()
    claims = {"sub": "user:ada", "origin": "https://example.org", "exp": 9_999_999_999}
    token = tokens.sign(VISITOR)

    for forged in [
        Tokens().sign(VISITOR),
        jwt.encode(claims, "x" * 32, "HS256"),
        jwt.encode(claims, None, "none"),
        token[:-2] + ("AA" if token[-2:] != "AA" else "BB"),
        "",
        "a.b.c",
    ]:
        with pytest.raises(TokenRefused):
            tokens.read(forged)


def test_anonymous_visitors_are_told_apart() -> None:
    tokens = Tokens()

    one, other = (tokens.read(tokens.anonymous("https://example.org")) for _ in range(2))

    assert one.subject != other.subject
    assert not one.named
    assert VISITOR.named


def test_servers_of_one_database_read_the_tokens_of_each_other(database: URL) -> None:
    first, second = (Tokens(secret=Shared(database).secret()) for _ in range(2))

    assert second.read(first.sign(VISITOR)) == VISITOR
    with pytest.raises(TokenRefused):
        Tokens().read(first.sign(VISITOR))
