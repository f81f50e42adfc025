"""axe, of Deque, finds nothing serious on any state of the page; and everything can be done by keyboard."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, Visits

QUESTION = "Quand fut signé l'armistice ?"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def faults(page: Page) -> list[str]:
    """Run axe; give its serious and critical findings."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(visits: Visits, where: dict[str, object], scheme: str) -> None:
    visit = visits(color_scheme=scheme, **where)
    page = visit.open()
    found = {"empty": faults(page)}
    visit.ask_to_the_end(QUESTION)
    found["answer"] = faults(page)
    page.locator("button.bad").click()
    found["opinion"] = faults(page)
    visit.open_source(1)
    found["source"] = faults(page)
    page.keyboard.press("Escape")
    visit.ask_to_the_end("Combien de lunes a Jupiter ?")
    found["declined"] = faults(page)
    page.locator("#history-open").click()
    page.locator("#history li").first.wait_for()
    found["conversations"] = faults(page)

    assert not any(found.values()), found


def test_the_tab_key_goes_through_everything_in_the_order_of_the_page(visit: Visit) -> None:
    page = visit.open()
    visit.ask_to_the_end(QUESTION)
    page.locator("#history-open").focus()
    passed = []
    for _ in range(16):
        passed.append(page.evaluate("document.activeElement.className || document.activeElement.id"))
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid" or passed[-1] == "history-open"
        if page.evaluate("document.activeElement.closest('#composer') && document.activeElement.tagName") == "BUTTON":
            break
        page.keyboard.press("Tab")

    names = [name.split()[0] for name in passed if name]
    assert names[:4] == ["history-open", "language", "theme", "new"]
    middle = [name for name in names if name in {"edit", "marker", "copy", "retry", "good", "bad", "card"}]
    assert middle == ["edit", "marker", "marker", "copy", "retry", "good", "bad", "card", "card"]


def test_at_twice_the_size_nothing_is_cut(visits: Visits) -> None:
    visit = visits(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    page = visit.open()

    visit.ask_to_the_end(QUESTION)

    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    expect(page.locator("#send")).to_be_in_viewport(ratio=1)
    expect(page.locator("#new")).to_be_in_viewport(ratio=1)


def test_an_answer_is_announced_once_when_it_is_whole(visit: Visit) -> None:
    page = visit.open()
    page.evaluate(
        """() => { window.heard = []; new MutationObserver(() => {
        const said = document.querySelector("#announcer").textContent;
        if (said) heard.push(said); }).observe(document.querySelector("#announcer"),
        { childList: true, characterData: true, subtree: true }); }"""
    )

    visit.ask_to_the_end(QUESTION)

    page.wait_for_function("window.heard.length > 0")
    heard = page.evaluate("window.heard")
    assert len(heard) == 1
    assert heard[0].startswith("L'armistice fut signé le 11 novembre 1918 à Rethondes.")
    expect(page.locator("#conversation [role='log']")).to_have_attribute("aria-live", "off")
