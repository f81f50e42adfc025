"""The owner adds documents on the page: a real server and a real index, whose model and answers are faked."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from assistant.web.app import create_app
from assistant.web.uploads import MEGABYTE, Limits, Uploads
from index import Index, IndexSettings, Passage, SyncQueue
from index.build import open_or_create, own
from tests.browser.conftest import Visit, watched
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.browser.test_accessibility import DESKTOP, PHONE, faults
from tests.fakes import Gate, paragraph_recipe

OWL = "Le hibou dort le jour."
FOX = "Le renard dort la nuit."


class Reading(ScriptedAssistant):
    """Answers with the first sentence of what is indexed."""

    def __init__(self, index: Index) -> None:
        super().__init__()
        self.index = index

    @property
    def passages(self) -> tuple[Passage, ...]:
        found = self.index.sources()
        return tuple(Passage(f"{one.id}-0", self.index.text(one.id), one.id, one.title, None, 0, 1.0) for one in found)


@dataclass
class Stage:
    address: str
    closed: str
    """The same server, where nobody may add anything."""
    index: Index
    uploads: Uploads
    gate: Gate


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder, gate = tmp_path_factory.mktemp("documents"), Gate()
    recipe = replace(paragraph_recipe("hashing", dimension=32), reader=gate.reader)
    with own(IndexSettings(path=folder / "index"), recipe, open_or_create) as index, SyncQueue(index) as queue:
        uploads = Uploads(folder / "uploads", index, queue, Limits(file_bytes=MEGABYTE))
        assistant = Reading(index)
        with (
            serving(create_app(assistant, queue, tries_examples=False, uploads=uploads)) as address,
            serving(create_app(assistant, queue, tries_examples=False)) as closed,
        ):
            yield Stage(address, closed, index, uploads, gate)
            gate.open.set()


@pytest.fixture
def empty(stage: Stage) -> Iterator[Stage]:
    """The stage with nothing indexed."""
    yield stage
    stage.gate.open.set()
    stage.uploads.stop()
    stage.uploads.sync()
    for _ in stage.uploads.follow():
        pass
    for file in stage.uploads.list():
        stage.uploads.remove(file.name)


@pytest.fixture
def visit(empty: Stage, browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(locale="fr-FR")
    context.set_default_timeout(60_000)
    yield watched(context.new_page(), empty.address)
    context.close()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "Forêt"
    (docs / "nuit").mkdir(parents=True)
    (docs / "hibou.txt").write_text(OWL, "utf-8")
    (docs / "nuit" / "renard.txt").write_text(FOX, "utf-8")
    (docs / ".cache").write_text("rien")
    return docs


def opened(visit: Visit) -> Page:
    page = visit.open()
    page.get_by_role("button", name="Documents", exact=True).click()
    expect(page.get_by_role("dialog", name="Documents")).to_be_visible()
    return page


def choose(page: Page, *files: Path) -> None:
    page.locator("#documents [type=file]").first.set_input_files(files)


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders as a file manager does."""
    tools = page.context.new_cdp_session(page)
    carried = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tools.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 300, "data": carried})


def reach(page: Page, gate: Gate) -> None:
    """Wait until a file is to be read; the browser's requests go through this thread meanwhile."""
    while not gate.reached.is_set():
        page.wait_for_timeout(20)


def titles(page: Page) -> list[str]:
    return page.locator("#documents .kept .open").all_text_contents()


def test_an_empty_page_invites_and_what_is_added_is_asked_about(visit: Visit, docs: Path) -> None:
    page = visit.open()
    expect(page.get_by_text("Aucun document n’est indexé pour l’instant.")).to_be_visible()

    page.get_by_role("button", name="Ajouter des documents").click()
    choose(page, docs / "hibou.txt")

    expect(page.locator("#documents .arriving li")).to_contain_text("indexé")
    expect(page.locator("#documents .status")).to_have_text("Terminé. Documents ajoutés : 1 ; fichiers illisibles : 0.")
    expect(page.locator("#documents .kept li")).to_contain_text("TXT · 1 passage · hibou.txt")
    page.keyboard.press("Escape")
    expect(page.get_by_text("1 document indexé.")).to_be_visible()
    visit.ask_to_the_end("Qui dort le jour ?")
    expect(page.locator(".answer .said")).to_contain_text(OWL)
    visit.open_source(1)
    expect(page.locator("#panel mark")).to_have_text(OWL)
    assert visit.foreign_requests == []
    assert visit.complaints == []


def test_a_folder_is_sent_with_the_folders_in_it_and_without_what_is_hidden(
    visit: Visit, docs: Path, stage: Stage
) -> None:
    page = opened(visit)

    page.locator("#documents [webkitdirectory]").set_input_files(docs)

    expect(page.locator("#documents .kept .open")).to_have_count(2)
    assert [file.name for file in stage.uploads.list()] == ["Forêt/hibou.txt", "Forêt/nuit/renard.txt"]


