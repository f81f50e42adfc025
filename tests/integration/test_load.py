"""What `make load` watches for, without a model: that nothing is lost or mixed up between people who ask at once."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from assistant.web.app import create_app
from assistant.web.streams import Places
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving
from tests.evaluation.load import Seen, asking, load
from tests.threads import alone

QUESTIONS = [f"Quand fut signé le traité numéro {number} ?" for number in range(500)]
SECONDS = 0.5


def seen_at(app: Any, people: int, seconds: float = SECONDS) -> dict[str, Any]:
    """Let people ask an application for a moment, and give what they saw."""

    async def asked(address: str) -> dict[str, Any]:
        async with asking(address) as client:
            return await load(client, os.getpid(), QUESTIONS, seconds, Seen(people, {}))

    with serving(app) as address:
        return alone(lambda: asyncio.run(asked(address)))


def test_each_of_twenty_people_gets_the_answer_to_their_own_question() -> None:
    assistant = ScriptedAssistant()
    app = create_app(assistant, SyncQueue(assistant.index), places=Places(at_once=2, waiting=30))

    seen = seen_at(app, people=20, seconds=5)

    assert seen["answers"] >= 20
    assert seen["people_without_answer"] == seen["refused"] == 0
    assert (seen["lost"], seen["mixed_up"], seen["errors"]) == (0, 0, {})


def faulty(answer: Callable[[str], JSONResponse], counted: int = 0) -> FastAPI:
    """Make a server that answers as it is told, and counts so many answers more at each look."""
    app, total = FastAPI(), 0

    @app.post("/api/ask")
    async def ask(request: Request) -> JSONResponse:
        return answer((await request.json())["question"])

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        nonlocal total
        total += counted
        counts = "".join(
            f'sourcier_questions_total{{outcome="{outcome}"}} {total}\n' for outcome in ("answered", "declined")
        )
        return PlainTextResponse(f"# TYPE sourcier_questions_total counter\n{counts}sourcier_answering 0\n")

    return app


def said(question: str, answer: str = "Oui.") -> JSONResponse:
    return JSONResponse({"question": question, "answered": True, "answer": answer, "citations": []})


def test_who_is_refused_asks_the_same_again() -> None:
    refused: set[str] = set()

    def second_time(question: str) -> JSONResponse:
        if question in refused:
            return said(question)
        refused.add(question)
        return JSONResponse({}, 503, {"Retry-After": "0"})

    seen = seen_at(faulty(second_time), people=3)

    assert 3 <= seen["answers"] <= seen["refused"]
    assert (seen["mixed_up"], seen["errors"]) == (0, {})


def test_an_answer_to_somebody_elses_question_is_noticed() -> None:
    assert seen_at(faulty(lambda _: said("Une autre ?")), people=3)["mixed_up"] > 0


def test_an_answer_that_is_another_the_second_time_is_noticed() -> None:
    seen = Seen(2, {})

    for answer in ("Oui.", "Oui.", "Non."):
        seen.take(0, "Où ?", {"question": "Où ?", "answered": True, "answer": answer, "citations": []})

    assert (seen.unlike_before, seen.mixed_up) == (1, 0)


def test_an_answer_that_never_arrived_is_noticed() -> None:
    refused = JSONResponse({}, 503, {"Retry-After": "1"})

    seen = seen_at(faulty(lambda _: refused, counted=1), people=1)

    assert seen["lost"] == 2
    assert seen["given_up"] == 1


def test_a_refusal_that_does_not_say_until_when_is_an_error() -> None:
    assert seen_at(faulty(lambda _: JSONResponse({}, 503)), people=1)["errors"]["status 503"] > 0
