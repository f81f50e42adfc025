"""What goes wrong at a language model's provider, through the real client of langchain-openai."""

import logging
import socket
import threading
from contextlib import closing

import pytest
from langchain_core.runnables import RunnableGenerator

from assistant import Assistant, Claim, Confidence, ModelFailed, ModelUnavailable, Notice, RateLimited, Waiting
from assistant.answer import Answer
from assistant.cite import Citer
from assistant.generate import Patience, Reach, failing, generator, open_model, or_else
from assistant.web.streams import in_batches
from tests.fakes import HashingEmbeddings, Retriever, passage
from tests.provider import KEY, cut_after, garbage_after, killed_after, provider, refusing, saying, silent, silent_after

TEXT = "Le train part à huit heures. Le pain coûte un euro."
QUESTION = "Combien coûte le pain ?"
BREAD = "Le pain coûte un euro [1]. "
PATIENCE = Patience(silence_seconds=0.6, pauses_seconds=(0.01, 0.01))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def count(text):
    return len(text.split())


def model_at(url, patience=PATIENCE, context_tokens=4_096):
    return generator(open_model("openai:petit", url), "openai:petit", Reach(context_tokens, count), patience)


def assistant(answerer, *texts):
    embeddings = HashingEmbeddings()
    found = [passage(text, source=f"source {place}") for place, text in enumerate(texts or (TEXT,))]
    read = {one.source: one.text for one in found}.__getitem__
    return Assistant(None, Retriever(found=found), answerer, Citer(embeddings, read))


def standing_in(tasks):
    for _ in tasks:
        yield Confidence(0.9)
        yield Claim("Le train part à huit heures.", (1,))


STAND_IN = RunnableGenerator(standing_in)

