"""The report of an evaluation, and the comparison of two: objects for JSON, lines for a terminal."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from assistant.errors import InvalidData
from assistant.evaluation.ask import Asking
from assistant.evaluation.data import DataSet, Selection
from assistant.evaluation.figures import Difference, Figure, differences, figures
from assistant.evaluation.outcomes import COLUMNS, LABELS, Outcomes
from assistant.settings import AssistantSettings
from index import IndexSettings
from index.build import recipe

CHANCE = 0.05
"""A difference with a smaller p-value is called more than chance."""
SHOWN_BY_PART = (
    ("retrieval", "hit@1"),
    ("retrieval", "hit@5"),
    ("retrieval", "mrr"),
    ("answers", "holds_answer"),
    ("refusal", "hallucination_rate"),
    ("refusal", "error_rate"),
)

Section = Mapping[str, Figure]
Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found: the object of `--json`."""

    data: str
    """Name of the folder."""
    selection: Selection
    index: str
    """Embedding model and sizes of chunks."""
    model: str
    """Who answers."""
    passages: int
    """How many are read for an answer."""
    documents: int
    chunks: int
    chunks_per_second: float | None
    """When they were indexed; None where that was broken off and went on later."""
    failures: Mapping[str, str]
    """Questions at which a language model broke off, by id, and why; they count nowhere."""
    questions: Mapping[str, Mapping[str, int]]
    """By part (see Outcomes.parts): how many were searched; of those to be answered, with and without an answer."""
    figures: Mapping[str, Mapping[str, Section]]
    """By part, by section, by name. See figures.FIGURES."""
    columns: Sequence[str]
    """Names of what the rows hold: outcomes.LABELS and outcomes.COLUMNS."""
    rows: Sequence[Sequence[Cell]]
    """A row for each question, None where something was not measured."""

    @property
    def outcomes(self) -> Outcomes:
        """The rows as a table to work with."""
        return Outcomes.from_rows(self.columns, self.rows)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two runs: the object of `--compare --json`."""

    before: str
    after: str
    """Files, and what the answers were made with."""
    questions: int
    """How many both runs asked; only these are compared."""
    differences: Mapping[str, Mapping[str, Mapping[str, Difference]]]
    """By part, by section, by name."""


def report(data: DataSet, selection: Selection, settings: AssistantSettings, asking: Asking) -> Report:
    """Work out the figures of what was asked, over all questions and by part."""
    outcomes = Outcomes.of(asking.outcomes)
    parts = outcomes.parts()
    return Report(
        data=data.name,
        selection=selection,
        index=recipe(IndexSettings()).name,
        model=settings.model,
        passages=settings.passages,
        documents=asking.indexing.documents,
        chunks=asking.indexing.chunks,
        chunks_per_second=asking.indexing.chunks_per_second,
        failures={failure.id: failure.reason for failure in asking.failures},
        questions={pair: _counts(part) for pair, part in parts.items()},
        figures={pair: figures(part) for pair, part in parts.items()},
        columns=[*LABELS, *COLUMNS],
        rows=outcomes.rows(),
    )


def read_report(path: Path) -> Report:
    """Read what `assistant evaluate --json` printed; raises InvalidData where the file is something else."""
    try:
        found = TypeAdapter(Report).validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidData(
            f"{path} cannot be read: {error.strerror}. Name a result of assistant evaluate --json"
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        raise InvalidData(
            f"{path} is no result of assistant evaluate --json: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        ) from error
    if list(found.columns[:2]) != ["id", "pair"] or {len(row) for row in found.rows} != {len(found.columns)}:
        raise InvalidData(f"{path} is no result of assistant evaluate --json: its rows do not fit its columns")
    return found


def compare(before: Path, after: Path) -> Comparison:
    """Compare two results by the questions that both asked; raises InvalidData where there is none."""
    reports = [read_report(path) for path in (before, after)]
    runs = [report.outcomes for report in reports]
    common = set(runs[0].ids) & set(runs[1].ids)
    if not common:
        raise InvalidData(f"{before} and {after} have no question in common. Compare two runs over the same data set")
    first, second = (_in_order_of_ids(run, common) for run in runs)
    parts = second.parts()
    of_first = first.parts()
    return Comparison(
        before=_described(before, reports[0]),
        after=_described(after, reports[1]),
        questions=len(common),
        differences={pair: differences(of_first[pair], part) for pair, part in parts.items() if pair in of_first},
    )


def as_json(content: Report | Comparison) -> str:
    """Write an object with one line for each section of figures and for each question."""
    return _written(asdict(content))


def report_lines(report: Report) -> Iterator[str]:
    """Write a report for a terminal."""
    counts = report.questions["all"]
    speed = f", indexed at {report.chunks_per_second:.0f} a second" if report.chunks_per_second else ""
    yield f"{report.data}: {report.documents:,} documents, {report.chunks:,} chunks{speed}"
    yield (
        f"{counts['searched']:,} questions searched; {counts['with_answer']:,} with an answer and "
        f"{counts['without_answer']:,} without put to {report.model}, from {report.passages} passages"
    )
    for section, measured in report.figures["all"].items():
        if measured:
            yield f"\n{section:<28}value    95 % interval"
        for name, figure in measured.items():
            yield f"  {name:<24}{figure.value:>7.3f}    {figure.low:.3f} to {figure.high:.3f}"
    if len(report.figures) > 1:
        yield from _lines_by_part(report)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Write a comparison for a terminal."""
    yield f"before: {comparison.before}"
    yield f"after:  {comparison.after}"
    yield f"{comparison.questions:,} questions in common"
    for pair, sections in comparison.differences.items():
        for section, measured in sections.items():
            if measured:
                heading = f"{section}, {pair}"
                yield f"\n{heading:<28}before    after    change and its 95 % interval        p"
            for name, change in measured.items():
                verdict = "  more than chance" if change.p < CHANCE else ""
                yield (
                    f"  {name:<24}{change.before:>8.3f} {change.after:>8.3f}   {change.after - change.before:>+7.3f}   "
                    f"{change.low:+.3f} to {change.high:+.3f}   {change.p:>6.3f}{verdict}"
                )


