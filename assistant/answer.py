"""The assistant: from a question to events and a cited answer."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnablePassthrough

from assistant.cite import Citer
from assistant.condense import Condense, by_history, merged
from assistant.errors import InvalidQuestion
from assistant.logs import questions
from assistant.prompts import cannot_answer, no_document_matches
from assistant.types import (
    ANSWER,
    RETRIEVE,
    Answer,
    Asked,
    Citation,
    Claim,
    Confidence,
    Event,
    Message,
    Notice,
    Said,
    Searched,
    Seconds,
    Task,
    Token,
    Unsupported,
    Usage,
    Waiting,
)
from index import Filter, Index, Passage, detect
from index.types import EVERYTHING

log = logging.getLogger(__name__)

MAX_QUESTION_CHARACTERS = 2_000
BEFOREHAND = "Une question avant toutes les autres ?"
"""It has n-grams of every length, and no letter that is of one language alone: every model is asked about it."""


class Trace(BaseCallbackHandler):
    """What sees a question begin and end, and its stages by LangChain's callbacks; this one keeps nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """See the end, and the error or GeneratorExit that brought it."""

    def answered(self, answer: Answer) -> None:
        """See the answer."""


class Assistant:
    """Answers questions from an index.

    retriever: takes a Filter as `where`, as HybridRetriever does.
    search: a LangChain Runnable from what was asked to a Task, the same with `query` and `passages`.
    answerer: a Runnable from a Task to streamed Claims, and a Confidence where it has one.
    condense: makes a question that stands alone of one that goes on with a conversation.
    reread: a Runnable from a Task to the same with passages in a better order, and what a reader makes of them.
    trace: makes what sees a question.
    `search | answerer` is a chain; each can be traced or swapped.
    """

    def __init__(  # noqa: PLR0913
        self,
        index: Index,
        retriever: BaseRetriever,
        answerer: Runnable[Task, Said],
        citer: Citer,
        *,
        condense: Condense = by_history,
        reread: Runnable[Task, Task] | None = None,
        trace: Callable[[], Trace] = Trace,
    ) -> None:
        self.index = index
        self.condense = condense
        self._reread = reread or RunnablePassthrough()
        self.search = searcher(retriever, condense) | self._reread
        self.answerer = answerer
        self.ready = False
        """Whether models and stores are open, so that a question is answered without waiting for them."""
        self.fault: Exception | None = None
        """What went wrong when they were to be opened, the last time."""
        self._citer = citer
        self._trace = trace

    def load(self) -> None:
        """Load what the first question needs, which takes seconds, before it is asked; `fault` keeps what it raises."""
        try:
            detect(BEFOREHAND)
            self.index.load()
            passage = Passage("", BEFOREHAND, "", "", None, 0, 0.0)
            self._reread.invoke(Task(question=BEFOREHAND, history=[], query=BEFOREHAND, passages=[passage]))
        except Exception as error:
            self.fault = error
            raise
        self.ready, self.fault = True, None

    def ask(self, question: str, history: Sequence[Message] = (), where: Filter = EVERYTHING) -> Answer:
        """Return the answer: the last event of `stream`."""
        return next(event for event in self.stream(question, history, where) if isinstance(event, Answer))

    def stream(self, question: str, history: Sequence[Message] = (), where: Filter = EVERYTHING) -> Iterator[Event]:
        """Yield Searched, then the text in Tokens as it is verified, then the Answer; Waiting while nothing is ready.

        A Notice comes before the first Token that does not come from the language model, where it failed. Only
        documents that meet the filter are searched; where none does, the answer says so. To close the iterator ends
        the request to the language model.

        Raises InvalidQuestion, before anything else, for a question that is blank or too long; InvalidFilter, before
        the first event, for a filter that names no document or no language; ModelUnavailable, ModelFailed and
        RateLimited when a language model does not answer and nothing stands in for it.
        """
        return self._events(Asked(question=valid_question(question), history=list(history), where=where))

    def _events(self, asked: Asked) -> Iterator[Event]:
        questions.info("Asked: %s", asked["question"])
        with self._trace() as trace:
            yield from self._traced_events(asked, trace)

    def _traced_events(self, asked: Asked, trace: Trace) -> Iterator[Event]:
        began = time.perf_counter()
        counted = UsageMetadataCallbackHandler()
        config = RunnableConfig(callbacks=[counted, trace])
        task = self.search.invoke(asked, config)
        found = time.perf_counter()
        passages = tuple(task["passages"])
        yield Searched(task["query"], passages)
        heard = _Heard()
        text = ""
        citations: list[Citation] = []
        unsupported: list[Unsupported] = []
        first_token: float | None = None
        claims = heard.claims(self.answerer.stream(task, RunnableConfig(**config, run_name=ANSWER)) if passages else ())
        for piece in self._citer.cite(claims, passages, detect(task["question"])):
            yield from heard.news()
            if isinstance(piece, Waiting):
                yield piece
                continue
            first_token = first_token or time.perf_counter() - began
            unsupported += [
                replace(one, start=len(text) + one.start, end=len(text) + one.end) for one in piece.unsupported
            ]
            text += piece.text
            citations += piece.citations
            yield Token(piece.text)
        yield from heard.news()
        if not citations:
            text = _refusal(task)
            yield Token(text)
        ended = time.perf_counter()
        answer = Answer(
            task["question"],
            task["query"],
            text,
            tuple(citations),
            passages,
            Seconds(found - began, ended - found, first_token or ended - began),
            heard.confidence,
            tuple(unsupported),
            notice=heard.notice,
            usage=_usage(counted),
        )
        _log_costs(answer)
        trace.answered(answer)
        yield answer


