import json
from xml.etree import ElementTree

import numpy as np
import pytest

from assistant import AssistantSettings, InvalidData
from assistant.evaluation.ask import Asking, Failure
from assistant.evaluation.corpus import Indexing
from assistant.evaluation.data import DataSet, Selection
from assistant.evaluation.figures import figures
from assistant.evaluation.outcomes import Outcome, Outcomes
from assistant.evaluation.picture import reliability_svg, risk_coverage_svg
from assistant.evaluation.report import as_json, compare, comparison_lines, read_report, report, report_lines


def outcomes(**columns):
    rows = zip(*columns.values(), strict=True)
    return [
        Outcome(
            f"q{place}", "fr→fr", {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        )
        for place, row in enumerate(rows)
    ]


def values(section, **columns):
    return {name: figure.value for name, figure in figures(Outcomes.of(outcomes(**columns)))[section].items()}


def test_hits_and_reciprocal_ranks_come_from_the_first_passage_that_answers():
    found = values("retrieval", rank=[1, 2, 4, 10, 0, None])

    assert found == {"hit@1": 0.2, "hit@3": 0.4, "hit@5": 0.6, "hit@10": 0.8, "mrr": 0.37}


def test_refusals_are_counted_as_nomiracl_counts_them():
    # GPT-4 on the French test half, out of the paper's repository: of 250 without an answer 117 were answered, of 246
    # with one 28 were not.
    found = values("refusal", answerable=[0] * 250 + [1] * 246, answered=[1] * 117 + [0] * 133 + [0] * 28 + [1] * 218)

    assert found["hallucination_rate"] == 0.468
    assert found["error_rate"] == 0.1138
    assert found["recall"] == 0.532
    assert found["precision"] == round(133 / (133 + 28), 4)
    assert found["f1"] == round(2 * 133 / (2 * 133 + 28 + 117), 4)


def test_precision_of_refusals_is_not_known_where_everything_has_an_answer():
    assert values("refusal", answerable=[1, 1], answered=[0, 1]) == {"error_rate": 0.5}


def test_questions_that_were_only_searched_count_in_no_figure_of_answers():
    found = values("refusal", answerable=[1, 1, 1, 0], answered=[1, 0, None, None], confidence=[0.9, 0.2, None, None])

    assert found == {"error_rate": 0.5}


def test_operating_points_and_auroc_come_from_the_confidence():
    found = values(
        "refusal", answerable=[1] * 20 + [0] * 2, answered=[1] * 22, confidence=[0.1] + [0.8] * 19 + [0.2, 0.9]
    )

    assert found["auroc"] == 19 / 40
    assert found["hallucination_rate@0.05"] == 0.5


def test_the_interval_holds_the_value_and_is_that_of_the_bootstrap():
    ranks = np.random.default_rng(3).integers(0, 2, 300).tolist()
    figure = figures(Outcomes.of(outcomes(rank=ranks)))["retrieval"]["hit@1"]
    width = 2 * 1.96 * np.sqrt(figure.value * (1 - figure.value) / 300)

    assert figure.low < figure.value < figure.high
    assert figure.high - figure.low == pytest.approx(width, rel=0.1)


def test_seconds_are_percentiles():
    found = values("seconds", retrieval_seconds=[0.1 * n for n in range(1, 21)])

    assert found == {"retrieval_p50": 1.0, "retrieval_p95": 1.9}


def reported(asked, name="set", failures=()):
    data = DataSet(name, [], [], frozenset())
    return report(data, Selection(limit=9), AssistantSettings(), Asking(asked, failures, Indexing(3, 7, 3.5)))


ASKED = [
    Outcome(
        "a", "fr→fr", {"answerable": 1, "rank": 1, "answered": 1, "confidence": 0.9, "cited_recall": 1, "f1": 1 / 3}
    ),
    Outcome("b", "fr→en", {"answerable": 1, "rank": 0, "answered": 1, "confidence": 0.6, "cited_recall": 0}),
    Outcome("c", "fr→en", {"answerable": 0, "answered": 0, "confidence": 0.3}),
    Outcome("d", "fr→en", {"answerable": 1, "rank": 3}),
]


def test_a_report_is_read_again_as_it_was_written(tmp_path):
    made = reported(ASKED, failures=[Failure("x", "broke off")])
    tmp_path.joinpath("a.json").write_text(as_json(made), "utf-8")

    read = read_report(tmp_path / "a.json")

    assert read == made
    assert read.failures == {"x": "broke off"}
    assert (read.documents, read.chunks, read.chunks_per_second) == (3, 7, 2.0)
    assert read.questions["all"] == {"searched": 4, "with_answer": 2, "without_answer": 1}
    assert list(read.figures) == ["all", "fr→en", "fr→fr"]


def test_figures_are_worked_out_again_from_the_rows(tmp_path):
    made = reported(ASKED)

    for pair, part in made.outcomes.parts().items():
        assert figures(part) == made.figures[pair]


def test_each_question_is_one_short_line_of_the_json():
    lines = as_json(reported(ASKED)).splitlines()

    assert sum(line.strip().startswith('["') and len(line) < 160 for line in lines) == len(ASKED)
    assert json.loads("".join(lines))["data"] == "set"


def test_one_pair_of_languages_is_not_reported_twice():
    assert list(reported(ASKED[1:]).figures) == ["all"]


def test_kinds_of_questions_are_reported_apart_behind_the_languages():
    asked = [
        Outcome("a", "fr→fr", {"rank": 1}, "title"),
        Outcome("b", "fr→en", {"rank": 0}, "paraphrase"),
        Outcome("c", "fr→en", {"rank": 2}),
    ]

    made = reported(asked)

    assert list(made.figures) == ["all", "fr→en", "fr→fr", "paraphrase", "title"]
    assert made.questions["fr→en"]["searched"] == 2
    assert made.questions["paraphrase"]["searched"] == 1
    assert made.figures["title"]["retrieval"]["hit@1"].value == 1
    assert made.outcomes.kinds == ("title", "paraphrase", "")


def test_a_result_from_before_kinds_were_told_apart_is_read(tmp_path):
    path = saved(tmp_path, "old.json", ASKED)
    told = json.loads(path.read_text("utf-8"))
    rows = [[id, pair, *values] for id, pair, _, *values in told["rows"]]
    path.write_text(json.dumps(told | {"columns": ["id", "pair", *told["columns"][3:]], "rows": rows}))

    assert list(read_report(path).outcomes.parts()) == ["all", "fr→en", "fr→fr"]


def test_a_report_for_people_shows_figures_intervals_and_languages():
    lines = "\n".join(report_lines(reported(ASKED)))

    assert "set: 3 documents, 7 chunks, indexed at 2 a second" in lines
    assert "4 questions searched; 2 with an answer and 1 without put to extractive, from 8 passages" in lines
    assert "  hit@1                     0.333    0.000 to" in lines
    assert "fr→en" in lines


def saved(tmp_path, name, asked):
    path = tmp_path / name
    path.write_text(as_json(reported(asked)), "utf-8")
    return path


def ranks(values):
    return outcomes(rank=values, answerable=[1] * len(values))


def test_a_change_for_the_better_in_many_questions_is_more_than_chance(tmp_path):
    before = saved(tmp_path, "before.json", ranks([1, 0] * 100))
    after = saved(tmp_path, "after.json", ranks([1, 0] * 80 + [1, 1] * 20))

    change = compare(before, after).differences["all"]["retrieval"]["hit@1"]

    assert (change.before, change.after) == (0.5, 0.6)
    assert 0 < change.low < 0.1 < change.high < 0.2
    assert change.p < 0.01


def test_the_same_run_twice_differs_in_nothing(tmp_path):
    path = saved(tmp_path, "a.json", ranks([1, 0] * 20))

    for section in compare(path, path).differences["all"].values():
        for change in section.values():
            assert change.before == change.after
            assert change.p == 1


def test_as_much_won_as_lost_is_chance(tmp_path):
    before = saved(tmp_path, "before.json", ranks([1, 0] * 50))
    after = saved(tmp_path, "after.json", ranks([0, 1] * 50))

    assert compare(before, after).differences["all"]["retrieval"]["hit@1"].p > 0.9


def test_only_questions_of_both_runs_are_compared_whatever_their_order(tmp_path):
    before = saved(tmp_path, "before.json", ranks([1, 0, 0, 1]))
    after = saved(tmp_path, "after.json", ranks([1, 0, 0])[::-1])

    comparison = compare(before, after)

    assert comparison.questions == 3
    assert comparison.differences["all"]["retrieval"]["hit@1"].before == 0.3333
    assert comparison.differences["all"]["retrieval"]["hit@1"].p == 1


def test_a_comparison_for_people_says_what_is_more_than_chance(tmp_path):
    before = saved(tmp_path, "before.json", ranks([1, 2] * 100))
    after = saved(tmp_path, "after.json", ranks([1] * 200))

    lines = list(comparison_lines(compare(before, after)))

    assert any("hit@1" in line and "+0.500" in line and line.endswith("more than chance") for line in lines)
    assert any("hit@3" in line and "+0.000" in line and not line.endswith("more than chance") for line in lines)


def test_runs_over_different_questions_are_not_compared(tmp_path):
    one, other = saved(tmp_path, "a.json", ASKED), saved(tmp_path, "b.json", ranks([1]))

    with pytest.raises(InvalidData, match="no question in common"):
        compare(one, other)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"data": 3}', b"\xff"])