def test_a_folder_that_is_dropped_is_sent_with_all_that_is_in_it(visit: Visit, docs: Path) -> None:
    (docs / "vide").mkdir()
    # A browser gives what is in a folder a hundred at a time.
    owls = [docs / "nuit" / f"chouette {number}.txt" for number in range(120)]
    for owl in owls:
        owl.write_text("La chouette dort le jour.", "utf-8")
    letter = docs.parent / "lettre.txt"
    letter.write_text("Une lettre.", "utf-8")
    page = visit.open()
    page.route("**/api/uploads?name=**", lambda route: None)

    drop(page, docs, letter)

    names = page.locator("#documents .arriving .name")
    expect(names).to_have_count(123)
    sent = [docs / "hibou.txt", docs / "nuit" / "renard.txt", letter, *owls]
    assert {*names.all_text_contents()} == {file.relative_to(docs.parent).as_posix() for file in sent}
    assert visit.complaints == []


def test_files_dropped_anywhere_on_the_page_are_added(visit: Visit) -> None:
    page = visit.open()
    dropped = page.evaluate_handle(
        """() => { const carried = new DataTransfer();
        carried.items.add(new File(["Le hibou dort le jour."], "hibou.txt")); return carried; }"""
    )

    page.dispatch_event("#conversation", "dragover", {"dataTransfer": dropped})
    expect(page.get_by_text("Déposez pour ajouter à vos documents")).to_be_visible()
    page.dispatch_event("#conversation", "drop", {"dataTransfer": dropped})

    expect(page.get_by_text("Déposez pour ajouter à vos documents")).not_to_be_visible()
    expect(page.locator("#documents .kept .open")).to_have_text("hibou")


def test_a_file_that_cannot_be_read_shows_why_and_one_that_is_too_large_is_not_sent(
    visit: Visit, docs: Path, stage: Stage
) -> None:
    (docs / "programme.exe").write_bytes(b"MZ\x90\x00")
    (docs / "roman.txt").write_bytes(b"a" * (MEGABYTE + 1))
    page = opened(visit)

    choose(page, docs / "hibou.txt", docs / "programme.exe", docs / "roman.txt")

    rows = page.locator("#documents .arriving li")
    expect(rows.nth(1)).to_contain_text("ce genre de fichier n’est pas lu")
    expect(rows.nth(2)).to_contain_text("trop volumineux")
    expect(rows.nth(0)).to_contain_text("indexé")
    assert [file.name for file in stage.uploads.list()] == ["hibou.txt", "programme.exe"]
    rows.nth(1).get_by_role("button", name="Supprimer").click()
    rows.nth(1).get_by_role("button", name="Supprimer", exact=True).click()
    expect(rows).to_have_count(2)
    assert [file.name for file in stage.uploads.list()] == ["hibou.txt"]


def test_an_upload_that_is_cancelled_leaves_nothing(visit: Visit, docs: Path, stage: Stage) -> None:
    page = opened(visit)
    page.route("**/api/uploads?name=**", lambda route: None)
    choose(page, docs / "hibou.txt")
    row = page.locator("#documents .arriving li")
    expect(row).to_contain_text("envoi…")

    with page.expect_event("requestfailed"):
        row.get_by_role("button", name="Annuler").press("Enter")

    expect(row).to_contain_text("annulé")
    assert stage.uploads.list() == []


def test_a_question_is_answered_while_a_sync_goes_on_and_a_sync_that_is_stopped_keeps_what_is_whole(
    visit: Visit, docs: Path, stage: Stage
) -> None:
    page = opened(visit)
    choose(page, docs / "hibou.txt")
    expect(page.locator("#documents .kept .open")).to_have_text("hibou")
    stage.gate.close()
    choose(page, docs / "nuit" / "renard.txt")
    reach(page, stage.gate)
    page.keyboard.press("Escape")

    visit.ask_to_the_end("Qui dort le jour ?")
    expect(page.locator(".answer .said")).to_contain_text(OWL)
    page.get_by_role("button", name="Documents", exact=True).click()
    Thread(target=stage.gate.open_when_asked).start()
    page.get_by_role("button", name="Tout arrêter").click()

    expect(page.locator("#documents .status")).to_have_text("Arrêté. Ce qui est déjà indexé le reste.")
    assert titles(page) == ["hibou"]
    expect(page.locator("#documents .arriving")).to_contain_text("en attente d’indexation")
    page.get_by_role("button", name="Indexer").click()
    expect(page.locator("#documents .kept .open")).to_have_text(["hibou", "renard"])


def test_a_page_that_is_loaded_again_goes_on_telling_of_the_sync(visit: Visit, docs: Path, stage: Stage) -> None:
    page = opened(visit)
    stage.gate.close()
    choose(page, docs / "hibou.txt")
    reach(page, stage.gate)

    page.reload()
    page.get_by_role("button", name="Documents", exact=True).click()
    expect(page.get_by_role("button", name="Tout arrêter")).to_be_visible()
    stage.gate.open.set()

    expect(page.locator("#documents .kept .open")).to_have_text("hibou")
    expect(page.get_by_role("button", name="Tout arrêter")).not_to_be_visible()


