"""The chat page, in Gradio."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.types import Scope

from assistant.answer import MAX_QUESTION_CHARACTERS
from assistant.errors import AssistantError
from assistant.web.access import counted
from assistant.web.conversations import Conversation, Conversations, Place, Turn
from assistant.web.markup import (
    answer_markup,
    broken_markup,
    greeting_markup,
    header_markup,
    note_markup,
    question_markup,
    waiting_markup,
)
from assistant.web.start import Start
from assistant.web.streams import Batches, Places, answer_events, in_batches
from assistant.web.texts import ENGLISH, FRENCH, Texts, texts_for, texts_in
from index.errors import IndexingError

if TYPE_CHECKING:
    from assistant.answer import Assistant

word = gr.I18n(fr=FRENCH.labels(), en=ENGLISH.labels())
"""A fixed word of the page; the browser chooses its language, until the person does."""

WHERE = "(...values) => [...values.slice(0, -1), window.sourcier?.place() ?? null]"
"""Tells the server, as the last of the inputs, where on which page something happens (see Place)."""
SHOWN = "() => [window.sourcier?.shown() ?? null]"
ASKED = """async (question, _) => {
  while (!window.sourcier?.asked) await new Promise((later) => { setTimeout(later, 20); });
  return [question, window.sourcier.asked()];
}"""
"""Waits for the page's script: a question of no place would be drawn in nobody's conversation."""
LISTEN = "(window.sourcier ??= {}).show = () => trigger('submit');"
"""Lets the page's script ask for the conversation to be drawn."""
LOOK_SECONDS = 0.02
"""How often Gradio's queue looks whether somebody asks."""
WINDOWS = 100
"""For how many windows Gradio keeps what it drew last, which nothing here needs; as it comes, for 10,000."""

log = logging.getLogger(__name__)


def chat_page(  # noqa: PLR0915 - a page is a list of its parts
    assistant: "Assistant", places: Places, conversations: Conversations, start: Start
) -> gr.Blocks:
    """Lay out the page and join its events to the assistant."""

    def show(written: str | None, request: gr.Request) -> Iterator[list[Any]]:
        """Draw a conversation as it stands, in the language of the page; again where it went on meanwhile.

        Else a question asked while the page is loaded could be drawn over with what stood before.
        """
        place = Place.of(written)
        texts = _texts(place, request)
        if place.leaves:
            conversations.at(Place(key=place.key, conversation=place.leaves)).leave(texts.stopped)
        conversation = conversations.at(place)
        # Beside turns nobody sees it, and a conversation that grows in another window is drawn twice a second.
        greeting = {} if conversation.turns else {"placeholder": greet(texts)}
        words = gr.update(label=texts.question, placeholder=texts.placeholder)
        drew = None
        while (stands := (len(conversation.turns), conversation.running)) != drew:
            drew = stands
            yield [*drawn(conversation, texts, **greeting), words]

    def greet(texts: Texts) -> str:
        try:
            return greeting_markup(texts, start.facts(), assistant.ready)
        except IndexingError as error:
            log.error("The index failed: %s", error)
            return note_markup(texts.error(error))

    def answer(question: str, written: str | None, request: gr.Request) -> Iterator[list[Any]]:
        place = Place.of(written)
        texts = _texts(place, request)
        conversation = conversations.at(place)
        if conversation.running or not question.strip():
            yield [gr.skip()] * 4
            return
        turn = conversation.begin(question, place.replaces)
        history = conversation.history()
        try:
            yield [*drawn(conversation, texts), ""]
            conversations.keep(conversation)
            events = counted(_scope(request), answer_events(assistant, places, question, history))
            batches = in_batches(events, turn.unwanted)
            for _ in _taken(turn, batches, texts, _scope(request)):
                if turn.left:
                    break
                yield [*drawn(conversation, texts), gr.skip()]
        finally:
            # Gradio closes this generator when the window is closed.
            turn.break_off(texts.stopped)
            conversations.keep(conversation)
        # Gradio shows the last drawing once more at the end: it must not be older than what Stop drew, or be of a
        # conversation that the page has left.
        yield [gr.skip()] * 4 if turn.left else [*drawn(conversation, texts), gr.skip()]

    def stop(written: str | None, request: gr.Request) -> list[Any]:
        place = Place.of(written)
        texts = _texts(place, request)
        conversation = conversations.at(place)
        conversation.stop(texts.stopped)
        return drawn(conversation, texts)

    def drawn(conversation: Conversation, texts: Texts, **more: Any) -> list[Any]:
        """Draw what the conversation changes: the messages, and Stop in the place of Send while one is written."""
        running = conversation.running
        return [
            gr.update(value=_messages(conversation, texts, assistant.ready), **more),
            gr.update(value=texts.send, visible=not running),
            gr.update(value=texts.stop, visible=running),
        ]

    page: gr.Blocks
    with gr.Blocks(title=start.title, analytics_enabled=False, fill_height=True) as page:
        place = gr.Textbox(visible=False)
        with gr.Row(elem_id="top"):
            header = gr.HTML(header_markup(start.title), elem_id="header", js_on_load=LISTEN)
        chatbot = _chatbot()
        with gr.Row(elem_id="composer"):
            question = _question()
            send = gr.Button(word("send"), elem_id="send", variant="primary", scale=0)
            halt = gr.Button(word("stop"), elem_id="stop", variant="stop", scale=0, visible=False)

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "js": WHERE}
        messages = [chatbot, send, halt]
        gr.on(
            [page.load, header.submit],
            show,
            [place],
            [*messages, question],
            trigger_mode="always_last",
            **private | {"js": SHOWN},
        )
        gr.on(
            [question.submit, send.click],
            answer,
            [question, place],
            [*messages, question],
            trigger_mode="multiple",
            **private | {"js": ASKED},
        )
        halt.click(stop, [place], messages, **private)
    # More at once than there are places to wait in: who comes too late is told so in words, by the page.
    page.queue(default_concurrency_limit=32, api_open=False)
    # Gradio's queue looks a thousand times a second whether somebody asks, which costs an idle server 3 % of a core.
    page._queue.sleep_when_free = LOOK_SECONDS
    page.state_session_capacity = WINDOWS
    return page


