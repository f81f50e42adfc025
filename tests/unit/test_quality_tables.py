from pathlib import Path

import pytest
from typer.main import get_command

from assistant.cli import app
from assistant.evaluation.figures import figures
from tests.evaluation import tables
from tests.evaluation.run import OPTIONS

REPORTS = tables.reports()


def test_the_tables_of_the_documentation_are_those_of_the_results():
    [written] = tables.PLACE.findall(tables.DOCUMENT.read_text("utf-8"))

    assert written == tables.text(REPORTS)


def test_the_curves_of_the_documentation_are_those_of_the_results():
    drawn = {path.name: path.read_text("utf-8") for path in tables.PICTURES.glob("curve-*.svg")}

    assert drawn == tables.pictures(REPORTS)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.data)
def test_the_figures_of_a_result_are_those_of_its_questions(report):
    parts = report.outcomes.parts()

    assert parts.keys() == report.figures.keys()
    for pair, part in parts.items():
        for section, found in figures(part).items():
            written = report.figures[pair][section]
            assert {name: figure.value for name, figure in found.items()} == pytest.approx(
                {name: figure.value for name, figure in written.items()}, abs=1e-4
            )


def test_the_seed_article_is_among_the_results_and_every_quote_was_verbatim():
    assert "seeds" in {report.data for report in REPORTS}
    quoted = [report.figures["all"]["citations"] for report in REPORTS if report.questions["all"]["with_answer"]]
    assert all(figures["verbatim"].value == 1 for figures in quoted)


def test_there_are_results_of_known_data_sets_only():
    assert {path.stem for path in Path(tables.RESULTS).iterdir()} <= OPTIONS.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_the_sample_of_a_data_set_is_one_that_the_command_takes(name):
    command = get_command(app).commands["evaluate"]

    assert command.make_context("evaluate", [name, *OPTIONS[name].split()]).params["folder"] == Path(name)
