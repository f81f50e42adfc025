"""Two assistants, one index: real servers, PostgreSQL, a Chroma server, and nginx before them as the docs say."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from assistant.errors import OwnerUnreachable
from assistant.owner import Owner, owner_of
from assistant.types import Answer
from assistant.web.conversations import Conversations, Place
from assistant.web.shared import Shared, SharedKeys
from index import Progress, Stop, StoreUnavailable
from index.database import postgresql_url
from tests import nginx
from tests.chroma import ChromaServer
from tests.postgres import PostgresServer
from tests.processes import start_command

pytestmark = pytest.mark.timeout(900)
PATIENCE_SECONDS = 300
ORIGIN = "https://pages.example"
VISITORS = 4
"""How many questions a visitor may ask a day."""
MILLS = 300
"""More than are embedded at once: some are still to be embedded when the first one is told as done."""
STEADY = {"phare.txt": "Le phare de Cordouan fut achevé en 1611.", "pain.txt": "Le pain coûte un euro à Royan."}
QUESTION = "Quand le phare de Cordouan fut-il achevé ?"


class Replica:
    """`assistant serve` with a folder of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = {**os.environ, **environment, "INDEX_PATH": str(folder / "index")}
        self._process: BaseProcess | None = None
        self._port = 0
        folder.mkdir()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it if it does not run."""
        if self._process:
            return
        if not self._port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self._port = free.getsockname()[1]
        log = self.folder / "log"
        self._process = start_command("serve", "--port", str(self._port), env=self._environment, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until it is ready."""
        until(self._ready, self.log)

    def kill(self) -> None:
        """Let it die where it stands."""
        assert self._process
        self._process.kill()
        self._process.join()
        self._process = None

    def stop(self) -> None:
        """End it as a service is ended."""
        if self._process:
            self._process.terminate()
            self._process.join(60)
            assert self._process.exitcode == 0, self.log()
            self._process = None

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    @property
    def owner(self) -> Owner:
        owner = owner_of(self.folder / "index")
        assert owner, self.log()
        return owner

    def sync(self, docs: Path) -> str:
        return str(self.owner.sync([docs], ignore, Stop()))

    def _ready(self) -> bool:
        assert self._process
        assert self._process.is_alive(), self.log()
        try:
            return httpx.get(f"http://{self.address}/api/ready").is_success
        except httpx.TransportError:
            return False


@dataclass
class Stage:
    replicas: tuple[Replica, Replica]
    front: httpx.Client
    """Through nginx, with an API key."""
    key: str
    url: str
    postgres: PostgresServer
    docs: Path

    def ask(self, replica: Replica, question: str = QUESTION) -> httpx.Response:
        """Ask one of them, past nginx."""
        return httpx.post(f"http://{replica.address}/api/ask", json={"question": question}, **self.options)

    @property
    def options(self) -> dict[str, Any]:
        return {"headers": {"Authorization": f"Bearer {self.key}"}, "timeout": 120}

    def through_nginx(self, question: str = QUESTION) -> httpx.Response:
        return self.front.post("/api/ask", json={"question": question})


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, postgres_process: PostgresServer, chroma_process: ChromaServer
) -> Iterator[Stage]:
    postgres_process.run()
    chroma_process.run()
    folder = tmp_path_factory.mktemp("replicas")
    docs = folder / "docs"
    docs.mkdir()
    for name, text in STEADY.items():
        (docs / name).write_text(text, "utf-8")
    with postgres_process.schema() as database:
        url = database.render_as_string(hide_password=False)
        key = SharedKeys(Shared(database)).create("Un programme")
        environment = {
            "INDEX_CATALOG_URL": url,
            "ASSISTANT_DATABASE_URL": url,
            "INDEX_CHROMA_URL": chroma_process.url,
            "ASSISTANT_TRUSTED_PROXIES": "127.0.0.1",
            "ASSISTANT_EMBED_ORIGINS": ORIGIN,
            "ASSISTANT_VISITOR_LIMIT": f"{VISITORS}/day",
        }
        replicas = (Replica(folder / "a", environment), Replica(folder / "b", environment))
        try:
            for replica in replicas:
                replica.start()
            for replica in replicas:
                replica.wait()
            replicas[0].sync(docs)
            with nginx.before_replicas([replica.address for replica in replicas]) as (address, authority):
                trust = ssl.create_default_context()
                authority.configure_trust(trust)
                headers = {"Authorization": f"Bearer {key}"}
                with httpx.Client(base_url=address, verify=trust, headers=headers, timeout=120) as front:
                    yield Stage(replicas, front, key, url, postgres_process, docs)
            for replica in replicas:
                replica.stop()
        finally:
            for replica in replicas:
                if replica._process:
                    replica.kill()


