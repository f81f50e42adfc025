import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from assistant.keys import Keys
from assistant.origins import Origins
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.limits import Limits
from assistant.web.proxy import Proxy
from assistant.web.tokens import Tokens
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

PAGE = "https://example.org"
OTHER = "https://other.example.org"
BODY = {"question": "Quand fut signé l'armistice ?"}
ASK = "/api/ask"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Public:
    """A server that others reach, and what its owner holds."""

    client: httpx.Client
    key: str
    keys: Keys
    clock: Clock
    tokens: Tokens

    def ask(self, credential: str = "", path: str = ASK, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {credential}"} if credential else {}
        return self.client.post(path, json=BODY, headers=given | headers)

    def token(self, credential: str = "", origin: str | None = PAGE, **wanted: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {credential}"} if credential else {}
        return self.client.post("/api/token", json=wanted, headers=headers | ({"origin": origin} if origin else {}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    keys = Keys(tmp_path_factory.mktemp("keys") / "keys.json")
    key, clock = keys.create("Le site"), Clock()
    tokens = Tokens(clock=clock)
    access = Access(Origins.parse(f"{PAGE} {OTHER}"), keys, tokens, Limits(address="1000/minute"))
    assistant = ScriptedAssistant()
    app = create_app(assistant, SyncQueue(assistant.index), hosts=None, access=access, proxy=Proxy(("127.0.0.1",)))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield Public(client, key, keys, clock, tokens)


@pytest.fixture
def alone() -> Iterator[httpx.Client]:
    """A server for this computer alone, with a listed page."""
    assistant = ScriptedAssistant()
    app = create_app(assistant, SyncQueue(assistant.index), access=Access(Origins.parse(PAGE)))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


KEYED = [
    ("POST", "/api/ask"),
    ("GET", "/api/sources"),
    ("GET", "/api/sources/armistice"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("POST", "/mcp"),
    ("GET", "/demo"),
]


@pytest.mark.parametrize(("method", "path"), KEYED)
def test_from_elsewhere_the_api_needs_a_key(server: Public, method: str, path: str) -> None:
    body = BODY if method == "POST" else None
    without = server.client.request(method, path, json=body)
    wrong = server.client.request(method, path, json=body, headers={"authorization": "Bearer sourcier-wrong"})

    for response in (without, wrong):
        assert response.status_code == 401
        assert response.headers["www-authenticate"]
        assert "assistant keys" in response.json()["error"]["message"]


def test_a_key_opens_the_api_until_it_is_revoked(server: Public) -> None:
    key = server.keys.create("Un programme")

    assert server.ask(key).status_code == 200
    assert server.client.get("/api/sources", headers={"authorization": f"Bearer {key}"}).status_code == 200
    server.keys.revoke(server.keys.all()[-1].id)
    assert server.ask(key).status_code == 401


def test_a_word_that_is_no_key_opens_nothing_elsewhere_and_hinders_nobody_here(
    server: Public, alone: httpx.Client
) -> None:
    words = {"authorization": "Bearer none"}

    assert server.client.get("/v1/models", headers=words).status_code == 401
    assert alone.get("/v1/models", headers=words).status_code == 200
    assert alone.get("/v1/models", headers=words | {"origin": PAGE}).status_code == 401


def test_the_health_is_for_everybody(server: Public) -> None:
    assert server.client.get("/api/health").status_code == 200


def test_a_browser_may_give_the_key_as_a_password(server: Public) -> None:
    word = base64.b64encode(f"owner:{server.key}".encode()).decode()

    assert server.client.get("/demo").headers["www-authenticate"].startswith("Basic")
    assert server.client.get("/demo", headers={"authorization": f"Basic {word}"}).status_code == 200


def test_this_computer_needs_no_key(alone: httpx.Client) -> None:
    assert alone.post(ASK, json=BODY).status_code == 200
    assert alone.get("/api/sources").status_code == 200
    assert alone.get("/demo").status_code == 200


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via"])
def test_what_came_through_a_proxy_is_not_from_this_computer(alone: httpx.Client, header: str) -> None:
    assert alone.post(ASK, json=BODY, headers={header: "127.0.0.1"}).status_code == 401
    assert alone.get("/api/sources", headers={header: "127.0.0.1"}).status_code == 401


def test_a_listed_page_in_the_owners_browser_is_not_the_owner(alone: httpx.Client) -> None:
    assert alone.get("/api/sources", headers={"origin": PAGE}).status_code == 401
    assert alone.post(ASK, json=BODY, headers={"origin": PAGE}).status_code == 401


def test_a_visitor_of_a_listed_page_gets_a_token_and_may_ask(server: Public) -> None:
    given = server.token()
    assert given.json()["origin"] == PAGE
    assert given.json()["seconds"] == 1800

    answer = server.ask(given.json()["token"], origin=PAGE)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/api/sources", "/api/sources/armistice", "/v1/models", "/demo"])
def test_a_visitor_may_do_nothing_else(server: Public, path: str) -> None:
    token = server.token().json()["token"]

    assert server.client.get(path, headers={"authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "null", f"{PAGE}.evil.test", f"{PAGE}:8443", "http://example.org"]
)
def test_a_page_that_is_not_listed_gets_no_token_and_may_read_nothing(server: Public, origin: str) -> None:
    refused = server.token(origin=origin)

    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    assert server.ask(server.key, origin=origin).status_code == 403
    preflight = server.client.options(ASK, headers={"origin": origin, "access-control-request-method": "POST"})
    assert "access-control-allow-origin" not in preflight.headers


def test_without_an_origin_nobody_gets_a_token(server: Public) -> None:
    assert server.token(origin=None).status_code == 401


def test_a_token_of_one_page_is_not_good_on_another(server: Public) -> None:
    refused = server.ask(server.token().json()["token"], origin=OTHER)

    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "TokenRefused"


def test_a_token_ends_and_is_renewed_while_it_is_good(server: Public) -> None:
    first = server.token().json()["token"]
    server.clock.now += 1700
    second = server.token(first).json()["token"]
    server.clock.now += 200

    ended = server.ask(first, origin=PAGE)

    assert ended.status_code == 401
    assert ended.json()["error"]["type"] == "TokenExpired"
    assert ended.headers["access-control-allow-origin"] == PAGE
    assert server.ask(second, origin=PAGE).status_code == 200
    assert server.tokens.read(second).subject == jwt_subject(first)
    assert server.token(first).status_code == 401


def jwt_subject(token: str) -> str:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sub"]


def test_a_forged_token_opens_nothing_even_here(server: Public, alone: httpx.Client) -> None:
    forged = Tokens().anonymous(PAGE)

    assert server.ask(forged).status_code == 401
    assert alone.post(ASK, json=BODY, headers={"authorization": f"Bearer {forged}"}).status_code == 401


def test_the_pages_own_server_names_its_user(server: Public) -> None:
    named = server.client.post(
        "/api/token", json={"origin": PAGE, "user": "ada"}, headers={"authorization": f"Bearer {server.key}"}
    )

    assert server.tokens.read(named.json()["token"]).subject == "user:ada"
    assert server.ask(named.json()["token"], origin=PAGE).status_code == 200


def test_a_visitor_cannot_name_themselves(server: Public) -> None:
    given = server.token(user="ada")

    assert not server.tokens.read(given.json()["token"]).named


def test_a_token_for_a_page_that_is_not_listed_is_not_made(server: Public) -> None:
    refused = server.client.post(
        "/api/token", json={"origin": "https://evil.test"}, headers={"authorization": f"Bearer {server.key}"}
    )

    assert refused.status_code == 403
    assert "ASSISTANT_EMBED_ORIGINS=https://evil.test" in refused.json()["error"]["message"]


@pytest.mark.parametrize("language", ["fr-CA", "en"])
def test_too_many_questions_are_refused_with_the_time_to_wait(tmp_path: Path, language: str) -> None:
    assistant = ScriptedAssistant()
    access = Access(Origins.parse(PAGE), Keys(tmp_path / "keys.json"), limits=Limits(visitor="1/minute"))
    with serving(create_app(assistant, SyncQueue(assistant.index), hosts=None, access=access)) as address:
        headers = {"origin": PAGE, "accept-language": language}
        token = httpx.post(f"{address}/api/token", json={}, headers=headers).json()["token"]
        headers |= {"authorization": f"Bearer {token}"}
        answers = [httpx.post(address + ASK, json=BODY, headers=headers, timeout=60) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    refused = answers[1]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["access-control-allow-origin"] == PAGE
    assert "Retry-After" in refused.headers["access-control-expose-headers"]
    assert ("Revenez" if language.startswith("fr") else "Come back") in refused.json()["error"]["message"]


def test_a_call_of_the_page_needs_a_token_from_elsewhere(server: Public) -> None:
    call = {"data": [], "fn_index": 0, "session_hash": "window"}

    assert server.client.post("/gradio_api/queue/join", json=call).status_code == 401


def test_listed_pages_may_frame_the_chat_and_no_others(server: Public) -> None:
    for path in ("/", "/?embed=1", "/api/health"):
        policy = server.client.get(path).headers["content-security-policy"]
        assert f"frame-ancestors 'self' {PAGE} {OTHER}" in policy.split("; ")


@pytest.mark.parametrize("referer", [f"{PAGE}/a/page?b", "https://evil.test/", ""])
def test_the_token_in_the_page_is_for_the_page_around(server: Public, referer: str) -> None:
    page = server.client.get("/?embed=1", headers={"referer": referer} if referer else {})

    start = json.loads(page.text.partition("const START = ")[2].partition(";\n")[0])
    own = str(server.client.base_url).rstrip("/")
    assert server.tokens.read(start["visitor"]["token"]).origin == (PAGE if referer.startswith(PAGE) else own)
    assert page.headers["cache-control"] == "no-store"
    assert page.text.index("<script>(() => { const START") < page.text.index("<meta")


def test_a_proxy_that_is_trusted_tells_the_address(tmp_path: Path) -> None:
    assistant = ScriptedAssistant()
    limits = Limits(address="1/minute", visitor="100/minute")
    access = Access(Origins.parse(PAGE), Keys(tmp_path / "keys.json"), limits=limits)

    def statuses(trusted: tuple[str, ...]) -> list[int]:
        app = create_app(assistant, SyncQueue(assistant.index), hosts=None, access=access, proxy=Proxy(trusted))
        with serving(app) as address:
            token = httpx.post(f"{address}/api/token", json={}, headers={"origin": PAGE}).json()["token"]
            headers = {"origin": PAGE, "authorization": f"Bearer {token}"}
            return [
                httpx.post(address + ASK, json=BODY, headers=headers | {"x-forwarded-for": client}).status_code
                for client in ("192.0.2.1", "192.0.2.1, 192.0.2.2", "192.0.2.9, 192.0.2.2")
            ]

    assert statuses(("127.0.0.1",)) == [200, 200, 429]
    assert statuses(("192.0.2.77",)) == [200, 429, 429]


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-gradio-server"])
def test_nobody_tells_the_page_what_the_server_is_called(server: Public, header: str) -> None:
    answer = server.client.get("/config", headers={header: "https://evil.test"})

    assert "evil.test" not in answer.text


@pytest.mark.parametrize("stripped", [True, False])
def test_under_a_path_everything_is_found(stripped: bool) -> None:
    assistant = ScriptedAssistant()
    app = create_app(assistant, SyncQueue(assistant.index), hosts=None, proxy=Proxy((), "/assistant"))
    prefix = "" if stripped else "/assistant"
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        assert client.get(f"{prefix}/api/health").status_code == 200
        assert client.get(f"{prefix}/api/sources").status_code == 401
        assert client.get(f"{prefix}/widget.js").status_code == 200
        assert client.get(f"{prefix}/gradio_api/info").status_code == 404
        page = client.get(f"{prefix}/")
        assert "const START" in page.text
        assert client.get(f"{prefix}/config").json()["root"] == f"{address}/assistant"


def assistant_command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assistant", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_line_of_html_is_printed_for_a_listed_origin_only(tmp_path: Path) -> None:
    command = ["embed", "--origin", "https://www.example.org", "--server", "https://chat.example.com/a/"]
    listed = assistant_command(tmp_path, *command, ASSISTANT_EMBED_ORIGINS="https://*.example.org")
    unlisted = assistant_command(tmp_path, *command)
    broken = assistant_command(tmp_path, *command, ASSISTANT_EMBED_ORIGINS="https://example.org;")

    line = '<script src="https://chat.example.com/a/widget.js" data-lang="fr" data-theme="auto" async></script>\n'
    assert (listed.returncode, listed.stdout) == (0, line)
    assert (unlisted.returncode, unlisted.stdout) == (2, "")
    assert "ASSISTANT_EMBED_ORIGINS='https://www.example.org'" in unlisted.stderr
    assert broken.returncode == 2
    assert "is no origin" in broken.stderr


def test_keys_are_made_listed_and_revoked_on_the_command_line(tmp_path: Path) -> None:
    made = assistant_command(tmp_path, "keys", "create", "Site web")
    [listed] = json.loads(assistant_command(tmp_path, "keys", "list", "--json").stdout)
    keys = Keys(tmp_path / ".assistant" / "keys.json")

    assert listed["name"] == "Site web"
    assert keys.find(made.stdout.strip())
    assert assistant_command(tmp_path, "keys", "revoke", listed["id"]).returncode == 0
    assert assistant_command(tmp_path, "keys", "revoke", listed["id"]).returncode == 2
    assert keys.find(made.stdout.strip()) is None
