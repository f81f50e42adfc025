"""The chat page, in Gradio."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

from assistant.answer import MAX_QUESTION_CHARACTERS
from assistant.errors import AssistantError
from assistant.types import Answer, Event, Message, Searched, Token
from assistant.web.markup import (
    answer_markup,
    broken_markup,
    greeting_markup,
    header_markup,
    question_markup,
    waiting_markup,
)
from assistant.web.streams import Batches, Places, answer_events, in_batches
from assistant.web.texts import ENGLISH, FRENCH, Texts, texts_for

if TYPE_CHECKING:
    from assistant.answer import Assistant

HISTORY_TURNS = 10

word = gr.I18n(fr=FRENCH.labels(), en=ENGLISH.labels())
"""A fixed word of the page; the browser chooses its language."""

log = logging.getLogger(__name__)


@dataclass
class Turn:
    """A question and what has come of it."""

    number: int
    question: str
    text: str = ""
    searched: bool = False
    answer: Answer | None = None
    broken: str | None = None
    """Why there will be no answer, in the language of the page."""
    unwanted: threading.Event = field(default_factory=threading.Event)
    """Set when nothing more is to be read."""

    @property
    def over(self) -> bool:
        """Say whether the turn has come to its end, good or bad."""
        return self.answer is not None or self.broken is not None

    def take(self, event: Event) -> None:
        """Add what came; once the turn is over nothing counts any more."""
        if self.over:
            return
        match event:
            case Searched():
                self.searched = True
            case Token(text):
                self.text += text
            case Answer():
                self.answer = event

    def break_off(self, why: str) -> None:
        """End the turn, unless it is over; what was written stays."""
        if not self.over:
            self.broken = why
            self.unwanted.set()


@dataclass
class Conversation:
    """The turns of one open page. Kept here, on the server: what a browser says was said proves nothing."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Say whether an answer is under way."""
        return bool(self.turns) and not self.turns[-1].over

    def begin(self, question: str) -> Turn:
        """Add a turn."""
        turn = Turn(len(self.turns) + 1, question)
        self.turns.append(turn)
        return turn

    def stop(self, why: str) -> None:
        """End the answer under way, if there is one."""
        if self.running:
            self.turns[-1].break_off(why)

    def forget(self) -> None:
        """Begin anew."""
        self.stop("")
        self.turns = []

    def history(self) -> list[Message]:
        """Give the last finished turns as the assistant takes them."""
        finished = [(turn.question, turn.answer) for turn in self.turns if turn.answer][-HISTORY_TURNS:]
        return [
            message
            for question, answer in finished
            for message in (
                Message(role="user", content=question),
                Message(role="assistant", content=answer.text),
            )
        ]


def chat_page(assistant: "Assistant", places: Places, title: str) -> gr.Blocks:
    """Lay out the page and join its events to the assistant."""

    def welcome(request: gr.Request) -> dict[str, Any]:
        texts = _texts(request)
        greeting = greeting_markup(texts, len(assistant.index.sources()), assistant.ready)
        update: dict[str, Any] = gr.update(placeholder=greeting)
        return update

    def answer(question: str, conversation: Conversation, request: gr.Request) -> Iterator[list[Any]]:
        if conversation.running or not question.strip():
            yield [gr.skip()] * 4
            return
        texts = _texts(request)
        history = conversation.history()
        turn = conversation.begin(question)
        try:
            yield [*drawn(conversation, texts), ""]
            batches = in_batches(answer_events(assistant, places, question, history), turn.unwanted)
            for _ in _taken(turn, batches, texts):
                yield [*drawn(conversation, texts), gr.skip()]
            # Gradio shows the last drawing once more at the end: it must not be older than what Stop drew.
            yield [*drawn(conversation, texts), gr.skip()]
        finally:
            # Gradio closes this generator when the window is closed.
            turn.break_off(texts.stopped)

    def stop(conversation: Conversation, request: gr.Request) -> list[Any]:
        texts = _texts(request)
        conversation.stop(texts.stopped)
        return drawn(conversation, texts)

    def begin_anew(conversation: Conversation, request: gr.Request) -> list[Any]:
        conversation.forget()
        return drawn(conversation, _texts(request))

    def drawn(conversation: Conversation, texts: Texts) -> list[Any]:
        """Draw what the conversation changes: the messages, and Stop in the place of Send while one is written."""
        running = conversation.running
        return [
            _messages(conversation, texts, assistant.ready),
            gr.update(visible=not running),
            gr.update(visible=running),
        ]

    page: gr.Blocks
    with gr.Blocks(title=title, analytics_enabled=False, fill_height=True) as page:
        conversation = gr.State(Conversation())
        with gr.Row(elem_id="top"):
            gr.HTML(header_markup(title), elem_id="header")
            anew = gr.Button(word("new"), elem_id="new", size="sm", scale=0)
        chatbot = gr.Chatbot(
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
        )
        with gr.Row(elem_id="composer"):
            question = gr.Textbox(
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
            send = gr.Button(word("send"), elem_id="send", variant="primary", scale=0)
            halt = gr.Button(word("stop"), elem_id="stop", variant="stop", scale=0, visible=False)

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        page.load(welcome, None, chatbot, **private)
        gr.on(
            [question.submit, send.click],
            answer,
            [question, conversation],
            [chatbot, send, halt, question],
            trigger_mode="multiple",
            **private,
        )
        halt.click(stop, [conversation], [chatbot, send, halt], **private)
        anew.click(begin_anew, [conversation], [chatbot, send, halt], **private)
    # More at once than there are places to wait in: who comes too late is told so in words, by the page.
    page.queue(default_concurrency_limit=32, api_open=False)
    return page


def _taken(turn: Turn, batches: Batches, texts: Texts) -> Iterator[None]:
    """Let the turn take what comes, until it is over; an error ends it with a sentence."""
    try:
        while not turn.over and (batch := next(batches, None)) is not None:
            for event in batch:
                turn.take(event)
            yield
    except Exception as error:
        log.warning("A question was not answered", exc_info=not isinstance(error, AssistantError))
        turn.break_off(texts.error(error))


def _messages(conversation: Conversation, texts: Texts, ready: bool) -> list[dict[str, str]]:
    return [
        message
        for turn in conversation.turns
        for message in (
            {"role": "user", "content": question_markup(turn.question)},
            {"role": "assistant", "content": _answer(turn, texts, ready)},
        )
    ]


def _answer(turn: Turn, texts: Texts, ready: bool) -> str:
    if turn.answer is not None:
        return answer_markup(turn.answer, texts)
    if turn.broken is not None:
        return broken_markup(turn.broken, turn.text)
    if turn.searched:
        return waiting_markup(texts.writing, turn.text)
    return waiting_markup(texts.searching if ready else texts.waiting_for_model)


def _texts(request: gr.Request) -> Texts:
    return texts_for(request.headers.get("accept-language", ""))
