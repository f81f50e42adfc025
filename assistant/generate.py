"""The language-model chain: numbered passages and a question in, claims with passage numbers out."""

import asyncio
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, ensure_config

from assistant.errors import AssistantError, ModelFailed, ModelUnavailable, RateLimited
from assistant.faults import FAULTS, LONGEST_WAIT_SECONDS, Fault, fault_of, told, wanted_pause_seconds
from assistant.prompts import ANSWER_HUMAN, ANSWER_SYSTEM, PASSAGE, cannot_answer
from assistant.types import Claim, Message, Notice, Said, Task, Waiting
from index import Passage, detect

MARKS = re.compile(r"\[\d{1,3}\](?:\s*\[\d{1,3}\])*[.!?]?")
"""What stands after a statement; its full stop may come behind."""
BEGINS_ANEW = re.compile(r"\s*(?!\[\d{0,3}\Z|\[\d{1,3}\])\S")
"""What comes after the marks of a statement and is not another mark, nor the beginning of one."""
NUMBER = re.compile(r"\d+")
FENCES = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")"})
"""What could close the fence of a passage, forge a citation or a turn of the conversation → what looks like it."""

ANSWER_CHARACTERS = 6_000
"""Where a model that does not come to an end is stopped."""
ANSWER_TOKENS = 1_000
PROMPT_TOKENS = 300
"""Kept free in the context: for the answer, and for our own words."""
SHARE_OF_HISTORY = 0.25
"""Of what is left, at the most."""
TOKENS_FOR_ONE = 1.5
"""Tokens that a model may need for one of the tokenizer that counts: theirs may know fewer words of French."""
SILENCE_SECONDS = 0.25

CountTokens = Callable[[str], int]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a model is waited for, and how often it is asked."""

    silence_seconds: float = 60.0
    """For the first word, and between two."""
    pauses_seconds: tuple[float, ...] = (1.0, 4.0)
    """Before each further attempt."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How much a model can read."""

    context_tokens: int
    """Prompt and answer together, in tokens of the model."""
    count: CountTokens
    """By whatever tokenizer is at hand, see TOKENS_FOR_ONE."""


