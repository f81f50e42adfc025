"""What a server counts, for Prometheus: GET /metrics. The only file that knows prometheus_client."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from assistant.types import Answer
from assistant.web.streams import Busy, Places
from index import SyncQueue

if TYPE_CHECKING:
    from assistant.answer import Assistant

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of the histogram: from an extractive answer to a slow language model."""
OUTCOMES = ("answered", "declined", "refused", "failed", "stopped")


class Metrics:
    """Counts the answers of one server, and reads the rest where it is when somebody asks."""

    def __init__(self, assistant: "Assistant", queue: SyncQueue, places: Places) -> None:
        self._registry = CollectorRegistry()
        self._questions = Counter(
            "sourcier_questions", "Questions, by what became of them.", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "sourcier_stage_seconds",
            "Seconds from the question to its passages (retrieve), from there to the end of the answer (answer), and "
            "from the question to the first words (first_token).",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        for outcome in OUTCOMES:
            self._questions.labels(outcome)
        self._registry.register(_State(assistant, queue, places))

    def count(self, end: Answer | BaseException) -> None:
        """Count how a question ended."""
        self._questions.labels(_outcome(end)).inc()
        if isinstance(end, Answer):
            for stage in ("retrieve", "answer", "first_token"):
                self._seconds.labels(stage).observe(getattr(end.seconds, stage))

    def routes(self) -> APIRouter:
        """Return GET /metrics."""
        routes = APIRouter()

        @routes.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}})
        def metrics() -> Response:
            """Give what is counted, in the text format of Prometheus."""
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

        return routes


def _outcome(end: Answer | BaseException) -> str:
    match end:
        case Answer():
            return "answered" if end.answered else "declined"
        case Busy():
            return "refused"
        case GeneratorExit():
            return "stopped"
        case _:
            return "failed"


class _State(Collector):
    """What is true when it is asked for."""

    def __init__(self, assistant: "Assistant", queue: SyncQueue, places: Places) -> None:
        self._assistant = assistant
        self._queue = queue
        self._places = places

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: the index is not read before somebody asks."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Give numbers as they are now."""
        documents, chunks = self._assistant.index.counts()
        yield GaugeMetricFamily("sourcier_ready", "Whether index and models are loaded.", int(self._assistant.ready))
        yield GaugeMetricFamily("sourcier_answering", "Answers being made.", self._places.taken)
        yield GaugeMetricFamily("sourcier_queue_length", "Questions that wait for a place.", self._places.waiting)
        yield GaugeMetricFamily("sourcier_documents", "Documents in the index.", documents)
        yield GaugeMetricFamily("sourcier_chunks", "Chunks in the index.", chunks)
        yield GaugeMetricFamily("sourcier_syncs_waiting", "Syncs that wait or are under way.", self._queue.length)
        syncs = CounterMetricFamily("sourcier_syncs", "Syncs and removals, by what became of them.", labels=["outcome"])
        for outcome, count in self._queue.ended.items():
            syncs.add_metric([outcome], count)
        yield syncs
