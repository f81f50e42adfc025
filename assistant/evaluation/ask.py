"""From a question to numbers: what was found and answered, held against the places that answer."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from langchain_core.retrievers import BaseRetriever

from assistant.answer import Assistant, searcher
from assistant.build import open_assistant
from assistant.errors import ModelFailed, RateLimited
from assistant.evaluation.corpus import Indexing, kept_index, record_key
from assistant.evaluation.data import WHOLE, DataSet, Gold, Question, Record, by_language
from assistant.evaluation.metrics import exact_match, f1, holds, ndcg
from assistant.evaluation.outcomes import Outcome
from assistant.settings import AssistantSettings
from assistant.types import Answer, Asked
from index import Passage
from index.types import File

DEPTH = 10
"""How many passages are looked at for retrieval, whatever number is read for an answer."""
RECALL_DEPTH = 5

Span = tuple[str, int, int]
"""Id of a document in the index; start and end in characters of its text."""
OnProgress = Callable[[str, int, int], None]
"""Is told a step, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A question at which a language model broke off; it counts nowhere."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Asking:
    """What came of all questions."""

    outcomes: Sequence[Outcome]
    failures: Sequence[Failure]
    indexing: Indexing


def ask_all(data: DataSet, cache: Path, settings: AssistantSettings, on_progress: OnProgress) -> Asking:
    """Index a data set, or take the index that is kept of it, and ask its questions one by one.

    Raises what indexing and opening the assistant raise. A language model that breaks off is a Failure; ModelFailed is
    raised where it never answered.
    """
    outcomes: list[Outcome] = []
    failures: list[Failure] = []
    indexed = Indexing()
    for records, questions in by_language(data.records, data.questions):
        index, made = kept_index(
            records, cache, lambda step: on_progress("Indexing", step.documents, step.documents_in_all)
        )
        indexed += made
        with index:
            assistant = open_assistant(index, settings)
            assistant.load()
            examiner = Examiner(assistant, index.retriever(DEPTH), records)
            for question in questions:
                ask = examiner.answered if question.id in data.to_answer else examiner.searched
                try:
                    outcomes.append(ask(question))
                except (ModelFailed, RateLimited) as error:
                    failures.append(Failure(question.id, str(error)))
                on_progress("Asking", len(outcomes) + len(failures), len(data.questions))
    if not outcomes:
        raise ModelFailed(failures[0].reason)
    return Asking(outcomes, failures, indexed)


