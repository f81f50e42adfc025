"""The whole chain over the wire: a real llama.cpp server with a small language model, by openai: and its address.

The model is too small to answer well. What it says is not judged here; how it is asked, stopped and lost is.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from langchain_core.runnables import RunnableGenerator

from assistant import Assistant, Claim, ModelFailed, Notice, Token, Waiting
from assistant.cite import Citer
from assistant.generate import Patience, Reach, generator, open_model, or_else
from assistant.web.streams import in_batches
from tests.fakes import HashingEmbeddings, Retriever, passage
from tests.llama import LlamaServer
from tests.processes import command

QUESTION = "How much is the bread?"
BREAD = "The bread costs one euro."
NAME = "openai:smollm2"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def llama() -> Iterator[LlamaServer]:
    server = LlamaServer(1_024)
    yield server
    server.kill()


def standing_in(tasks):
    for _ in tasks:
        yield Claim(BREAD, (1,))


def assistant(server: LlamaServer, *more: str, silence_seconds=300.0, context_tokens=1_024) -> Assistant:
    found = [passage(text, source=f"{place}", language="en") for place, text in enumerate((BREAD, *more))]
    reach = Reach(context_tokens, lambda text: len(text.split()))
    generated = generator(open_model(NAME, server.url), NAME, reach, Patience(silence_seconds, (0.1,)))
    read = {one.source: one.text for one in found}.__getitem__
    stand_in = or_else(generated, RunnableGenerator(standing_in))
    return Assistant(None, Retriever(found=found), stand_in, Citer(HashingEmbeddings(), read))


def test_an_answer_comes_in_pieces_and_its_tokens_are_counted(llama):
    *events, answer = assistant(llama).stream(QUESTION)

    assert answer.notice is None
    assert events.count(Waiting()) > 3
    assert "".join(event.text for event in events if isinstance(event, Token)) == answer.text
    assert answer.usage.model == "smollm2"
    assert answer.usage.input_tokens > 50
    assert answer.usage.output_tokens > 0
    assert 0 < answer.seconds.first_token <= answer.seconds.total


def test_after_a_stop_the_server_is_free_for_the_next_question(llama):
    stopped = threading.Event()
    batches = in_batches(assistant(llama).stream("Write a very long story about bread."), stopped)
    with closing(batches):
        next(batch for batch in batches if Waiting() in batch)
        stopped.set()

    # It answers one at a time: the next question would wait for the story.
    assert assistant(llama).ask(QUESTION).notice is None


def test_a_model_that_is_slower_than_it_may_be_is_given_up(llama):
    # Half a thousand tokens to read take longer than it is given.
    answer = assistant(llama, "word " * 500, silence_seconds=0.01).ask(QUESTION)

    assert answer.notice.kind == ModelFailed.__name__
    assert "said nothing" in answer.notice.message
    assert answer.text == f"{BREAD} [1]"


def test_a_prompt_over_its_context_is_shortened_until_it_fits(llama):
    long = [f"{place} " + "word " * 300 for place in range(3)]

    answer = assistant(llama, *long, context_tokens=100_000).ask(QUESTION)

    assert answer.notice is None
    assert 0 < answer.usage.input_tokens < 1_024


def test_a_prompt_that_cannot_be_shortened_is_told(llama):
    found = "word " * 1_500
    embeddings, read = HashingEmbeddings(), {"source": found}.__getitem__
    generated = generator(open_model(NAME, llama.url), NAME, Reach(100_000, lambda text: len(text.split())))

    with pytest.raises(ModelFailed, match="ASSISTANT_CONTEXT_TOKENS"):
        Assistant(None, Retriever(found=[passage(found)]), generated, Citer(embeddings, read)).ask(QUESTION)


def test_the_command_line_answers_with_it(llama, tmp_path):
    environment = os.environ | {
        "INDEX_PATH": str(tmp_path / "index"),
        "ASSISTANT_MODEL": NAME,
        "ASSISTANT_MODEL_URL": llama.url,
        "ASSISTANT_CONTEXT_TOKENS": "1024",
        "ASSISTANT_MODEL_TIMEOUT_SECONDS": "300",
        "ASSISTANT_PASSAGES": "1",
    }

    def run(*arguments: str) -> str:
        done = command(*arguments, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("index", "seeds")
    answer = json.loads(run("ask", QUESTION, "--json"))

    assert answer["notice"] is None
    assert answer["usage"]["model"] == "smollm2"
    assert answer["usage"]["input_tokens"] > 50


def test_a_server_that_is_killed_in_the_middle_leaves_the_answer_to_the_documents():
    server = LlamaServer(1_024)
    events = assistant(server).stream("Write a very long story about bread.")
    next(event for event in events if isinstance(event, Waiting))
    server.kill()

    *rest, answer = events

    assert [event for event in rest if isinstance(event, Notice)] == [answer.notice]
    assert BREAD in answer.text