@pytest.fixture
def stage(whole: Stage, postgres: PostgresServer, chroma: ChromaServer) -> Stage:
    """Everything runs, and both replicas answer alike."""
    for replica in whole.replicas:
        replica.start()
    for replica in whole.replicas:
        replica.wait()
    whole.replicas[0].sync(whole.docs)
    until(lambda: alike(whole), whole.replicas[1].log)
    return whole


def until(holds: Callable[[], bool], otherwise: Callable[[], str] = str) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not holds():
        assert monotonic() < deadline, otherwise()
        sleep(0.05)


def told(response: httpx.Response) -> Any:
    """Give what a person sees of an answer; of one that is none, the status."""
    if not response.is_success:
        return response.status_code
    answer = response.json()
    return answer["answer"], answer["citations"], [(one["id"], one["text"]) for one in answer["passages"]]


def alike(stage: Stage, question: str = QUESTION) -> bool:
    first, second = (told(stage.ask(replica, question)) for replica in stage.replicas)
    return bool(first == second and not isinstance(first, int))


def ignore(_: object) -> None:
    pass


def sources(stage: Stage, replica: Replica) -> set[str]:
    listed = httpx.get(f"http://{replica.address}/api/sources", **stage.options).json()
    return {name for source in listed for name in source["paths"]}


@pytest.fixture
def mills(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    """A folder that takes a while to index; it is forgotten at the end."""
    for number in range(MILLS):
        (tmp_path / f"{number}.txt").write_text(f"Le moulin {number} tourne depuis l'an {1000 + number}.", "utf-8")
    yield tmp_path
    stage.replicas[1].owner.remove([str(tmp_path)], ignore, Stop())


def test_what_one_indexes_changes_and_removes_both_answer(stage: Stage) -> None:
    first, second = stage.replicas
    new = stage.docs / "viaduc.txt"
    question = "Quelle est la hauteur du viaduc de Millau ?"

    new.write_text("Le viaduc de Millau a une hauteur de 343 mètres.", "utf-8")
    assert second.sync(stage.docs) == "+1 ~0 -0 =2"
    until(lambda: "343" in stage.ask(first, question).json().get("answer", ""))
    assert alike(stage, question)
    assert stage.through_nginx(question).json()["citations"][0]["quote"] == new.read_text("utf-8")

    new.write_text("Le viaduc de Millau a une hauteur de 336 mètres.", "utf-8")
    assert first.sync(stage.docs) == "+0 ~1 -0 =2"
    until(lambda: "336" in stage.ask(second, question).json().get("answer", ""))
    assert "343" not in stage.ask(second, question).json()["answer"]

    [removed] = [
        s["id"]
        for s in httpx.get(f"http://{first.address}/api/sources", **stage.options).json()
        if s["path"] == new.name
    ]
    new.unlink()
    first.owner.remove([removed], ignore, Stop())
    until(lambda: "336" not in stage.ask(second, question).text and alike(stage, question))
    assert sources(stage, first) == sources(stage, second) == STEADY.keys()


def test_keys_tokens_limits_and_conversations_are_the_same_everywhere(stage: Stage) -> None:
    first, second = stage.replicas
    asked = {"json": {"origin": ORIGIN}}
    token = httpx.post(f"http://{first.address}/api/token", **asked, **stage.options).json()["token"]
    visitor = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 120, "json": {"question": QUESTION}}

    replicas = [stage.replicas[number % 2] for number in range(VISITORS + 2)]
    statuses = [httpx.post(f"http://{replica.address}/api/ask", **visitor).status_code for replica in replicas]
    assert statuses == [200] * VISITORS + [429] * 2

    keys = SharedKeys(Shared(postgresql_url(stage.url)))
    other = keys.create("Un autre")
    listing = {"headers": {"Authorization": f"Bearer {other}"}}
    assert httpx.get(f"http://{second.address}/api/sources", **listing).is_success
    keys.revoke(keys.all()[-1].id)
    assert httpx.get(f"http://{second.address}/api/sources", **listing).status_code == 401

    mine = "a" * 64
    conversations = Conversations(postgresql_url(stage.url))
    conversation = conversations.at(Place(key=mine, conversation="b" * 32))
    conversation.begin("Combien ?").take(Answer("Combien ?", "Combien ?", "Un euro.", (), ()))
    conversations.keep(conversation)
    for replica in stage.replicas:
        [listed] = httpx.get(
            f"http://{replica.address}/conversations", headers={"X-Conversation-Key": mine}, timeout=60
        ).json()
        assert listed["title"] == "Combien ?"