def test_a_removal_can_be_refused_and_then_document_and_file_are_gone(visit: Visit, docs: Path, stage: Stage) -> None:
    page = opened(visit)
    choose(page, docs / "hibou.txt", docs / "nuit" / "renard.txt")
    expect(page.locator("#documents .kept .open")).to_have_count(2)
    page.get_by_role("button", name="Supprimer : hibou").click()

    expect(page.get_by_role("button", name="Annuler")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#documents .kept .open")).to_have_text(["hibou", "renard"])
    expect(page.get_by_role("button", name="Supprimer : hibou")).to_be_focused()
    page.get_by_role("button", name="Supprimer : hibou").click()
    page.get_by_role("searchbox", name="Chercher parmi les documents").dispatch_event(
        "input"
    )  # the list is drawn again
    expect(page.get_by_role("button", name="Annuler")).to_be_focused()
    page.locator("#documents .sure .yes").click()

    expect(page.locator("#documents .status")).to_have_text("Le document est supprimé.")
    expect(page.locator("#documents .kept .open")).to_have_text(["renard"])
    assert [file.name for file in stage.uploads.list()] == ["renard.txt"]
    assert [source.title for source in stage.index.sources()] == ["renard"]


def test_the_list_is_searched_without_regard_to_accents_and_opens_documents(visit: Visit, docs: Path) -> None:
    (docs / "été.txt").write_text("L'été est chaud.", "utf-8")
    page = opened(visit)
    choose(page, docs / "été.txt", docs / "hibou.txt")
    expect(page.locator("#documents .kept .open")).to_have_count(2)

    page.get_by_role("searchbox", name="Chercher parmi les documents").fill("ETE")

    expect(page.locator("#documents .kept .open")).to_have_text("été")
    expect(page.locator("#documents .found")).to_have_text("1 sur 2")
    page.locator("#documents .kept .open").click()
    expect(page.locator("#panel .text")).to_have_text("L'été est chaud.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(
    empty: Stage, browser: Browser, docs: Path, where: dict[str, object], scheme: str
) -> None:
    (docs / "programme.exe").write_bytes(b"MZ\x90\x00")
    page = browser.new_page(locale="fr-FR", color_scheme=scheme, **where)
    page.goto(empty.address)
    page.get_by_role("button", name="Ajouter des documents").wait_for()
    found = {"invitation": faults(page)}
    page.get_by_role("button", name="Documents", exact=True).click()
    choose(page, docs / "hibou.txt", docs / "programme.exe")
    expect(page.locator("#documents .kept .open")).to_have_text("hibou")
    found["list"] = faults(page)
    empty.gate.close()
    choose(page, docs / "nuit" / "renard.txt")
    reach(page, empty.gate)
    found["upload under way"] = faults(page)
    page.get_by_role("button", name="Supprimer : hibou").click()
    found["confirmation"] = faults(page)
    width = page.evaluate("document.querySelector('#documents').scrollWidth - window.innerWidth")
    page.close()

    assert not any(found.values()), found
    assert width <= 0


def test_names_are_shown_letter_by_letter(visit: Visit, docs: Path, stage: Stage) -> None:
    lines = map(json.loads, Path("tests/browser/payloads.jsonl").read_text("utf-8").splitlines())
    texts = {line["kind"]: re.sub(r"[/\0]", "\N{DIVISION SLASH}", line["text"]) for line in lines}.values()
    files = [docs / f"{text[:60]}.txt" for text in texts]
    for number, file in enumerate(files):
        file.write_text(f"Un piège, {number}.", "utf-8")
    page = opened(visit)
    tags = tags_in(page)

    choose(page, *files)

    expect(page.locator("#documents .kept .open")).to_have_count(len(files))
    names = [file.name for file in stage.uploads.list()]
    assert {Path(name).stem for name in names} == {*titles(page)}
    assert tags_in(page) - tags <= {"li"}
    assert visit.foreign_requests == []
    assert visit.complaints == []


def tags_in(page: Page) -> set[str]:
    return set(page.locator("#documents *").evaluate_all("all => all.map((one) => one.localName)"))


def test_where_nobody_may_add_anything_the_page_shows_nothing_of_it(stage: Stage, browser: Browser) -> None:
    page = browser.new_page(locale="fr-FR")
    visit = watched(page, stage.closed)
    visit.open()

    assert page.locator("#documents").count() == 0
    expect(page.get_by_role("button", name="Documents", exact=True)).not_to_be_visible()
    expect(page.get_by_role("button", name="Ajouter des documents")).not_to_be_visible()
    assert visit.complaints == []
    assert httpx.get(f"{stage.closed}/api/uploads").status_code == 403


@pytest.mark.parametrize("query", ["?embed=1", ""], ids=["as the widget", "plainly"])
def test_a_page_in_a_frame_shows_nothing_of_it(stage: Stage, browser: Browser, query: str) -> None:
    page = browser.new_page(locale="fr-FR")
    page.goto(f"{stage.address}/static/none")
    page.set_content(f'<iframe src="{stage.address}/{query}" width="800" height="600"></iframe>')
    frame = page.frame_locator("iframe")
    expect(frame.locator("#conversation .greeting")).to_be_visible()

    assert frame.locator("#documents").count() == 0
    expect(frame.get_by_role("button", name="Ajouter des documents")).not_to_be_visible()