def generator(model: BaseChatModel, name: str, reach: Reach, patience: Patience = Patience()) -> Runnable[Task, Said]:
    """Return the runnable that answers a Task with claims, streamed; to close the stream ends the request.

    name: of the model, provider:model, for messages.

    What helps is done first: a busy or broken server is asked again, as long as nothing was written; where the context
    is too small, half of the passages are left out. Raises ModelUnavailable, ModelFailed or RateLimited after that.
    """
    prompt = ChatPromptTemplate.from_messages(
        [("system", ANSWER_SYSTEM), MessagesPlaceholder("history"), ("human", ANSWER_HUMAN)]
    )

    def answer(tasks: Iterator[Task]) -> Iterator[Said]:
        for task in tasks:
            refusal = cannot_answer(detect(task["question"]))
            with closing(asked_until_it_answers(task, refusal)) as pieces:
                yield from claims(pieces, refusal)

    def asked_until_it_answers(task: Task, refusal: str) -> Generator[str | None, None, None]:
        config = ensure_config()  # of whoever called: it counts the tokens
        pauses = iter(patience.pauses_seconds)
        passages = task["passages"]
        while True:
            written = False
            passages, history = fitting(task, passages, reach)
            variables = {
                "passages": format_passages(passages),
                "question": task["question"].translate(FENCES),
                "history": [(message["role"], message["content"].translate(FENCES)) for message in history],
                "cannot_answer": refusal,
            }
            messages = prompt.invoke(variables).to_messages()
            try:
                with closing(stream(model, messages, config, patience.silence_seconds)) as pieces:
                    for piece in pieces:
                        written = written or bool(piece)
                        yield piece
            except Exception as error:  # noqa: BLE001 - each provider's package has errors of its own
                fault, pause = _fault(error), wanted_pause_seconds(error)
                if fault == "context" and len(passages) > 1:
                    passages = passages[: len(passages) // 2]
                    continue
                if written or not FAULTS[fault].retried or pause > LONGEST_WAIT_SECONDS:
                    raise told(fault, name, error) from None
                own = next(pauses, None)
                if own is None:
                    raise told(fault, name, error) from None
                yield from _waited(max(own, pause))
            else:
                return

    return RunnableGenerator(answer)


def or_else(answerer: Runnable[Task, Said], stand_in: Runnable[Task, Said]) -> Runnable[Task, Said]:
    """Return the runnable that lets a stand-in answer, after a Notice, from where a language model fails."""

    def answer(tasks: Iterator[Task]) -> Iterator[Said]:
        for task in tasks:
            try:
                yield from answerer.stream(task)
            except (ModelUnavailable, ModelFailed, RateLimited) as error:
                log.warning("%s", error)
                yield Notice(type(error).__name__, str(error))
                yield from stand_in.stream(task)

    return RunnableGenerator(answer)


def failing(error: AssistantError) -> Runnable[Task, Said]:
    """Return the runnable that raises an error at each Task: for a model that could not be opened."""

    def answer(tasks: Iterator[Task]) -> Iterator[Said]:
        for _ in tasks:
            raise error
            yield  # pragma: no cover - makes this a generator

    return RunnableGenerator(answer)


def open_model(name: str, url: str | None, timeout_seconds: float = 60.0) -> BaseChatModel:
    """Open "provider:model" by LangChain's init_chat_model; url: of a server that speaks OpenAI's API.

    Raises ModelUnavailable when the provider is unknown, or its package or key is missing.
    """
    from langchain.chat_models import init_chat_model

    # Attempts are ours to make: a second layer of them would multiply the waiting.
    options: dict[str, Any] = {"timeout": timeout_seconds, "temperature": 0, "max_retries": 0}
    if name.startswith("openai:"):
        options["stream_usage"] = True
    if url:
        options["base_url"] = url
        if name.startswith("openai:") and not os.environ.get("OPENAI_API_KEY"):
            options["api_key"] = "none"  # a server of one's own asks for none, but the client does
    try:
        model: BaseChatModel = init_chat_model(name, **options)
    except Exception as error:  # noqa: BLE001 - each provider's package has errors of its own
        raise told(_opening_fault(name, error), name, error) from None
    return model


def context_of(model: BaseChatModel, setting: int | None) -> int:
    """Say how many tokens a model reads and writes: by the setting, by what is known of it, or carefully."""
    known = (model.profile or {}).get("max_input_tokens")
    return setting or known or 4_096


def stream(
    model: BaseChatModel, messages: Sequence[BaseMessage], config: RunnableConfig, silence_seconds: float
) -> Generator[str | None, None, None]:
    """Yield a model's text as it comes, and None each quarter of a second that nothing comes.

    The request is made in an event loop of its own thread: there it can be broken off at any moment, also while the
    model is silent, which closes the connection to the provider. That happens when this iterator is closed.

    Raises TimeoutError after so many seconds of silence, EOFError for a stream without an end, and the provider's own.
    """
    inbox: queue.SimpleQueue[str | asyncio.Task[None]] = queue.SimpleQueue()

    async def read() -> None:
        ended = False
        async for chunk in model.astream(list(messages), config):
            ended = ended or not ENDS.isdisjoint(chunk.response_metadata)
            inbox.put(str(chunk.text))
        if not ended and model._llm_type in TELL_THE_END:
            raise EOFError

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(read())
        task.add_done_callback(inbox.put)
        return task

    reading = asyncio.run_coroutine_threadsafe(begin(), _loop()).result()
    try:
        heard = time.monotonic()
        characters = 0
        while characters < ANSWER_CHARACTERS:
            piece = _next(inbox, min(SILENCE_SECONDS, silence_seconds))
            if piece is None:
                if time.monotonic() - heard > silence_seconds:
                    raise TimeoutError
                # Not inside an except: the exception would hold this frame, and so the request, when it is dropped.
                yield None
                continue
            if isinstance(piece, asyncio.Task):
                piece.result()
                if not characters:
                    raise EmptyAnswerError
                return
            heard = time.monotonic()
            characters += len(piece)
            yield piece
    finally:
        _loop().call_soon_threadsafe(_cancel, reading)


def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: asyncio.wait_for of Python 3.11, in clients, may swallow a cancellation."""
    if not task.done():
        task.cancel()
        task.get_loop().call_later(SILENCE_SECONDS, _cancel, task)


def _next(inbox: queue.SimpleQueue[str | asyncio.Task[None]], seconds: float) -> str | asyncio.Task[None] | None:
    """Wait a little for what comes next; None where nothing does."""
    try:
        return inbox.get(timeout=seconds)
    except queue.Empty:
        return None


class EmptyAnswerError(Exception):
    """A model came to its end without a word."""


ENDS = {"finish_reason", "stop_reason", "done_reason"}
"""By one of these a provider says that the answer is whole."""
TELL_THE_END = {"openai-chat", "anthropic-chat", "chat-ollama", "mistralai-chat", "chat-google-generative-ai"}
"""Models of which it is known that they say so."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Start the event loop in which all requests to language models are made: clients share connections within one."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="language models", daemon=True).start()
    return loop


