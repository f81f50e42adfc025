"""Trains the reader on question-answering folders, and writes weights.safetensors.

    python -m assistant.reader.train CACHE FOLDER… --output assistant/reader/weights.safetensors

Each question gets the candidates that the assistant itself would read: sentences of the passages it retrieves, best
fitting first. The network learns which of them holds the answer, or, where the sentence that holds it was taken away
or the question has no answer, that none does. One article in five, by title, is held back and measured on after each
epoch.
"""

import argparse
import logging
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from assistant.evaluation.corpus import index_records, record_key
from assistant.evaluation.data import Question, Record, by_language, is_held_back, read_questions, read_records
from assistant.evaluation.metrics import auroc
from assistant.extract import READ_SENTENCES, Reader, TokenEmbeddings, against_none, best_fitting
from assistant.reader.model import DIMENSION, Array, SentenceReader, pad, pad_usual, read_pairs
from index import Index, TokenVectors
from index.sentences import sentences

PASSAGES = 6
KEPT_CANDIDATES = 24
TAKEN_AWAY = 0.35
"""Share of questions whose answering sentence is taken away: the others of its passage are near misses."""
BATCH_QUESTIONS = 16
LEARNING_RATE = 1.5e-3
SEED = 0

log = logging.getLogger("train")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A question as token vectors, with the sentences that answer it and those that do not, best fitting first."""

    question: Array
    usual: Array
    """See SentenceReader.forward."""
    gold: list[Array]
    others: list[Array]
    candidates: list[Array]
    """As the assistant would read them."""
    among: list[bool]
    """Whether each candidate is gold."""
    held_back: bool


class Remembered:
    """Token vectors of texts seen before, in half precision, so that nothing is embedded twice."""

    def __init__(self, embeddings: TokenEmbeddings) -> None:
        self._embeddings = embeddings
        self._known: dict[str, TokenVectors] = {}
        self.embed_query_tokens = cache(embeddings.embed_query_tokens)

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Embed each token of texts."""
        new = sorted({text for text in texts if text not in self._known})
        for text, tokens in zip(new, self._embeddings.embed_document_tokens(new) if new else [], strict=True):
            self._known[text] = TokenVectors(tokens.vectors.astype(np.float16), tokens.spans)
        return [self._known[text] for text in texts]


def main() -> None:
    """Read the command line, make examples, train, write."""
    parser = argparse.ArgumentParser(prog="python -m assistant.reader.train", description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path, help="folder for the indexes of the corpora, used again next time")
    parser.add_argument("folders", type=Path, nargs="+", help="folders with corpus.jsonl and questions.jsonl")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    examples = [example for folder in arguments.folders for example in make_examples(folder, arguments.cache)]
    reader = train(examples, arguments.epochs)
    save_file({name: weight.half() for name, weight in reader.state_dict().items()}, arguments.output)


def make_examples(folder: Path, cache: Path) -> Iterator[Example]:
    """Give an example for each question of a folder."""
    groups = by_language(read_records(folder), read_questions(folder / "questions.jsonl"))
    for number, (records, questions) in enumerate(groups):
        log.info("%s: %d documents, %d questions", folder.name, len(records), len(questions))
        with index_records(records, cache / f"{folder.name}-{number}") as index:
            reader = Reader(embeddings := Remembered(index.embeddings))
            by_id = {record.id: record for record in records}
            for question in questions:
                yield make_example(question, by_id.get(question.document or ""), index, reader, embeddings)


def make_example(
    question: Question, record: Record | None, index: Index, reader: Reader, embeddings: TokenEmbeddings
) -> Example:
    """Find the sentences of a question as the assistant finds them, and say which of them answer."""
    asked = embeddings.embed_query_tokens(question.text)
    found = best_fitting(asked, index.retriever(PASSAGES).search(question.text), embeddings)[:KEPT_CANDIDATES]
    gold = gold_sentences(question, record, index)
    holds_answer = [any(answer.lower() in sentence.text.lower() for answer in question.answers) for sentence in found]
    return Example(
        question=asked.vectors.astype(np.float16),
        usual=reader.usual(asked, record.language if record else question.language),
        gold=[tokens.vectors for tokens in embeddings.embed_document_tokens(sorted(gold))],
        others=[sentence.tokens.vectors for sentence, holds in zip(found, holds_answer, strict=True) if not holds],
        among=[sentence.text in gold for sentence in found[:READ_SENTENCES]],
        candidates=[sentence.tokens.vectors for sentence in found[:READ_SENTENCES]],
        held_back=is_held_back(question, record),
    )


def gold_sentences(question: Question, record: Record | None, index: Index) -> set[str]:
    """Return the sentences of the record in which an answer begins."""
    if record is None or not question.answerable:
        return set()
    text = index.text(record_key(record))
    spans = sentences(text, record.language)
    return {text[start:end] for start, end in spans if any(start <= at < end for at in question.starts)}


def train(examples: Sequence[Example], epochs: int) -> SentenceReader:
    """Train a reader, and report on the examples held back after each epoch."""
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - nothing secret
    learnt = [example for example in examples if not example.held_back and example.others]
    kept = [example for example in examples if example.held_back and example.candidates]
    reader = SentenceReader(DIMENSION)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    steps = epochs * (len(learnt) // BATCH_QUESTIONS)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 200) * (1 - step / steps)
    )
    for epoch in range(epochs):
        chance.shuffle(learnt)
        reader.train()
        losses = []
        for at in range(0, len(learnt) - BATCH_QUESTIONS + 1, BATCH_QUESTIONS):
            loss = batch_loss(reader, learnt[at : at + BATCH_QUESTIONS], chance)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        log.info("epoch %d: loss %.3f; held back: %s", epoch + 1, float(np.mean(losses)), measure(reader, kept))
    return reader.eval()


def batch_loss(reader: SentenceReader, examples: Sequence[Example], chance: random.Random) -> torch.Tensor:
    """Return the mean negative log probability of the sentence that answers, or of none of them."""
    asked: list[Array] = []
    usual: list[Array] = []
    said: list[Array] = []
    sizes, answered = [], []
    for example in examples:
        with_gold = bool(example.gold) and chance.random() >= TAKEN_AWAY
        others = example.others[:READ_SENTENCES]
        others = chance.sample(others, max(1, min(len(others), READ_SENTENCES - 1) - chance.randrange(3)))
        shown = [chance.choice(example.gold), *others] if with_gold else others
        asked += [example.question] * len(shown)
        usual += [example.usual] * len(shown)
        said += shown
        sizes.append(len(shown))
        answered.append(with_gold)
    logits = reader(*pad(asked), pad_usual(usual), *pad(said)).split(sizes)
    losses = [
        torch.nn.functional.cross_entropy(
            torch.cat([own, own.new_zeros(1)])[None], torch.tensor([0 if with_gold else len(own)])
        )
        for own, with_gold in zip(logits, answered, strict=True)
    ]
    return torch.stack(losses).mean()


def measure(reader: SentenceReader, examples: Sequence[Example]) -> str:
    """Say how often the best sentence is right, and how well confidence tells what can be answered."""
    reader.eval()
    first, confidences, answerable = [], [], []
    for example in examples:
        probabilities, confidence = against_none(
            read_pairs(reader, example.question, [example.usual] * len(example.candidates), example.candidates)
        )
        confidences.append(confidence)
        answerable.append(any(example.among))
        if any(example.among):
            first.append(example.among[int(np.argmax(probabilities))])
    return f"right {np.mean(first):.3f} of {len(first)}, AUROC {auroc(np.array(confidences), np.array(answerable)):.3f}"


if __name__ == "__main__":
    main()
