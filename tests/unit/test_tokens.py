from contextlib import suppress

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import URL

from assistant.errors import TokenExpired, TokenRefused
from assistant.web.access import Access
from assistant.web.shared import Shared
from assistant.web.tokens import Tokens, Visitor

TOKENS = Tokens()
GENUINE = TOKENS.anonymous("https://example.org")
PARTS = GENUINE.split(".")
WORDS = st.text(max_size=40) | st.lists(st.sampled_from([*PARTS, ".", "e30", "=", "-", " "]), max_size=9).map("".join)
HEADERS = st.binary(max_size=40) | st.lists(
    st.sampled_from([b"Bearer ", b"Basic ", b"Og", b"sourcier-", b":", b"https://", b"127.0.0.1", GENUINE.encode()]),
    max_size=4,
).map(b"".join)
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


@given(WORDS)
@example("..")
@example(f"{PARTS[0]}.{PARTS[1]}.")
@example(f"{PARTS[0]}..{PARTS[2]}")
@example("\ud800.\ud800.\ud800")
def test_no_text_is_a_token(text: str) -> None:
    if text.strip() == GENUINE:
        return
    with pytest.raises(TokenRefused):
        Tokens().read(text)


@given(st.integers(0, len(GENUINE) - 1), st.characters())
def test_a_token_that_was_changed_says_nothing_else(place: int, sign: str) -> None:
    changed = GENUINE[:place] + sign + GENUINE[place + 1 :]

    # The last sign of a signature has two bits that mean nothing.
    with suppress(TokenRefused):
        assert TOKENS.read(changed) == TOKENS.read(GENUINE)


@given(HEADERS, HEADERS, HEADERS, st.sampled_from(["192.0.2.1", "", "::1", "unix:"]))
def test_no_header_makes_somebody_from_elsewhere_the_owner(
    authorization: bytes, origin: bytes, host: bytes, address: str
) -> None:
    headers = [(b"authorization", authorization), (b"origin", origin)]
    scope = {"type": "http", "client": (address, 1), "headers": headers, "direct": address != "::1"}

    with suppress(TokenRefused):
        caller = Access(tokens=TOKENS).caller(scope, host.decode("latin-1"), loopback_only=True)
        assert not caller.trusted
        assert caller.visitor in (None, TOKENS.read(GENUINE))
