"""The risk-coverage curve as a picture."""

from html import escape

import numpy as np

from assistant.errors import InvalidData
from assistant.evaluation.figures import is_right
from assistant.evaluation.metrics import risk_and_coverage
from assistant.evaluation.report import Report

WIDTH, HEIGHT, MARGIN = 560, 400, 60
"""In pixels."""
TICKS = 5


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
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" \
font-family="sans-serif" font-size="13" fill="#333">
<title>{escape(report.data)}: risk and coverage</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{MARGIN}" y="28" font-size="16">{escape(report.data)}: {asked.sum()} questions, {escape(report.model)}</text>
{_grid(highest)}
<polyline points="{path}" fill="none" stroke="#0b57a4" stroke-width="2"/>
<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="#0b57a4"/>
<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">coverage: share of the questions that is answered</text>
<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">risk: share of these that is wrong</text>
</svg>
"""


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
