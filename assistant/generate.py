"""The language-model chain: numbered passages and a question in, claims with passage numbers out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda

from assistant.errors import ModelFailed, ModelUnavailable
from assistant.prompts import ANSWER_HUMAN, ANSWER_SYSTEM, PASSAGE, cannot_answer
from assistant.types import Claim, Task
from index import Passage, detect

MARKED = re.compile(r"(?s)(.*?)\s*((?:\s*\[\d+\])+[.!?]?)")
"""A statement and the marks after it; the full stop may come behind the marks."""
BEGINS_ANEW = re.compile(r"\s*(?:[^\s\[]|\[\d*[^\d\]])")
"""What comes after the marks of a statement and is not another mark, nor the beginning of one."""
NUMBER = re.compile(r"\d+")
TIMEOUT_SECONDS = 120


def generator(model: BaseChatModel) -> Runnable[Task, Claim]:
    """Return the runnable that answers a Task with claims, streamed.

    Raises ModelFailed when the model breaks off or answers with an error.
    """
    prompt = ChatPromptTemplate.from_messages([("system", ANSWER_SYSTEM), ("human", ANSWER_HUMAN)])
    chain = RunnableLambda(_variables) | prompt | model | StrOutputParser()

    def answer(tasks: Iterator[Task]) -> Iterator[Claim]:
        for task in tasks:
            yield from claims(_translated(chain.stream(task)), cannot_answer(detect(task["question"])))

    return RunnableGenerator(answer)


def open_model(name: str, url: str | None) -> BaseChatModel:
    """Open "provider:model" by LangChain's init_chat_model; url: of a server that speaks OpenAI's API.

    Raises ModelUnavailable when the provider is unknown, or its package or key is missing.
    """
    from langchain.chat_models import init_chat_model

    options: dict[str, Any] = {"timeout": TIMEOUT_SECONDS, "temperature": 0}
    if url:
        options["base_url"] = url
    try:
        model: BaseChatModel = init_chat_model(name, **options)
    except Exception as error:  # each provider's package has errors of its own
        provider = name.partition(":")[0]
        raise ModelUnavailable(
            f"The language model {name!r} cannot be opened ({type(error).__name__}). Install its package "
            f"(pip install 'sourcier[{provider}]'), set its key in the environment, or answer without one: "
            "ASSISTANT_MODEL=extractive"
        ) from error
    return model


def claims(pieces: Iterable[str], refusal: str) -> Iterator[Claim]:
    """Cut streamed text behind its marks; a statement is given out when the text after its marks begins.

    An answer that is the refusal has no claims.
    """
    held = ""
    for piece in pieces:
        held += piece
        while (match := MARKED.match(held)) and BEGINS_ANEW.match(held, match.end()):
            yield _claim(match)
            held = held[match.end() :]
    while match := MARKED.match(held):
        yield _claim(match)
        held = held[match.end() :]
    if held.strip() and refusal.rstrip(".") not in held:
        yield Claim(held.strip(), ())


def format_passages(passages: Sequence[Passage]) -> str:
    """Number and fence the passages; their own angle brackets are escaped, so that none can close the fence."""
    return "\n".join(
        PASSAGE.format(number=number, title=_escape(passage.title), text=_escape(passage.text))
        for number, passage in enumerate(passages, start=1)
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _variables(task: Task) -> dict[str, str]:
    return {
        "passages": format_passages(task["passages"]),
        "question": task["query"],
        "cannot_answer": cannot_answer(detect(task["question"])),
    }


def _claim(match: re.Match[str]) -> Claim:
    text, marks = match.groups()
    stop = marks[-1] if marks[-1] in ".!?" and not text.endswith((".", "!", "?")) else ""
    return Claim(text.strip() + stop, tuple(int(number) for number in NUMBER.findall(marks)))


def _translated(pieces: Iterable[str]) -> Iterator[str]:
    try:
        yield from pieces
    except Exception as error:  # each provider's package has errors of its own
        raise ModelFailed(
            f"The language model broke off ({type(error).__name__}). Try again, or answer without one: "
            "ASSISTANT_MODEL=extractive"
        ) from error
