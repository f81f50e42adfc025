"""What the page is told, where that does not show in a browser but by chance."""

import json
from typing import Any

from assistant.web.chat import chat_page
from assistant.web.conversations import Conversations, Place
from assistant.web.start import Start
from assistant.web.streams import Places
from tests.browser.scripted import ScriptedAssistant


def test_what_was_asked_while_a_page_was_drawn_is_drawn_at_last() -> None:
    assistant, conversations = ScriptedAssistant(), Conversations()
    page = chat_page(assistant, Places(), conversations, Start(assistant, "Sourcier", tries=False))
    [show] = [function.fn for function in page.fns.values() if function.name == "show"]
    place: dict[str, Any] = {"key": "a" * 64, "conversation": "b" * 32, "language": "fr"}

    drawings = show(json.dumps(place), None)
    assert "Combien" not in str(next(drawings))
    conversations.at(Place(**place)).begin("Combien")

    assert "Combien" in str([*drawings])