class _Heard:
    """Passes an answerer's claims on, and keeps what else it says."""

    def __init__(self) -> None:
        self.confidence: float | None = None
        self.notice: Notice | None = None
        self._told = False

    def claims(self, said: Iterable[Said]) -> Iterator[Claim | Waiting]:
        """Give the claims, and where there is none yet, Waiting."""
        for one in said:
            match one:
                case Claim() | Waiting():
                    yield one
                case Confidence(value):
                    self.confidence = value
                case Notice():
                    self.notice = one

    def news(self) -> Iterator[Notice]:
        """Give the notice, once, when there is one."""
        if self.notice and not self._told:
            self._told = True
            yield self.notice


def searcher(retriever: BaseRetriever, condense: Condense) -> Runnable[Asked, Task]:
    """Return the runnable that finds the query of what was asked, and passages for it."""
    return RunnableLambda(partial(_search, retriever, condense), name=RETRIEVE)


def valid_question(question: str) -> str:
    """Return the question without the white space around it; raise InvalidQuestion where nothing can be asked."""
    stripped = question.strip()
    if not any(character.isalnum() for character in stripped):
        raise InvalidQuestion("The question is empty. Write what you want to know")
    if len(stripped) > MAX_QUESTION_CHARACTERS:
        raise InvalidQuestion(
            f"The question has {len(stripped):,} characters, more than {MAX_QUESTION_CHARACTERS:,}. Shorten it"
        )
    return stripped


def _search(retriever: BaseRetriever, condense: Condense, asked: Asked) -> Task:
    condensed = condense(asked["question"], asked["history"])
    where = asked.get("where", EVERYTHING)
    # A retriever of somebody else's is not asked for what it may not know.
    options: dict[str, Any] = {} if where == EVERYTHING else {"where": where}
    rankings = [
        ([Passage.from_document(document) for document in retriever.invoke(text, **options)], weight)
        for text, weight in condensed.searches
    ]
    return cast(Task, {**asked, "query": condensed.query, "passages": merged(rankings)})


def _refusal(task: Task) -> str:
    language = detect(task["question"])
    where = task.get("where", EVERYTHING)
    # A document that meets a filter has passages, and these are found however far from the question they are.
    if where != EVERYTHING and not task["passages"]:
        return no_document_matches(str(where), language)
    return cannot_answer(language)


def _usage(counted: UsageMetadataCallbackHandler) -> Usage | None:
    """Add up what all models said that they read and wrote; None where none said anything."""
    models = counted.usage_metadata
    if not models:
        return None
    # A server may name its model by the file it is in, which is nobody's business.
    return Usage(
        ", ".join(re.split(r"[/\\]", name)[-1] if re.match(r"/|\w:", name) else name for name in models),
        sum(usage["input_tokens"] for usage in models.values()),
        sum(usage["output_tokens"] for usage in models.values()),
    )


def _log_costs(answer: Answer) -> None:
    """Log what an answer took; nothing of what was asked or said."""
    seconds, usage = answer.seconds, answer.usage
    log.info(
        "%s in %.2f s, first word after %.2f s, passages after %.2f s; %s",
        "Answered" if answer.answered else "Declined",
        seconds.total,
        seconds.first_token,
        seconds.retrieve,
        f"{usage.model}: {usage.input_tokens} tokens in, {usage.output_tokens} out" if usage else "no tokens counted",
    )
