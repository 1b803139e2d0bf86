"""What is said of a search that ended far from its target, and of a reward above 1."""

from types import SimpleNamespace

import pytest

from nas.report.aim import aim_remarks
from nas.runs.measured import MeasuredExponent
from nas.runs.settings import SearchSettings
from nas.search.results import Results
from nas.search.trial import make_record
from search_spaces.architecture import Architecture


def scored(trial, macs, accuracy, reward):
    costs = {"macs": macs, "params": 5e6}
    return make_record(
        **{"trial": trial, "state": "finished", "architecture": Architecture([0]), "choices": {}},
        **{"digest": str(trial), "seed": 0, "reward": reward(accuracy, costs), "accuracy": accuracy},
        **{"macs": macs, "costs": costs},
    )


def said(folder, points, form="soft", exponent=None, target=400e6):
    settings = SearchSettings().reward.__class__(form, {"macs": target}, exponent)
    reward = settings.make()
    records = [scored(n, macs, accuracy, reward) for n, (macs, accuracy) in enumerate(points)]
    results = Results(records, reward)
    run = SimpleNamespace(folder=folder, settings=SimpleNamespace(reward=settings))
    return aim_remarks(run, results, results.best)


EASY = [(75e6, 0.95), (150e6, 0.955), (300e6, 0.96), (600e6, 0.962)]
"""Where more cost brings half a percent."""


def test_a_winner_near_its_target_is_no_remark(tmp_path):
    assert said(tmp_path, [(400e6 / 1.4, 0.9), (350e6, 0.9)]) == []
    assert said(tmp_path, [(590e6, 0.9)]) == []


def test_where_cost_brings_less_than_w_assumes(tmp_path):
    far, above = said(tmp_path, EASY)
    assert far == (
        "MACs of the winner: 75M, 0.19 times the target 400M: along the Pareto front a doubling of MACs went "
        "with +0.4% accuracy, w = -0.07 assumes 5.0%; --exponent auto measures it."
    )
    assert above.startswith("A reward above 1 (1.0681) is no accuracy: it is accuracy x (cost / target)^w")


def test_where_cost_brings_more_than_w_assumes(tmp_path):
    (line,) = said(tmp_path, [(200e6, 0.5), (400e6, 0.6), (800e6, 0.7)])
    assert "800M, 2 times the target 400M" in line
    assert "went with +18.3% accuracy, w = -0.07 assumes 5.0%; --exponent auto measures it." in line


def test_a_short_front_gives_no_figure(tmp_path):
    (line,) = said(tmp_path, [(100e6, 0.5)])
    assert line.endswith(
        "w = -0.07 assumes 5.0% accuracy for a doubling of MACs; --exponent auto measures it here."
    )


def test_a_front_that_does_not_explain_it(tmp_path):
    points = [(100e6, 0.80), (210e6, 0.85), (420e6, 0.875), (840e6, 0.87)]
    (line,) = said(tmp_path, points, exponent=-0.05)
    assert line.endswith("which doesn't explain it: more trials may come closer.")


def test_after_a_measurement_it_is_not_asked_for(tmp_path):
    (tmp_path / "exponent").mkdir()
    numbers = (-0.01, 0.0, -0.1, 0.1, 6, 12, 0)
    MeasuredExponent(*numbers, "a doubling of MACs", "family", 0.1, {}).write(tmp_path)
    (line,) = said(tmp_path, EASY, exponent=-0.01)
    assert "w = -0.01 was measured here" in line
    assert "--exponent auto" not in line


@pytest.mark.parametrize(
    ("form", "points", "word"),
    [
        ("hard", [(100e6, 0.9)], None),  # free, as it was asked for
        ("hard", [(800e6, 0.9)], "accuracy grew in proportion to the cost"),
        ("absolute", [(100e6, 0.9)], "w = -0.07 doesn't hold it there, a larger one (--exponent) does"),
    ],
)
def test_other_forms(tmp_path, form, points, word):
    lines = said(tmp_path, points, form)
    assert (word in lines[0]) if word else (lines == [])
