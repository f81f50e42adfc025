"""What the page's script asks for beside Gradio: the list of conversations, and what becomes of each."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field, StringConstraints
from starlette.exceptions import HTTPException

from assistant.types import Answer
from assistant.web.conversations import TITLE_CHARACTERS, Conversations, Place, Turn, is_key
from assistant.web.feedback import Reason
from assistant.web.markup import label
from assistant.web.start import Start
from assistant.web.texts import Texts, texts_in

_MARKDOWN = re.compile(r"[\\`*_\[\]<>!#|~$&]")
"""What begins an image, a link, a tag or anything else that whoever reads Markdown does not show as it is."""

Key = Annotated[str, Header(alias="X-Conversation-Key")]
"""The key that the browser made up."""


class Title(BaseModel):
    """A new name for a conversation."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_CHARACTERS)]


class Judgement(BaseModel):
    """What somebody thinks of an answer."""

    good: bool
    reason: Reason = ""
    comment: Annotated[str, Field(max_length=1_000)] = ""


def page_routes(conversations: Conversations, start: Start) -> APIRouter:
    """Return the routes; each under /conversations wants the key, and knows only what that key opens."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/examples")
    def examples() -> dict[str, Any]:
        """Give questions to begin with, and say whether others will come."""
        facts = start.facts()
        return {"examples": facts.examples, "making": facts.making}

    @routes.get("/conversations")
    def listed(key: Key = "") -> list[dict[str, Any]]:
        """List the conversations, the last first."""
        return conversations.listed(_checked(key))

    @routes.patch("/conversations/{id}")
    def rename(id: str, new: Title, key: Key = "") -> None:
        """Give a conversation another title."""
        _insist(conversations.rename(_checked(key), id, new.title))

    @routes.delete("/conversations/{id}")
    def delete(id: str, key: Key = "") -> None:
        """Delete a conversation."""
        _insist(conversations.delete(_checked(key), id))

    @routes.get("/conversations/{id}/markdown")
    def markdown(id: str, key: Key = "", language: str = "en") -> Response:
        """Give a conversation as a text to keep, with its sources."""
        turns = conversations.at(Place(key=_checked(key), conversation=id)).turns
        _insist(bool(turns))
        return PlainTextResponse("\n\n".join(_written(turn, texts_in(language)) for turn in turns) + "\n")

    @routes.post("/conversations/{id}/turns/{number}/opinion")
    def rate(id: str, number: int, judgement: Judgement, key: Key = "") -> None:
        """Keep what somebody thinks of an answer."""
        said = (judgement.good, judgement.reason, judgement.comment)
        _insist(conversations.rate(_checked(key), id, number, said))

    return routes


def _checked(key: str) -> str:
    if not is_key(key):
        raise HTTPException(404, "There is no such conversation.")
    return key


def _insist(found: bool) -> None:
    if not found:
        raise HTTPException(404, "There is no such conversation.")


def _written(turn: Turn, texts: Texts) -> str:
    parts = [
        f"## {_plain(' '.join(turn.question.split()))}",
        _with_numbers(turn.answer) if turn.answer else _plain(turn.text),
    ]
    if turn.answer:
        parts += [
            f"[{citation.number}] {_plain(label(citation.passage, texts))}\n" + _quoted(citation.quote)
            for citation in turn.answer.citations
        ]
    return "\n\n".join(filter(None, parts))


def _with_numbers(answer: Answer) -> str:
    """Write the text of an answer; its own numbers are no links where nothing says where they lead."""
    numbers = {f"[{citation.number}]" for citation in answer.citations}
    pieces = re.split(r"(\[\d{1,3}\](?![:(]))", answer.text)
    return "".join(piece if piece in numbers else _plain(piece) for piece in pieces)


def _quoted(quote: str) -> str:
    return "\n".join(f"> {_plain(line)}" for line in quote.splitlines())


def _plain(text: str) -> str:
    """Write a line so that Markdown sees nothing in it: a viewer would ask elsewhere for its images."""
    return _MARKDOWN.sub(r"\\\g<0>", text)
