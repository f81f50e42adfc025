"""Answers with sentences of the passages, word for word, or not at all; it needs no language model.

A reader (assistant.reader) says of each passage whether it answers, and where. That ranks the passages, decides whether
to answer, and chooses the sentences and the words in them. It reads no further than it must.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda

from assistant.reader.reading import Probability, Reader, Reading, Span, sigmoid
from assistant.types import READ, Claim, Confidence, Said, Task
from index import Passage, detect
from index.copies import words

READ_AT_ONCE = 2
"""Passages; between them it is asked whether one answers."""
SURE = 0.5
"""The confidence from which no more is read; the caution, where that is greater."""
RANK_WEIGHT = 0.3
"""What each place further down in what retrieval found takes off a passage's logit."""
SHOWN_SENTENCES = 3
SHOWN_WORDS = 55
"""A further sentence is shown only where it fits into so many words together with the ones before."""
SHARE = 0.3
"""A further sentence is shown where its probability is at least this share of the best one's."""


@dataclass(frozen=True, slots=True)
class Found:
    """A sentence that may answer."""

    passage: int
    """Number of the passage, counted from 0."""
    span: Span
    answer: Span | None
    probability: float
    """That it answers the question."""


def rereader(reader: Reader, caution: float) -> Runnable[Task, Task]:
    """Return the runnable that reads the passages of a Task, in their order, until one answers.

    Those that were read come first then, the best of them before the others. The further ones would hardly be shown,
    and cannot change whether there is an answer: that takes one passage.
    """
    enough = max(SURE, caution)

    def read(task: Task) -> Task:
        passages, language = task["passages"], detect(task["question"])
        readings = reader.read(task["query"], passages[:READ_AT_ONCE])
        while len(readings) < len(passages):
            if reader.probability(max(one.answers for one in readings), language) >= enough:
                break
            unread = passages[len(readings) :]
            readings += reader.read(task["query"], unread[:READ_AT_ONCE])
        order = ranked(readings)
        read_first = [passages[i] for i in order] + list(passages[len(order) :])
        return Task(**{**task, "passages": read_first, "readings": [readings[i] for i in order]})

    return RunnableLambda(read, name=READ)


def ranked(readings: Sequence[Reading]) -> list[int]:
    """Order passages by whether they answer, and by how early retrieval found them. readings: in that order."""
    scores = [reading.answers - RANK_WEIGHT * rank for rank, reading in enumerate(readings)]
    return sorted(range(len(readings)), key=lambda i: -scores[i])


def extractor(probability: Probability, caution: float) -> Runnable[Task, Said]:
    """Return the runnable that answers a Task that was read: its Confidence, then sentences as Claims.

    probability: that of the reader. caution: the confidence from which it answers, from 0 to 1.
    """

    def answer(tasks: Iterator[Task]) -> Iterator[Said]:
        for task in tasks:
            passages, readings = task["passages"], task["readings"]
            best = max((reading.answers for reading in readings), default=None)
            confidence = 0.0 if best is None else probability(best, detect(task["question"]))
            yield Confidence(confidence)
            if confidence < caution:
                continue
            for found in chosen(passages, readings):
                start, end = found.span
                answer = found.answer and (found.answer[0] - start, found.answer[1] - start)
                yield Claim(passages[found.passage].text[start:end], (found.passage + 1,), answer)

    return RunnableGenerator(answer)


def chosen(passages: Sequence[Passage], readings: Sequence[Reading]) -> list[Found]:
    """Choose the sentences to show, one to three, best first. readings: of the first of the passages, or of all."""
    best = sorted(_each_once(passages, readings), key=lambda found: -found.probability)
    shown: list[Found] = []
    room = SHOWN_WORDS
    for found in best:
        length = len(passages[found.passage].text[slice(*found.span)].split())
        likely = found.probability >= SHARE * best[0].probability
        if not shown or (likely and length <= room and len(shown) < SHOWN_SENTENCES):
            shown.append(found)
            room -= length
    return shown


def _each_once(passages: Sequence[Passage], readings: Sequence[Reading]) -> Iterator[Found]:
    """Give every sentence; one that overlapping passages or two papers share is the first one's."""
    seen: set[tuple[object, ...]] = set()
    for number, (passage, reading) in enumerate(zip(passages, readings, strict=False)):
        for sentence in reading.sentences:
            start, end = sentence.span
            keys = {(passage.source, passage.start + end), words(passage.text[start:end])}
            if seen.isdisjoint(keys):
                yield Found(number, sentence.span, sentence.answer, sigmoid(reading.answers) * sentence.share)
            seen |= keys
