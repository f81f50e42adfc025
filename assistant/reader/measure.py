"""Measures the reader by itself: the paragraph that answers is given.

    python -m assistant.reader.measure FOLDER… [--limit N]

Of each folder with corpus.jsonl and questions.jsonl (see assistant.evaluation.data), only questions are read about
documents that were held back from training. Printed, by languages of question and document, with 95 % bootstrap
intervals: exact match and F1 of the words that answer, as in SQuAD 1.1, and AUROC of the logit that a paragraph
answers, against questions that it does not answer.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import typer

from assistant.evaluation.bootstrap import interval, sample_weights
from assistant.evaluation.metrics import Array, auroc, exact_match, f1, mean
from assistant.reader.model import TrainedReader
from assistant.reader.pairs import Asked, Judged, read_folder
from assistant.reader.reading import Reader, Reading
from index import Passage, SentenceTransformerEmbeddings
from index.models import PACKAGED

SEED = 0


def main() -> None:
    """Read the command line, read the paragraphs, print a table."""
    parser = argparse.ArgumentParser(prog="python -m assistant.reader.measure", description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders with corpus.jsonl and questions.jsonl")
    parser.add_argument("--limit", type=int, default=400, help="questions of each pair of languages, at the most")
    arguments = parser.parse_args()
    reader = TrainedReader(SentenceTransformerEmbeddings(PACKAGED))
    typer.echo("| data | question → document | n | F1 | exact match | without answer | AUROC |")
    typer.echo("| --- | --- | --- | --- | --- | --- | --- |")
    for folder in arguments.folders:
        for pair, asked in by_languages(read_folder(folder), arguments.limit).items():
            typer.echo(f"| {folder.name} | {pair} | {measured(reader, asked)} |")


def by_languages(asked: Sequence[Asked | Judged], limit: int) -> dict[str, list[Asked]]:
    """Choose questions that were held back and name their paragraph, by their languages."""
    kept = [question for question in asked if isinstance(question, Asked) and question.held_back]
    random.Random(SEED).shuffle(kept)  # noqa: S311 - nothing secret
    pairs: dict[str, list[Asked]] = defaultdict(list)
    for question in kept:
        if question.spans or not question.answerable:
            pairs[f"{question.language}→{question.record.language}"].append(question)
    return {pair: questions[:limit] for pair, questions in sorted(pairs.items())}


def measured(reader: Reader, asked: Sequence[Asked]) -> str:
    """Read each question's paragraph, and give the cells of the table."""
    exact, overlap, logits = [], [], []
    for question in asked:
        passage = _paragraph(question)
        reading = reader.read(question.question, [passage])[0]
        logits.append(reading.answers)
        said, language = words(passage, reading), passage.language
        exact.append(exact_match(said, question.answers, language) if question.answerable else np.nan)
        overlap.append(f1(said, question.answers, language) if question.answerable else np.nan)
    answerable = np.array([question.answerable for question in asked])
    columns = [str(int(answerable.sum())), _figure(overlap, mean), _figure(exact, mean), str(int((~answerable).sum()))]
    both = 0 < answerable.sum() < len(asked)
    told_apart = _figure(logits, lambda values, weights: auroc(values, answerable, weights)) if both else "–"
    return " | ".join([*columns, told_apart])


def words(passage: Passage, reading: Reading) -> str:
    """Give the words that answer best."""
    best = max(reading.sentences, key=lambda sentence: sentence.share, default=None)
    return passage.text[slice(*(best.answer or best.span))] if best else ""


def _paragraph(question: Asked) -> Passage:
    start, end = question.paragraph
    record = question.record
    return Passage(record.id, record.text[start:end], record.id, record.title, None, start, 1.0, record.language)


def _figure(values: Sequence[float], measure: Callable[[Array, Array], Array]) -> str:
    column = np.array(values, np.float64)
    low, high = interval(measure(column, sample_weights(len(column))))
    return f"{float(measure(column, np.ones(len(column)))):.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
