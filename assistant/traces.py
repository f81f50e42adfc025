"""Traces of questions by OpenTelemetry: the only file that knows it.

A question is a span, and so is each of its stages: to find passages, to read them, to answer, and in these what a
language model writes. They say how long it took and how it went, and nothing of what was asked, found or said.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, StatusCode, Tracer

from assistant.answer import Trace
from assistant.errors import TracesUnavailable
from assistant.logs import request_id
from assistant.types import STAGES, Answer

SEND_SECONDS = 2
"""How long a collector that is away is tried, at the end too."""


@contextmanager
def traced(url: str) -> Iterator[Callable[[], "QuestionTrace"]]:
    """Give what traces a question, for a collector that takes OTLP over HTTP; at the end all of it is sent.

    url: of the collector, without /v1/traces. One that is away is logged and holds up nobody.

    Raises:
        TracesUnavailable: the extra that sends is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise TracesUnavailable("ASSISTANT_TRACES_URL needs a package more: pip install 'sourcier[otel]'") from None
    exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=SEND_SECONDS)
    with traced_by(BatchSpanProcessor(exporter)) as question:
        yield question


@contextmanager
def traced_by(processor: SpanProcessor) -> Iterator[Callable[[], "QuestionTrace"]]:
    """Give what traces a question; a processor is told of each span that ends."""
    resource = Resource.create({"service.name": "sourcier", "service.version": metadata.version("sourcier")})
    # Not the provider of the whole process: other packages would begin to trace as well.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    try:
        yield lambda: QuestionTrace(provider.get_tracer("sourcier"))
    finally:
        provider.shutdown()


class QuestionTrace(Trace):
    """The spans of one question: its own, open while this context is, and those of the stages that LangChain tells."""

    run_inline = True

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[UUID, Span] = {}
        self._ended = False

    def __enter__(self) -> Self:
        self._question = self._tracer.start_span("question", attributes={"sourcier.request": request_id.get()})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for span in [*self._open.values(), self._question]:
            self._close(span, None if self._ended else error)

    def answered(self, answer: Answer) -> None:
        """Say how the question ended; whoever asked may go away then."""
        self._ended = True
        self._question.set_attribute("sourcier.answered", answer.answered)
        self._question.set_attribute("sourcier.passages", len(answer.passages))
        self._question.set_attribute("sourcier.citations", len(answer.citations))

    def on_chain_start(self, *_: Any, run_id: UUID, name: str | None = None, **__: Any) -> None:
        """Open the span of a stage."""
        if name in STAGES:
            self._begin(run_id, name)

    def on_chat_model_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Open the span of a language model's writing."""
        self._begin(run_id, "model")

    def on_chain_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Close the span of a stage."""
        if span := self._open.pop(run_id, None):
            self._close(span, None)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Close the span of a language model, with its tokens where it tells them."""
        if span := self._open.pop(run_id, None):
            match response.generations:
                case [[ChatGeneration(message=AIMessage(usage_metadata=dict(usage)))]]:
                    span.set_attribute("gen_ai.usage.input_tokens", usage["input_tokens"])
                    span.set_attribute("gen_ai.usage.output_tokens", usage["output_tokens"])
            self._close(span, None)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Close the span of what failed."""
        if span := self._open.pop(run_id, None):
            self._close(span, error)

    on_llm_error = on_chain_error

    def _begin(self, run: UUID, name: str) -> None:
        around = next(reversed(self._open.values()), self._question)
        self._open[run] = self._tracer.start_span(name, context=trace.set_span_in_context(around))

    def _close(self, span: Span, error: BaseException | None) -> None:
        """End a span; of an error only its kind is told, for its text may hold more."""
        if isinstance(error, GeneratorExit):
            span.set_attribute("sourcier.stopped", True)
        elif error is not None:
            span.set_status(StatusCode.ERROR, type(error).__name__)
        span.end()
