import pytest

from assistant.origins import Origins

LISTED = Origins.parse("https://Example.org, https://*.example.com http://localhost:3000,https://shop.test:443")


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "https://a.example.com",
        "https://a.b.example.com",
        "http://localhost:3000",
        "https://shop.test",
    ],
)
def test_a_listed_origin_is_in(origin: str) -> None:
    assert origin in LISTED


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://example.org",
        "https://example.org:8443",
        "https://example.org.evil.test",
        "https://evil-example.org",
        "https://example.org/",
        "https://example.org\n",
        "https://www.example.org",
        "https://example.com",
        "https://evilexample.com",
        "https://a.example.com.evil.test",
        "https://a.example.com:8443",
        "http://localhost",
        "http://localhost:30000",
        "https://user@example.org",
        "https://exampleXorg",
    ],
)
def test_any_other_origin_is_not(origin: str) -> None:
    assert origin not in LISTED


def test_nothing_is_listed_by_default() -> None:
    assert "https://example.org" not in Origins()
    assert Origins.parse("") == Origins()


@pytest.mark.parametrize(
    "text",
    [
        "example.org",
        "https://example.org/chat",
        "https://example.org;script-src *",
        "https://example.org 'unsafe-inline'",
        "*",
        "https://*",
        "https://*.org",
        "http://*.example.org",
        "https://a.*.example.org",
        "ftp://example.org",
        "https://café.example",
        "https://example.org:99999",
        "null",
    ],
)
def test_what_is_no_origin_or_allows_too_much_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no origin|too much|port"):
        Origins.parse(text)


def test_a_port_that_goes_without_saying_is_not_said() -> None:
    assert LISTED.listed[-1] == "https://shop.test"