def test_a_replica_that_dies_in_the_middle_of_a_sync_loses_nothing_and_the_other_goes_on(
    stage: Stage, mills: Path
) -> None:
    first, second = stage.replicas
    steps: list[object] = []

    def kill(step: object) -> None:
        steps.append(step)
        if isinstance(step, Progress) and step.documents and first._process:
            first.kill()

    with pytest.raises(OwnerUnreachable):
        first.owner.sync([mills], kill, Stop())
    acknowledged = max(step.documents for step in steps if isinstance(step, Progress))

    for _ in range(6):
        assert stage.through_nginx().is_success
    kept = len(sources(stage, second)) - len(STEADY)
    report = second.owner.sync([mills], ignore, Stop())
    assert acknowledged <= kept < MILLS
    assert (report.unchanged, report.added, report.pending) == (kept, MILLS - kept, 0)
    first.start()
    first.wait()
    until(lambda: alike(stage, "Depuis quand tourne le moulin 399 ?"), first.log)
    assert len(sources(stage, first)) == len(STEADY) + MILLS
    assert first.owner.check() == []


def test_while_the_database_is_cut_off_nobody_is_told_nonsense_and_then_all_is_there(stage: Stage, mills: Path) -> None:
    first, second = stage.replicas
    answered = told(stage.ask(first))[:2]
    acknowledged = 0

    def cut(step: object) -> None:
        nonlocal acknowledged
        if isinstance(step, Progress) and step.documents:
            acknowledged = acknowledged or step.documents
            stage.postgres.cut()

    with pytest.raises(StoreUnavailable, match="See that it runs, can be reached"):
        first.owner.sync([mills], cut, Stop())
    for replica in stage.replicas:
        refused = stage.ask(replica)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert httpx.get(f"http://{replica.address}/api/health").status_code in {200, 503}
    stage.postgres.run()

    assert [told(stage.ask(replica))[:2] for replica in stage.replicas] == [answered] * 2
    report = second.owner.sync([mills], ignore, Stop())
    assert report.unchanged >= acknowledged
    assert report.unchanged + report.added == MILLS
    until(lambda: alike(stage, "Depuis quand tourne le moulin 399 ?"), first.log)
    for replica in stage.replicas:
        assert replica.owner.check() == []
        assert stage.url.partition("@")[0] not in replica.log()