class Examiner:
    """Asks an assistant questions about records, which it has in its index, and measures what comes.

    retriever: of DEPTH passages.
    """

    def __init__(self, assistant: Assistant, retriever: BaseRetriever, records: Sequence[Record]) -> None:
        self._assistant = assistant
        self._search = searcher(retriever, assistant.condense)
        self._keys = {record.id: record_key(record) for record in records}
        self._records = {self._keys[record.id]: record for record in records}
        self._languages = {record.language for record in records}

    def searched(self, question: Question) -> Outcome:
        """Search as for an answer, but deeper, and leave it at that."""
        began = time.perf_counter()
        task = self._search.invoke(Asked(question=question.text, history=question.history))
        seconds = time.perf_counter() - began
        numbers = {"answerable": question.answerable, "retrieval_seconds": seconds}
        found = self._found(question, task["passages"])
        return Outcome(question.id, self._pair(question), numbers | found, question.kind)

    def answered(self, question: Question) -> Outcome:
        """Search, then ask as a user does."""
        searched = self.searched(question)
        said = self._said(question, self._assistant.ask(question.text, question.history))
        return replace(searched, numbers={**searched.numbers, **said})

    def _found(self, question: Question, passages: Sequence[Passage]) -> dict[str, float]:
        """Measure a ranking. A document found again counts nothing: what it holds is known already."""
        numbers: dict[str, float] = {}
        gold = self._gold(question)
        spans = [self._spans(passage.source, passage.start, passage.text, passage.also_in) for passage in passages]
        found = [{place.document for place in gold if any(answers(span, place) for span in own)} for own in spans]
        if gold:
            grades = {place.document: place.grade for place in gold}
            known: set[str] = set()
            gains = []
            for documents in found:
                gains.append(max((grades[document] for document in documents - known), default=0.0))
                known |= documents
            numbers["rank"] = next((rank for rank, documents in enumerate(found, start=1) if documents), 0)
            numbers["ndcg"] = ndcg(gains, list(grades.values()), DEPTH)
            numbers["recall"] = covered(gold, list(chain(*spans[:RECALL_DEPTH])), answers)
        if passages and len(self._languages) > 1:
            own = self._records[passages[0].source].language == question.language
            numbers["own_language"] = own or bool(found[0])
        return numbers

    def _said(self, question: Question, answer: Answer) -> dict[str, float]:
        """Measure an answer by its quotes; a declined one has none."""
        seconds = answer.seconds.retrieve + answer.seconds.answer
        numbers: dict[str, float] = {"answered": answer.answered, "answer_seconds": seconds}
        said = " ".join(citation.quote for citation in answer.citations)
        if answer.confidence is not None:
            numbers["confidence"] = answer.confidence
        if question.quotable:
            language = self._document_language(question)
            shortest = answer.short or said
            numbers["exact_match"] = exact_match(shortest, question.answers, language)
            numbers["f1"] = f1(shortest, question.answers, language)
            numbers["holds_answer"] = holds(said, question.answers, language)
        gold = self._gold(question)
        if gold:
            numbers["read_rank"] = self._found(question, answer.passages)["rank"]
        spans = [
            self._spans(citation.passage.source, citation.start, citation.quote, citation.also_in)
            for citation in answer.citations
        ]
        if gold:
            numbers["cited_recall"] = covered(gold, list(chain(*spans)), overlap)
        if answer.citations:
            numbers["words"] = len(said.split())
            numbers["verbatim"] = share(
                self._records[citation.passage.source].text[citation.start : citation.end] == citation.quote
                for citation in answer.citations
            )
        if answer.citations and gold:
            numbers["cited_precision"] = share(
                any(overlap(span, place) for span in own for place in gold) for own in spans
            )
        return numbers

    def _spans(self, source: str, start: int, text: str, copies: Sequence[File]) -> list[Span]:
        """Say where a text stands: in its document, and in those that it stands for as well.

        Of a document that has it in other words, there is an empty span.
        """
        spans = [(source, start, start + len(text))]
        for copy in {copy.source for copy in copies} - {source}:
            at = self._records[copy].text.find(text)
            spans.append((copy, at, at + len(text)) if at >= 0 else (copy, 0, 0))
        return spans

    def _gold(self, question: Question) -> list[Gold]:
        """Give the places that answer by the ids of the index."""
        return [replace(place, document=self._keys[place.document]) for place in question.gold]

    def _pair(self, question: Question) -> str:
        return f"{question.language}→{self._document_language(question) or '*'}"

    def _document_language(self, question: Question) -> str | None:
        """Give the language of the documents that are asked, None where there are several."""
        key = self._keys.get(question.document or "")
        only = next(iter(self._languages)) if len(self._languages) == 1 else None
        return self._records[key].language if key else only


def overlap(span: Span, place: Gold) -> bool:
    """Say whether a span has a part in common with a place; with a whole document it has, even when it is empty."""
    source, start, end = span
    return source == place.document and (place.end == WHOLE or (start < place.end and place.start < end))


def answers(span: Span, place: Gold) -> bool:
    """Say whether a passage answers: it holds the words that do, or a part of a place that does."""
    source, start, end = span
    if place.is_answer:
        return source == place.document and start <= place.start and place.end <= end
    return overlap(span, place)


def covered(gold: Sequence[Gold], spans: Sequence[Span], touches: Callable[[Span, Gold], bool]) -> float:
    """Return the share of places that one of the spans touches; of words that answer, one place will do."""
    touched = [any(touches(span, place) for span in spans) for place in gold]
    return float(any(touched)) if gold[0].is_answer else share(touched)


def share(truths: Iterable[bool]) -> float:
    """Return the share that is true."""
    listed = list(truths)
    return sum(listed) / len(listed)