def _described(path: Path, report: Report) -> str:
    return f"{path} ({report.model}, {report.passages} passages, {report.index})"


def _counts(outcomes: Outcomes) -> dict[str, int]:
    answerable = outcomes.columns["answerable"][~np.isnan(outcomes.columns["answered"])] == 1
    return {
        "searched": len(outcomes.ids),
        "with_answer": int(answerable.sum()),
        "without_answer": int((~answerable).sum()),
    }


def _in_order_of_ids(outcomes: Outcomes, chosen: set[str]) -> Outcomes:
    places = sorted((id, place) for place, id in enumerate(outcomes.ids) if id in chosen)
    return outcomes.chosen(np.array([place for _, place in places]))


def _lines_by_part(report: Report) -> Iterator[str]:
    shown = [(section, name) for section, name in SHOWN_BY_PART if name in report.figures["all"].get(section, {})]
    yield f"\n{'by part':<14}{'questions':>10}" + "".join(f"{name:>20}" for _, name in shown)
    for pair, sections in report.figures.items():
        values = [sections[section].get(name) for section, name in shown]
        cells = "".join(f"{figure.value:>20.3f}" if figure else f"{'–':>20}" for figure in values)
        yield f"{pair:<14}{report.questions[pair]['searched']:>10,}{cells}"


def _written(content: Any, indent: str = "", depth: int = 4) -> str:
    """Write JSON, objects down to a depth and lists of lists line by line, what is deeper on one line."""
    inner = indent + "  "
    if isinstance(content, Mapping) and content and depth:
        lines = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {_written(value, inner, depth - 1)}"
            for key, value in content.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(content, list) and content and isinstance(content[0], list):
        rows = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in content)
        return "[\n" + ",\n".join(inner + row for row in rows) + f"\n{indent}]"
    return json.dumps(content, ensure_ascii=False)
