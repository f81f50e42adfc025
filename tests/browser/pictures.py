"""Takes the pictures of README anew: python -m tests.browser.pictures ADDRESS, of a server on the seed document."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, Visit

PICTURES = Path("docs/pictures")
ANSWERED = "Combien de temps a duré l'entretien téléphonique entre Trump et Poutine ?"
DECLINED = "Quel est le prix du baril de pétrole ?"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name, question, viewport, scheme, locale in [
            ("answer", ANSWERED, DESKTOP, "light", "fr-FR"),
            ("declined", DECLINED, DESKTOP, "light", "fr-FR"),
            ("dark", "How long was the phone call?", DESKTOP, "dark", "en-GB"),
            ("phone", ANSWERED, PHONE, "light", "fr-FR"),
        ]:
            context = browser.new_context(viewport=viewport, color_scheme=scheme, locale=locale)
            visit = Visit(context.new_page(), address)
            visit.open()
            visit.ask_to_the_end(question)
            visit.page.locator(".others summary" if question == DECLINED else "a.marker").first.click()
            if question != DECLINED:
                visit.page.locator("#panel mark").wait_for()
            visit.page.screenshot(path=PICTURES / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