def test_a_file_that_is_no_result_is_named(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_bytes(content)

    with pytest.raises(InvalidData, match=r"other\.json is no result"):
        read_report(path)


@pytest.mark.parametrize("columns", [["pair", "id", "rank"], ["id", "pair"]])
def test_a_result_whose_rows_do_not_fit_is_named(tmp_path, columns):
    path = saved(tmp_path, "torn.json", ASKED)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"columns": columns}))

    with pytest.raises(InvalidData, match="its rows do not fit its columns"):
        read_report(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidData, match=r"none\.json cannot be read"):
        read_report(tmp_path / "none.json")


def test_the_curve_ends_where_the_assistant_stands():
    drawn = ElementTree.fromstring(risk_coverage_svg(reported(ASKED)))
    space = "{http://www.w3.org/2000/svg}"

    # Two of three were answered, the more confident one rightly: coverage 1/3, risk 0; 2/3, risk 1/2.
    points = [tuple(map(float, point.split(","))) for point in drawn.find(f"{space}polyline").get("points").split()]
    end = drawn.find(f"{space}circle")
    assert points == [(216.7, 340.0), (373.3, 60.0)]
    assert (float(end.get("cx")), float(end.get("cy"))) == points[-1]


def test_the_reliability_of_a_language_is_a_point_for_each_bin():
    drawn = ElementTree.fromstring(
        reliability_svg({"<French>": (np.array([0.1, 0.5, 0.5]), np.array([False, True, False]))})
    )

    # On the grey line that ends it: 0.1, of which none has an answer; 0.5, of which half has one.
    points = drawn.findall("{http://www.w3.org/2000/svg}polyline")[1].get("points")
    assert points == "107.0,340.0 295.0,200.0"
    assert "<French>, 3 questions" in "".join(drawn.itertext())


def test_a_name_of_a_folder_cannot_break_the_picture():
    assert ElementTree.fromstring(risk_coverage_svg(reported(ASKED, "<script>&"))) is not None


def test_without_an_answer_there_is_no_curve():
    with pytest.raises(InvalidData, match="nothing was answered"):
        risk_coverage_svg(reported(ASKED[2:]))
