"""Writes the tables and curves of docs/quality.md from tests/evaluation/results: python -m tests.evaluation.tables"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from assistant.evaluation.metrics import Array
from assistant.evaluation.picture import reliability_svg, risk_coverage_svg
from assistant.evaluation.report import Report, read_report

RESULTS = Path("tests/evaluation/results")
DOCUMENT = Path("docs/quality.md")
PICTURES = Path("docs/pictures")
PLACE = re.compile(r"(?<=<!-- written by make evaluate -->\n).*(?=<!-- end -->)", re.DOTALL)
CURVE = "curve-"
LANGUAGES = {"en": "English", "fr": "French"}
ENOUGH = 50
"""Of fewer questions a line says nothing."""
UNKNOWN = "–"

Column = tuple[str, Callable[[Report, str], str]]
"""Heading, and from a report and a part of its questions to the cell."""


def write() -> None:
    """Bring the document and its pictures in step with the results."""
    found = reports()
    DOCUMENT.write_text(PLACE.sub(lambda _: text(found), DOCUMENT.read_text("utf-8")), "utf-8")
    for name, picture in pictures(found).items():
        (PICTURES / name).write_text(picture, "utf-8")


def reports() -> list[Report]:
    return [read_report(path) for path in sorted(RESULTS.glob("*.json"))]


def pictures(found: Sequence[Report]) -> dict[str, str]:
    """Draw all curves, by file name."""
    return {name: picture for name, (_, picture) in curves(found).items()}


def curves(found: Sequence[Report]) -> dict[str, tuple[str, str]]:
    """Draw the curve of each data set with questions of both kinds, then the reliability of all these.

    Gives title and picture by file name.
    """
    both = [report for report in found if "auroc" in report.figures["all"]["refusal"]]
    reliability = ("Reliability by language of the question", reliability_svg(confidences(both)))
    return {
        **{f"{CURVE}{one.data}.svg": (f"Risk and coverage: {one.data}", risk_coverage_svg(one)) for one in both},
        f"{CURVE}reliability.svg": reliability,
    }


def confidences(found: Iterable[Report]) -> dict[str, tuple[Array, Array]]:
    """Give confidence, and whether there is an answer, of all questions in a language, where there are enough."""
    tables = [report.outcomes for report in found]
    languages = np.array([pair.split("→")[0] for table in tables for pair in table.pairs])
    confidence, answerable = (
        np.concatenate([table.columns[name] for table in tables]) for name in ("confidence", "answerable")
    )
    chosen = {name: (languages == name) & ~np.isnan(confidence) for name in sorted(set(languages))}
    return {
        LANGUAGES.get(name, name): (confidence[these], answerable[these] == 1)
        for name, these in chosen.items()
        if these.sum() >= ENOUGH
    }


def text(found: Sequence[Report]) -> str:
    """Write all tables, then the pictures."""
    by_part = [(report, pair) for report in found for pair in list(report.figures)[1:] or ["all"]]
    as_whole = [(report, "all") for report in found]
    return "\n".join(
        [
            *table("Retrieval", [DATA, PART, count("searched"), *RETRIEVAL], by_part),
            *table("Answers and citations", [DATA, count("with_answer"), *ANSWERS, *CITATIONS], as_whole),
            *table("Declining", [DATA, count("with_answer"), count("without_answer"), *REFUSAL], as_whole),
            *table("Time", [DATA, *SIZES, *SECONDS], as_whole),
            *(f"![{title}](pictures/{name})" for name, (title, _) in curves(found).items()),
            "",
        ]
    )


def table(title: str, columns: Sequence[Column], rows: Sequence[tuple[Report, str]]) -> Iterator[str]:
    """Write a table; rows without any figure are left out."""
    yield f"**{title}**\n"
    yield f"| {' | '.join(heading for heading, _ in columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for report, pair in rows:
        cells = [cell(report, pair) for _, cell in columns]
        if any("[" in cell for cell in cells):
            yield f"| {' | '.join(cells)} |"
    yield ""


def count(name: str) -> Column:
    return name.replace("_", " "), lambda report, pair: f"{report.questions[pair][name]:,}"


def figure(section: str, name: str, heading: str = "") -> Column:
    """Show a figure with its 95 % interval."""

    def cell(report: Report, pair: str) -> str:
        found = report.figures[pair][section].get(name)
        return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else UNKNOWN

    return heading or name.replace("_", " "), cell


def part(report: Report, pair: str) -> str:
    return report.outcomes.pairs[0] if pair == "all" else pair


DATA: Column = ("data", lambda report, _: f"{report.data}, all at once" if report.selection.together else report.data)
PART: Column = ("question → documents, or kind", part)
SIZES: list[Column] = [
    ("documents", lambda report, _: f"{report.documents:,}"),
    ("chunks", lambda report, _: f"{report.chunks:,}"),
    (
        "chunks indexed a second",
        lambda report, _: f"{report.chunks_per_second:.0f}" if report.chunks_per_second else UNKNOWN,
    ),
]
RETRIEVAL = [
    figure("retrieval", "hit@1"),
    figure("retrieval", "hit@3"),
    figure("retrieval", "hit@5"),
    figure("retrieval", "hit@10"),
    figure("retrieval", "mrr", "MRR"),
    figure("retrieval", "ndcg@10", "nDCG@10"),
    figure("retrieval", "recall@5"),
    figure("retrieval", "own_language"),
]
ANSWERS = [
    figure("answers", "hit@1_read", "hit@1 after reading"),
    figure("answers", "holds_answer"),
    figure("answers", "f1", "F1"),
    figure("answers", "exact_match"),
    figure("answers", "words"),
]
CITATIONS = [
    figure("citations", "precision", "citation precision"),
    figure("citations", "recall", "citation recall"),
    figure("citations", "verbatim"),
]
REFUSAL = [
    figure("refusal", "hallucination_rate"),
    figure("refusal", "error_rate"),
    figure("refusal", "precision"),
    figure("refusal", "recall"),
    figure("refusal", "f1", "F1"),
    figure("refusal", "auroc", "AUROC"),
    *(figure("refusal", f"hallucination_rate@{rate}", f"at error {rate}") for rate in ("0.05", "0.08", "0.10", "0.11")),
]
SECONDS = [
    figure("seconds", "retrieval_p50"),
    figure("seconds", "retrieval_p95"),
    figure("seconds", "answer_p50"),
    figure("seconds", "answer_p95"),
]

if __name__ == "__main__":
    write()
