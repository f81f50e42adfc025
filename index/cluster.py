"""Files read, cut and embedded on many machines, by Ray; what is written stays with whoever owns the index.

The only file that knows Ray. A worker that dies loses nothing: its documents are made again by another.
"""

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings
from langchain_text_splitters import TextSplitter

from index.build import recipe
from index.catalog import StoredDocument
from index.errors import IndexingError
from index.settings import IndexSettings
from index.stop import NEVER, Stop
from index.sync import Content, Engine, Load, Outcome, Told, documents

if TYPE_CHECKING:
    from ray import ObjectRef

TASK_DOCUMENTS = 16
"""Made by one worker at a time."""
TASKS_AHEAD = 2
"""How many there are for each worker, so that none waits for the next."""
RETRIES = 5
"""How often documents are made again whose worker died."""
LOOK_SECONDS = 0.2
"""Between two looks at whether somebody asked to stop."""


@contextmanager
def ray_engine(settings: IndexSettings) -> Iterator[Engine]:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine, until the end.

    Each worker needs Sourcier installed, the same settings, and the files under the same paths.

    Raises:
        IndexingError: the extra that brings Ray is not installed, or the cluster cannot be reached.
    """
    # Ray would report to its makers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise IndexingError("--engine ray needs a package more: pip install 'sourcier[ray]'") from None
    try:
        ray.init(
            include_dashboard=None if os.environ.get("RAY_ADDRESS") else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise IndexingError(f"The Ray cluster cannot be reached: {error}") from error
    try:
        yield _Cluster(settings)
    finally:
        ray.shutdown()


class _Cluster:
    """The engine: some documents a task, the tasks in the order of the plan."""

    def __init__(self, settings: IndexSettings) -> None:
        self._settings = settings.model_dump_json()

    def __call__(self, contents: Sequence[Content], *, told: Told, stop: Stop) -> Iterator[tuple[Content, Outcome]]:
        import ray

        make = ray.remote(num_cpus=1, max_retries=RETRIES)(_made)
        parts = (contents[at : at + TASK_DOCUMENTS] for at in range(0, len(contents), TASK_DOCUMENTS))
        tasks = (make.remote(self._settings, list(part)) for part in parts)
        workers: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        under_way = deque(islice(tasks, max(1, TASKS_AHEAD * int(workers.get("CPU", 1)))))
        try:
            while under_way:
                made = _awaited(under_way[0], stop)
                under_way.popleft()
                under_way.extend(islice(tasks, 1))
                for content, outcome in made:
                    if isinstance(outcome, StoredDocument):
                        told(len(outcome.chunks), content)
                    yield content, outcome
        finally:
            for task in under_way:
                ray.cancel(task)


def _awaited(task: "ObjectRef[list[tuple[Content, Outcome]]]", stop: Stop) -> list[tuple[Content, Outcome]]:
    """Wait for what a task makes.

    Raises Stopped where somebody asked to, IndexingError where the cluster fails, and what the task raised.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    with stop.interruptible():
        while not ray.wait([task], timeout=LOOK_SECONDS)[0]:
            stop.check()
    try:
        return ray.get(task)
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        raise IndexingError(f"The Ray cluster lost a part of the work: {str(error).splitlines()[0]}") from error


_open = ExitStack()
"""What a worker keeps open: what reads files."""


def _made(settings: str, contents: Sequence[Content]) -> list[tuple[Content, Outcome]]:
    """Make documents, in a worker; model and reader stay open for the next."""
    return documents(contents, *_parts(settings))


@cache
def _parts(settings: str) -> tuple[Load, TextSplitter, Embeddings]:
    made_with = recipe(IndexSettings.model_validate_json(settings))
    return _open.enter_context(made_with.reader(NEVER)), made_with.splitter, made_with.embeddings
