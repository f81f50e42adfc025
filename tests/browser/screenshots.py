"""Takes the pictures of README anew: python -m tests.browser.screenshots ADDRESS, of a server on the seed document."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import ARGUMENTS, Visit

PICTURES = Path("docs/pictures")
ANSWERED = "Combien de temps a duré l'entretien téléphonique entre Trump et Poutine ?"
IN_ENGLISH = "How long was the phone call?"
DECLINED = "Quel est le prix du baril de pétrole ?"
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "locale": "fr-FR"}
PHONE = {"viewport": {"width": 390, "height": 844}, "locale": "fr-FR", "device_scale_factor": 2}


def empty(visit: Visit) -> None:
    """With the questions to begin with, which are made beside the first visit."""
    while not visit.page.locator(".example").count():
        visit.page.wait_for_timeout(1_000)
        visit.open()


def answer(visit: Visit) -> None:
    visit.ask_to_the_end(ANSWERED)


def source(visit: Visit) -> None:
    visit.ask_to_the_end(ANSWERED)
    visit.open_source(1)


def english(visit: Visit) -> None:
    visit.ask_to_the_end(IN_ENGLISH)
    visit.open_source(1)


def declined(visit: Visit) -> None:
    visit.ask_to_the_end(DECLINED)


def conversations(visit: Visit) -> None:
    visit.ask_to_the_end(ANSWERED)
    visit.page.locator("#new").click()
    visit.page.locator(".greeting").wait_for()
    visit.ask_to_the_end(DECLINED)
    visit.page.locator("#history-open").click()
    visit.page.locator("#history li").nth(1).wait_for()


def documents(visit: Visit) -> None:
    """With a file that is read and one that is not."""
    visit.page.locator("#documents-open").click()
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("Compte rendu du conseil.txt", "logo.bin")]
        files[0].write_text("Le conseil s'est réuni le 3 mars. Il a voté le budget de l'année.", "utf-8")
        files[1].write_bytes(b"\x00\x01\x02")
        visit.page.locator("#documents [type=file]").first.set_input_files(files)
        visit.page.locator("#documents .arriving .good").wait_for()


def widget(visit: Visit) -> None:
    """The chat in a page of somebody else."""
    visit.page.goto(f"{visit.address}/demo")
    visit.page.wait_for_function("window.Assistant")
    visit.page.evaluate("question => { Assistant.ask(question); }", ANSWERED)
    visit.page.frames[-1].locator(".answer .copy").wait_for()


def forget(address: str) -> None:
    """Remove what was added for the picture."""
    for name in ("Compte rendu du conseil.txt", "logo.bin"):
        httpx.request("DELETE", f"{address}/api/uploads/{name}", json={}, timeout=120)


STATES: dict[str, tuple[Callable[[Visit], None], dict[str, object]]] = {
    "empty": (empty, DESKTOP),
    "answer": (answer, DESKTOP),
    "source": (source, DESKTOP),
    "declined": (declined, DESKTOP),
    "conversations": (conversations, DESKTOP),
    "dark": (english, DESKTOP | {"color_scheme": "dark", "locale": "en-GB"}),
    "english": (english, DESKTOP | {"locale": "en-GB"}),
    "phone": (answer, PHONE),
    "phone-source": (source, PHONE | {"has_touch": True, "is_mobile": True}),
    "widget": (widget, DESKTOP),
    "documents": (documents, DESKTOP),
}


def take(browser: Browser, address: str, name: str, folder: Path = PICTURES) -> None:
    """Bring the page into a state and keep what it looks like."""
    reach, where = STATES[name]
    context = browser.new_context(**where)
    context.set_default_timeout(120_000)
    visit = Visit(context.new_page(), address)
    visit.open()
    reach(visit)
    visit.page.screenshot(path=folder / f"{name}.png")
    context.close()


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name in STATES:
            take(browser, address, name)
        forget(address)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