FAULTS = {
    "wrong key": ([refusing(401, "Incorrect API key provided:")], ModelUnavailable, "key", 1),
    "wrong key, as Google says it": ([refusing(400, "API key not valid.")], ModelUnavailable, "key", 1),
    "wrong model name": ([refusing(404, "The model does not exist")], ModelUnavailable, "does not know", 1),
    "rate limit": ([refusing(429, "Rate limit reached")], RateLimited, "no more requests", 3),
    "rate limit for an hour": ([refusing(429, "Quota", retry_after="3600")], RateLimited, "no more requests", 1),
    "broken server": ([refusing(500, "oops")], ModelFailed, "fault of its own", 3),
    "no chat model": ([refusing(400, "not a chat model")], ModelFailed, "refuses the request", 1),
    "too long for one passage": (
        [refusing(400, "the request exceeds the available context size")],
        ModelFailed,
        "ASSISTANT_CONTEXT_TOKENS",
        1,
    ),
    "time-out": ([silent], ModelFailed, "said nothing", 1),
    "silence in the middle": ([silent_after(BREAD, "Il ")], ModelFailed, "said nothing", 1),
    "cut stream": ([cut_after(BREAD, "Il ")], ModelFailed, "broke off", 1),
    "killed in the middle": ([killed_after(BREAD, "Il ")], ModelFailed, "broke off", 1),
    "killed at the beginning": ([killed_after()], ModelFailed, "broke off", 3),
    "nothing said": ([saying()], ModelFailed, "answered with nothing", 3),
    "garbage for a piece": ([garbage_after(b"{]")], ModelFailed, "openai:petit", 3),
    "a piece of another shape": ([garbage_after(b'{"choices": "many"}')], ModelFailed, "openai:petit", 3),
    "garbage in the middle": ([garbage_after(b"{]", BREAD, "Il ")], ModelFailed, "openai:petit", 1),
    "bytes that are no text": ([garbage_after(b"\xff\xfe\xa5")], ModelFailed, "openai:petit", 3),
    "not the API": ([lambda handler: handler.answer(200, "<html>hello</html>")], ModelFailed, "openai:petit", 3),
}
"""What happens → what the server does, the error, words of its line, how often the server was asked."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_line_without_the_key(fault, caplog):
    caplog.set_level(logging.DEBUG, "assistant")
    acts, error, words, times = FAULTS[fault]
    with provider(*acts) as server:
        with pytest.raises(error) as caught:
            assistant(model_at(server.url)).ask(QUESTION)

        answer = assistant(or_else(model_at(server.url), STAND_IN)).ask(QUESTION)

    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(server.requests) == 2 * times
    assert KEY in server.requests[0]["key"]
    # Nothing of the provider's error hangs on it: a log with the traceback does not show the key.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert KEY not in message + caplog.text + str(answer.as_dict())
    assert answer.notice == Notice(error.__name__, message)
    assert answer.answered
    assert "Le train part à huit heures." in answer.text


def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        assistant(model_at(f"http://127.0.0.1:{port}/v1")).ask(QUESTION)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("openai:petit", "key"),
        ("anthropic:claude", "pip install 'sourcier\\[anthropic\\]'"),
        ("ollama:mistral", "pip install 'sourcier\\[ollama\\]'"),
        ("nobody:model", "provider:model"),
        ("no-colon", "provider:model"),
    ],
)
def test_a_model_that_cannot_be_opened_says_what_to_do_and_the_stand_in_answers(name, words, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(ModelUnavailable, match=words) as caught:
        open_model(name, None)
    answer = assistant(or_else(failing(caught.value), STAND_IN)).ask(QUESTION)

    assert answer.notice.kind == "ModelUnavailable"
    assert answer.text == "Le train part à huit heures. [1]"
    assert answer.confidence == 0.9


def test_a_server_of_the_users_own_needs_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")

    with provider(saying(BREAD)) as server:
        assert assistant(model_at(server.url)).ask(QUESTION).answered


def test_what_was_written_before_a_fault_stays():
    with provider(cut_after(BREAD, "Il ")) as server:
        *events, answer = assistant(or_else(model_at(server.url), STAND_IN)).stream(QUESTION)

    [notice] = [event for event in events if isinstance(event, Notice)]
    assert answer.notice == notice
    assert answer.text == "Le pain coûte un euro. [1] Le train part à huit heures. [2]"


@pytest.mark.parametrize("act", [refusing(429, retry_after="0.01"), refusing(503), killed_after(), saying()])
def test_a_fault_that_passes_is_not_seen(act):
    with provider(act, saying(BREAD)) as server:
        answer = assistant(or_else(model_at(server.url), STAND_IN)).ask(QUESTION)

    assert answer.text == "Le pain coûte un euro. [1]"
    assert answer.notice is None


def test_where_the_context_is_too_small_half_of_the_passages_are_left_out():
    texts = [TEXT, *(f"{place}. " + "mot " * 200 for place in range(8))]
    too_long = refusing(
        400,
        "This model's maximum context length is 1000 tokens",
    )
    with provider(too_long, saying(BREAD)) as server:
        answer = assistant(model_at(server.url), *texts).ask(QUESTION)

    first, second = (request["messages"][-1]["content"].count("<passage ") for request in server.requests)
    assert answer.answered
    assert second < first
    assert TEXT in server.requests[1]["messages"][-1]["content"]


def test_tokens_are_told_as_the_server_counts_them():
    with provider(saying(BREAD, tokens=(321, 12))) as server:
        answer = assistant(model_at(server.url)).ask(QUESTION)

    assert answer.as_dict()["usage"] == {"model": "petit", "input_tokens": 321, "output_tokens": 12}


@pytest.mark.parametrize("act", [silent, silent_after("Le "), silent_after(BREAD, "Il ")])
def test_a_closed_answer_ends_the_request_at_the_provider(act):
    with provider(act) as server:
        events = assistant(model_at(server.url, Patience(60.0))).stream(QUESTION)
        with closing(events):
            next(event for event in events if server.asked.is_set() and isinstance(event, Waiting))

        assert server.gone.wait(30)


@pytest.mark.parametrize("act", [silent, silent_after(BREAD, "Il ")])
def test_stop_ends_the_request_at_the_provider_also_while_the_model_is_silent(act):
    stopped = threading.Event()
    with provider(act) as server:
        batches = in_batches(assistant(model_at(server.url, Patience(60.0))).stream(QUESTION), stopped)
        next(batch for batch in batches if server.asked.is_set())
        stopped.set()

        assert server.gone.wait(30)


def test_a_model_that_does_not_end_is_ended():
    def endless(handler):
        handler.begin()
        try:
            while True:
                handler.piece("bla " * 100)
        except OSError:
            handler.provider.gone.set()

    with provider(endless) as server:
        answer = assistant(model_at(server.url)).ask(QUESTION)

        assert server.gone.wait(30)
    assert isinstance(answer, Answer)
    assert not answer.answered
