"""What a run says of rankings: shorter trainings, and the search before a stage two."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from nas.search.trial import make_record
from nas.studies.run_ranking import judge_run
from nas.studies.stage_two import STAGE_TWO
from search_spaces import get_space
from search_spaces.listed import ListedSpace

SPACE = get_space("mnasnet")


def record(trial, architecture, digest, curve, **more):
    rows = [{"epoch": epoch, "accuracy": value} for epoch, value in enumerate(curve, start=1)]
    return make_record(
        trial=trial, state="finished", architecture=architecture, choices={}, digest=digest, seed=0,
        reward=curve[-1], accuracy=curve[-1], macs=1.0, costs={"macs": 1.0}, measurements=rows, **more,
    )  # fmt: skip


def searched(count, epochs=6):
    """Trainings whose order after half of the epochs is the last one's, and after a third its reverse."""
    rng, records = np.random.default_rng(0), []
    for trial in range(count):
        architecture = SPACE.sample(rng)
        last = float(rng.uniform(0.3, 0.9))
        curve = [0.1, 1 - last, last - 0.1, 0.2, 0.2, last][-epochs:]
        records.append(record(trial, architecture, SPACE.decode(architecture).digest, curve))
    return records


def run(space=SPACE):
    folder = Path("of-an-earlier-version")  # which kept nothing of what accuracies can tell
    return SimpleNamespace(folder=folder, space=space, spec=lambda record: space.decode(record.architecture))


def test_a_search_is_judged_as_if_its_trainings_were_shorter():
    records = searched(20)
    sheet = judge_run(run(), [*records, replace(records[0], trial=99)])
    assert sheet.count == 20  # an equal network is one network
    assert [row.name for row in sheet.rows][:2] == ["epoch 2 of 6", "epoch 3 of 6"]
    assert [round(row.all.tau, 6) for row in sheet.rows[:2]] == [-1, 1]
    assert sheet.below == ["epoch 2 of 6"]
    assert sheet.truth == "the accuracy after epoch 6"


def test_where_there_is_no_ranking_there_is_no_sheet():
    assert judge_run(run(), searched(20, epochs=1)) is None
    assert judge_run(run(), searched(7)) is None
    assert judge_run(run(), []) is None
    assert judge_run(run(), [*searched(9), *searched(9, epochs=4)]) is not None  # the same networks
    other = replace(searched(10, epochs=4)[-1], digest="another")
    assert judge_run(run(), [*searched(9), other]) is None  # of trainings of another length


def test_stage_two_judges_the_search_before_it():
    rng = np.random.default_rng(1)
    networks = {f"trial {i}": SPACE.decode(SPACE.sample(rng)) for i in range(6)}
    about = {label: {"trial": i, "reward": 0.5, "accuracy": 0.1 * i} for i, label in enumerate(networks)}
    space = ListedSpace(STAGE_TWO, networks, about)
    records = [
        replace(record(i, space.encode(spec), spec.digest, [0.9 - 0.1 * i]), choices={"network": label})
        for i, (label, spec) in enumerate(networks.items())
    ]
    sheet = judge_run(run(space), records)
    assert sheet.row("the search's accuracy").all.tau == -1
    assert sheet.below == ["the search's accuracy"]
    assert judge_run(run(space), records[:2]) is None
    other = ListedSpace("something-else", networks, about)
    assert judge_run(run(other), records) is None
