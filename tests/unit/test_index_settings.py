import pytest
from pydantic import ValidationError

from index import IndexSettings

SECRET = "ck-secret-0123456789"


@pytest.fixture(autouse=True)
def no_settings_of_this_computer(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("INDEX_CHROMA_URL", "INDEX_CHROMA_KEY", "INDEX_CHROMA_DATABASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
        "https://api.trychroma.com",
        "https://h/chroma",
    ],
)
def test_a_key_may_go_to_this_computer_or_over_https(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("INDEX_CHROMA_URL", address)
    monkeypatch.setenv("INDEX_CHROMA_KEY", SECRET)

    settings = IndexSettings()

    assert str(settings.chroma_url).rstrip("/") == address
    assert settings.chroma_key
    assert settings.chroma_key.get_secret_value() == SECRET
    assert SECRET not in f"{settings} {settings!r} {settings.chroma_key} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("address", "key", "reason"),
    [
        ("http://vectors.example.org:8000", SECRET, "Use https"),
        ("http://127.0.0.1.example.org:8000", SECRET, "Use https"),
        ("http://127.0.0.1:8000", f"{SECRET}\nX-Other: 1", "Copy it again"),
        ("http://127.0.0.1:8000", f"{SECRET} ", "Copy it again"),
        (f"https://me:{SECRET}@example.org", None, "A key goes into INDEX_CHROMA_KEY"),
        (f"https://example.org/?key={SECRET}", None, "A key goes into INDEX_CHROMA_KEY"),
        (None, SECRET, "INDEX_CHROMA_URL is not"),
    ],
)
def test_a_server_to_which_a_key_cannot_go_safely_is_refused_without_telling_the_key(
    monkeypatch: pytest.MonkeyPatch, address: str | None, key: str | None, reason: str
) -> None:
    for name, value in {"INDEX_CHROMA_URL": address, "INDEX_CHROMA_KEY": key}.items():
        if value is not None:
            monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=reason) as caught:
        IndexSettings()

    assert SECRET not in str(caught.value)
    assert SECRET not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "file:///etc/passwd"])
def test_an_address_that_is_not_http_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("INDEX_CHROMA_URL", address)

    with pytest.raises(ValidationError, match="chroma_url"):
        IndexSettings()


def test_a_database_without_a_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_CHROMA_DATABASE", "news")

    with pytest.raises(ValidationError, match="INDEX_CHROMA_URL is not"):
        IndexSettings()