def claims(pieces: Iterable[str | None], refusal: str) -> Iterator[Claim | Waiting]:
    """Cut streamed text behind its marks; a statement is given out when the text after its marks begins.

    An answer that is the refusal has no claims. Waiting is given for each piece that completes nothing.
    """
    held = ""
    for piece in pieces:
        held += piece or ""
        given = False
        while (marks := MARKS.search(held)) and BEGINS_ANEW.match(held, marks.end()):
            yield _claim(held[: marks.start()], marks.group())
            given = True
            held = held[marks.end() :]
        if not given:
            yield Waiting()
    while marks := MARKS.search(held):
        yield _claim(held[: marks.start()], marks.group())
        held = held[marks.end() :]
    if held.strip() and refusal.rstrip(".") not in held:
        yield Claim(held.strip(), ())


def format_passages(passages: Sequence[Passage]) -> str:
    """Number and fence the passages; marks in them that could close the fence or forge a citation are replaced."""
    return "\n".join(
        PASSAGE.format(
            number=number,
            title=" ".join(passage.title.translate(FENCES).replace('"', "”").split()),
            text=passage.text.translate(FENCES),
        )
        for number, passage in enumerate(passages, start=1)
    )


def fitting(task: Task, passages: Sequence[Passage], reach: Reach) -> tuple[Sequence[Passage], list[Message]]:
    """Choose what the context holds beside the question: the best passages, whole, and the end of the conversation.

    At least one passage; of the conversation a quarter of the room at the most.
    """
    kept_free = min(ANSWER_TOKENS, reach.context_tokens // 4) + PROMPT_TOKENS
    tokens = int((reach.context_tokens - kept_free) / TOKENS_FOR_ONE) - reach.count(task["question"])
    history = latest(task["history"], int(tokens * SHARE_OF_HISTORY), reach.count)
    tokens -= sum(reach.count(message["content"]) for message in history)
    sizes = accumulate(reach.count(format_passages([passage])) for passage in passages)
    return passages[: max(1, sum(size <= tokens for size in sizes))], history


def latest(history: Sequence[Message], tokens: int, count: CountTokens) -> list[Message]:
    """Give the last messages of a conversation, as many as so many tokens hold, beginning with one of the user."""
    kept: list[Message] = []
    for message in reversed(history):
        tokens -= count(message["content"])
        if tokens < 0:
            break
        kept.insert(0, message)
    while kept and kept[0]["role"] != "user":
        kept.pop(0)
    return kept


def _claim(statement: str, marks: str) -> Claim:
    text = statement.strip()
    stop = marks[-1] if marks[-1] in ".!?" and not text.endswith((".", "!", "?")) else ""
    return Claim(text + stop, tuple(int(number) for number in NUMBER.findall(marks)))


def _fault(error: Exception) -> Fault:
    if isinstance(error, EOFError):
        return "cut"
    if isinstance(error, EmptyAnswerError):
        return "empty"
    return fault_of(error)


def _opening_fault(name: str, error: Exception) -> Fault:
    """Say why a model cannot be opened: `ollama:` without its package ends in another error than the others."""
    if isinstance(error, ImportError) or (name.startswith("ollama:") and isinstance(error, AttributeError)):
        return "package"
    return "key" if fault_of(error) == "key" else "provider"


def _waited(seconds: float) -> Iterator[None]:
    """Let the time pass, in pieces."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        yield None
        time.sleep(min(left, SILENCE_SECONDS))