def _chatbot() -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="conversation",
        label=word("conversation"),
        show_label=False,
        container=False,
        scale=1,
        buttons=[],
        allow_tags=False,
        sanitize_html=True,
        latex_delimiters=[],
        layout="panel",
        group_consecutive_messages=False,
        feedback_options=None,
        # The page's script brings a question into view; what is read then stays where it is.
        autoscroll=False,
    )


def _question() -> gr.Textbox:
    return gr.Textbox(
        elem_id="question",
        label=word("question"),
        show_label=False,
        container=False,
        placeholder=word("placeholder"),
        lines=1,
        max_lines=8,
        max_length=MAX_QUESTION_CHARACTERS,
        autofocus=True,
        scale=1,
    )


def _taken(turn: Turn, batches: Batches, texts: Texts, scope: Scope) -> Iterator[None]:
    """Let the turn take what comes, until it is over; an error ends it with a sentence."""
    try:
        while not turn.over and (batch := next(batches, None)) is not None:
            for event in batch:
                turn.take(event)
            yield
    except Exception as error:
        trace, named = not isinstance(error, AssistantError), {"request": scope["request_id"]}
        log.warning("A question was not answered", exc_info=trace, extra=named)
        turn.break_off(texts.error(error))


def _messages(conversation: Conversation, texts: Texts, ready: bool) -> list[dict[str, str]]:
    messages = [
        message
        for turn in conversation.turns
        for message in (
            {"role": "user", "content": question_markup(turn.question, texts)},
            {"role": "assistant", "content": _answer(turn, texts, ready)},
        )
    ]
    if messages and not conversation.kept:
        messages[-1]["content"] += note_markup(texts.chat_not_kept)
    return messages


def _answer(turn: Turn, texts: Texts, ready: bool) -> str:
    if turn.answer is not None:
        return answer_markup(turn.answer, texts, turn.good)
    if turn.broken is not None:
        return broken_markup(turn.broken or texts.stopped, turn.text, texts)
    if turn.searched:
        return waiting_markup(texts.writing, turn.text)
    return waiting_markup(texts.searching if ready else texts.waiting_for_model)


def _texts(place: Place, request: gr.Request) -> Texts:
    return texts_in(place.language) if place.language else texts_for(request.headers.get("accept-language", ""))


def _scope(request: gr.Request) -> Scope:
    """Give what the guard knows of the call."""
    if request.request is None:
        raise RuntimeError("Gradio gave no request with the call")
    return request.request.scope
