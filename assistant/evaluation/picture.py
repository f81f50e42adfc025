"""How far the confidence can be trusted, as pictures."""

from collections.abc import Mapping
from html import escape

import numpy as np

from assistant.errors import InvalidData
from assistant.evaluation.figures import is_right
from assistant.evaluation.metrics import Array, reliability, risk_and_coverage
from assistant.evaluation.report import Report

WIDTH, HEIGHT, MARGIN = 560, 400, 60
"""In pixels."""
TICKS = 5
COLOURS = ("#0b57a4", "#b3541e", "#2e7d32", "#8e24aa", "#00838f", "#c62828")


def risk_coverage_svg(report: Report) -> str:
    """Draw how many of the answers are wrong when only the most confident ones are given.

    The curve ends where the assistant stands: what it would have said beyond, nobody saw. Raises InvalidData where
    nothing was answered.
    """
    columns = report.outcomes.columns
    asked = ~np.isnan(columns["answered"])
    answered = columns["answered"][asked] == 1
    if not answered.any():
        raise InvalidData(f"{report.data}: nothing was answered, so there is no curve to draw. Leave out --plot")
    confidence = np.nan_to_num(columns["confidence"][asked])
    coverage, risk = risk_and_coverage(confidence, answered, is_right(columns)[asked])
    highest = max(0.1, np.ceil(10 * risk.max()) / 10)
    points = [(_across(x), _down(y / highest)) for x, y in zip(coverage, risk, strict=True)]
    x, y = points[-1]
    return _chart(
        f"{report.data}: risk and coverage",
        f"{report.data}: {asked.sum()} questions, {report.model}",
        ("coverage: share of the questions that is answered", "risk: share of these that is wrong"),
        highest,
        f"""\
<polyline points="{_path(points)}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>
<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{COLOURS[0]}"/>""",
    )


def reliability_svg(answerable: Mapping[str, tuple[Array, Array]]) -> str:
    """Draw for each name how often the documents do answer where the confidence says that they do.

    answerable: by what the questions share, as their language, the confidence of each and whether it has an answer.
    The size of a point says how many questions it stands for; a calibrated confidence is on the grey line.
    """
    ends = _path([(_across(0), _down(0)), (_across(1), _down(1))])
    lines = [f'<polyline points="{ends}" stroke="#999" stroke-dasharray="5"/>']
    for place, (name, (confidence, answers)) in enumerate(answerable.items()):
        colour = COLOURS[place % len(COLOURS)]
        means, shares, counts = reliability(confidence, answers)
        points = [(_across(x), _down(y)) for x, y in zip(means, shares, strict=True)]
        lines += [
            f'<polyline points="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + 8 * (n / counts.sum()) ** 0.5:.1f}" fill="{colour}"/>'
                for (x, y), n in zip(points, counts, strict=True)
            ),
            f'<text x="{MARGIN + 12}" y="{MARGIN + 20 + 18 * place}" fill="{colour}">'
            f"{escape(name)}, {counts.sum():,} questions</text>",
        ]
    axes = ("confidence that the documents answer", "share of these questions that have an answer")
    return _chart("Reliability", "Reliability of the confidence", axes, 1, "\n".join(lines))


def _chart(name: str, title: str, axes: tuple[str, str], highest: float, drawn: str) -> str:
    """Frame what was drawn. axes: what is across and what is up. highest: of the numbers that are up."""
    across, up = axes
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" \
font-family="sans-serif" font-size="13" fill="#333">
<title>{escape(name)}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{MARGIN}" y="28" font-size="16">{escape(title)}</text>
{_grid(highest)}
{drawn}
<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>
<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>
</svg>
"""


def _path(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _grid(highest: float) -> str:
    lines = []
    for share in np.linspace(0, 1, TICKS + 1):
        x, y = _across(share), _down(share)
        lines += [
            f'<line x1="{MARGIN}" y1="{y:.1f}" x2="{WIDTH - MARGIN / 2}" y2="{y:.1f}" stroke="#ddd"/>',
            f'<text x="{MARGIN - 8}" y="{y + 4:.1f}" text-anchor="end">{share * highest:.2g}</text>',
            f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 20}" text-anchor="middle">{share:.1f}</text>',
        ]
    return "\n".join(lines)


def _across(share: float) -> float:
    return MARGIN + share * (WIDTH - 1.5 * MARGIN)


def _down(share: float) -> float:
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
