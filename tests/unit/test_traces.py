import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableGenerator
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from assistant import Assistant, Claim, Confidence
from assistant.answer import Trace
from assistant.cite import Citer
from assistant.errors import TracesUnavailable
from assistant.extract import rereader
from assistant.logs import request_id
from assistant.reader.reading import Reading, ReadSentence
from assistant.traces import traced, traced_by
from tests.fakes import HashingEmbeddings, Retriever, passage

TEXT = "Le train part à huit heures. Le pain coûte un euro."
QUESTION = "Que coûte le pain ?"


class SureReader:
    def read(self, question, passages):
        return [Reading(3.0, (ReadSentence((0, len(one.text)), 1.0, None),)) for one in passages]

    def probability(self, answers, language):
        return 0.9


def claiming(tasks):
    for _ in tasks:
        yield Confidence(0.9)
        yield Claim("Le pain coûte un euro.", (1,))


def breaking(tasks):
    for _ in tasks:
        raise OSError("secret: sk-123")
        yield


def asking(answerer, trace=Trace) -> Assistant:
    citer = Citer(HashingEmbeddings(), {"source": TEXT}.__getitem__)
    retriever = Retriever(found=[passage(TEXT)])
    answer: Runnable = RunnableGenerator(answerer)
    return Assistant(None, retriever, answer, citer, reread=rereader(SureReader(), 0.5), trace=trace)


def spans(answerer, ask) -> dict[str, ReadableSpan]:
    """The spans of a question, by name; `ask` asks it."""
    exporter = InMemorySpanExporter()
    with traced_by(SimpleSpanProcessor(exporter)) as trace:
        ask(asking(answerer, trace))
        return {span.name: span for span in exporter.get_finished_spans()}


def parents(found: dict[str, ReadableSpan]) -> dict[str, str | None]:
    names = {span.context.span_id: name for name, span in found.items()}
    return {name: names[span.parent.span_id] if span.parent else None for name, span in found.items()}


def test_each_stage_is_a_span_below_the_one_of_the_question():
    token = request_id.set("5f0c2a9d41b7e836")
    found = spans(claiming, lambda assistant: assistant.ask(QUESTION))
    request_id.reset(token)

    assert parents(found) == {"question": None, "retrieve": "question", "read": "question", "answer": "question"}
    assert found["question"].attributes == {
        "sourcier.request": "5f0c2a9d41b7e836",
        "sourcier.answered": True,
        "sourcier.passages": 1,
        "sourcier.citations": 1,
    }
    assert found["question"].start_time <= found["retrieve"].start_time <= found["retrieve"].end_time
    assert found["retrieve"].end_time <= found["read"].start_time <= found["answer"].start_time
    assert found["answer"].end_time <= found["question"].end_time


def test_what_a_language_model_writes_is_a_span_with_its_tokens():
    usage = {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}
    model = GenericFakeChatModel(messages=iter([AIMessage("Un.", usage_metadata=usage)]))

    def answer(tasks):
        model.invoke("Un ?")
        yield from claiming(tasks)

    found = spans(answer, lambda assistant: assistant.ask(QUESTION))

    assert parents(found)["model"] == "answer"
    assert found["model"].attributes == {"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 5}


def test_of_an_error_only_its_kind_is_told():
    def ask(assistant):
        with pytest.raises(OSError, match="secret"):
            assistant.ask(QUESTION)

    found = spans(breaking, ask)

    assert [found[name].status.description for name in ("answer", "question")] == ["OSError", "OSError"]
    assert found["read"].status.is_ok or found["read"].status.is_unset
    assert "sk-123" not in "".join(span.to_json() for span in found.values())


def test_a_question_that_is_stopped_ends_its_spans_without_an_error():
    def ask(assistant):
        events = assistant.stream(QUESTION)
        next(events)
        next(events)
        events.close()

    found = spans(claiming, ask)

    assert found["question"].attributes["sourcier.stopped"]
    assert found["question"].status.is_unset
    assert set(found) == {"question", "retrieve", "read", "answer"}


def test_nothing_of_question_text_and_answer_is_in_a_span():
    found = spans(claiming, lambda assistant: assistant.ask(QUESTION))

    told = "".join(span.to_json() for span in found.values())
    assert "pain" not in told
    assert "train" not in told


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    """The address of a server that takes OTLP, and what it took: paths and bodies."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_collector_has_all_spans_once_the_assistant_is_closed(collector, monkeypatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_COMPRESSION", raising=False)
    address, taken = collector

    with traced(address) as trace:
        asking(claiming, trace).ask(QUESTION)

    assert {path for path, _ in taken} == {"/v1/traces"}
    [resource] = [spans for _, request in taken for spans in request.resource_spans]
    assert {fact.value.string_value for fact in resource.resource.attributes} >= {"sourcier"}
    assert {span.name for scope in resource.scope_spans for span in scope.spans} == {
        "question",
        "retrieve",
        "read",
        "answer",
    }


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(TracesUnavailable, match=r"pip install 'sourcier\[otel\]'"), traced("http://127.0.0.1:9"):
        pass


def test_a_collector_that_is_away_holds_up_no_answer():
    with traced("http://127.0.0.1:9") as trace:
        assert asking(claiming, trace).ask(QUESTION).answered
