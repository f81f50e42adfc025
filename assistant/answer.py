"""The assistant: from a question to events and a cited answer."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda

from assistant.cite import Citer
from assistant.condense import standalone_query
from assistant.errors import InvalidQuestion
from assistant.prompts import cannot_answer, no_document_matches
from assistant.types import (
    Answer,
    Asked,
    Citation,
    Claim,
    Confidence,
    Event,
    Message,
    Said,
    Searched,
    Seconds,
    Task,
    Token,
)
from index import Filter, Index, Passage, detect
from index.types import EVERYTHING

MAX_QUESTION_CHARACTERS = 2_000


class Assistant:
    """Answers questions from an index.

    retriever: takes a Filter as `where`, as HybridRetriever does.
    search: a LangChain Runnable from what was asked to a Task, the same with `query` and `passages`.
    answerer: a Runnable from a Task to streamed Claims, and a Confidence where it has one.
    `search | answerer` is a chain; each can be traced or swapped.
    """

    def __init__(self, index: Index, retriever: BaseRetriever, answerer: Runnable[Task, Said], citer: Citer) -> None:
        self.index = index
        self.search = searcher(retriever)
        self.answerer = answerer
        self._citer = citer

    @property
    def ready(self) -> bool:
        """Say whether the embedding model is loaded and the stores are open."""
        return self.index.ready

    def load(self) -> None:
        """Load what the first question needs, which takes seconds, before it is asked."""
        detect("Prêt ?")
        self.index.load()

    def ask(self, question: str, history: Sequence[Message] = (), where: Filter = EVERYTHING) -> Answer:
        """Return the answer: the last event of `stream`."""
        return next(event for event in self.stream(question, history, where) if isinstance(event, Answer))

    def stream(self, question: str, history: Sequence[Message] = (), where: Filter = EVERYTHING) -> Iterator[Event]:
        """Yield Searched, then the text in Tokens as it is verified, then the Answer.

        Only documents that meet the filter are searched; where none does, the answer says so.

        Raises InvalidQuestion, before anything else, for a question that is blank or too long; InvalidFilter, before
        the first event, for a filter that names no document or no language; ModelUnavailable and ModelFailed when a
        language model does not answer.
        """
        return self._events(Asked(question=valid_question(question), history=list(history), where=where))

    def _events(self, asked: Asked) -> Iterator[Event]:
        began = time.perf_counter()
        task = self.search.invoke(asked)
        searched = time.perf_counter()
        passages = tuple(task["passages"])
        yield Searched(task["query"], passages)
        text = ""
        citations: list[Citation] = []
        confidence: float | None = None

        def claims() -> Iterator[Claim]:
            nonlocal confidence
            for said in self.answerer.stream(task) if passages else ():
                if isinstance(said, Confidence):
                    confidence = said.value
                else:
                    yield said

        for piece, new in self._citer.cite(claims(), passages):
            text += piece
            citations += new
            yield Token(piece)
        if not citations:
            text = _refusal(task)
            yield Token(text)
        seconds = Seconds(searched - began, time.perf_counter() - searched)
        yield Answer(task["question"], task["query"], text, tuple(citations), passages, seconds, confidence)


def searcher(retriever: BaseRetriever) -> Runnable[Asked, Task]:
    """Return the runnable that finds the query of what was asked, and passages for it."""
    return RunnableLambda(partial(_search, retriever))


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


def _search(retriever: BaseRetriever, asked: Asked) -> Task:
    query = standalone_query(asked["question"], asked["history"])
    where = asked.get("where", EVERYTHING)
    # A retriever of somebody else's is not asked for what it may not know.
    found = retriever.invoke(query) if where == EVERYTHING else retriever.invoke(query, where=where)
    return Task(**asked, query=query, passages=[Passage.from_document(document) for document in found])


def _refusal(task: Task) -> str:
    language = detect(task["question"])
    where = task.get("where", EVERYTHING)
    # A document that meets a filter has passages, and these are found however far from the question they are.
    if where != EVERYTHING and not task["passages"]:
        return no_document_matches(str(where), language)
    return cannot_answer(language)
