"""A supernet's training: it learns, is the same whenever it is stopped, and its file is checked."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.data.load import load_data
from nas.supernet.calibration import SubnetScorer, calibration_data, recalibrate
from nas.supernet.plan import SupernetPlan, read_supernet
from nas.supernet.training import SupernetTraining
from nas.training.batches import Batches
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from search_spaces import InputError, StagedSpace
from tests.nas.training.test_full import same

SPACE = {
    "schema": 1,
    "space": "small",
    "network": {"stem": {"channels": 8}, "head_channels": 32, "dropout": 0.1},
    "stages": [
        {"op": ["ds", "mbconv2", "mbconv3"], "channels": [8, 12], "kernel": [3, 5], "stride": 2,
         "repeats": [1, 2], "se_ratio": [0, 0.25]},
        {"op": ["conv", "mbconv2"], "channels": [16, 24], "stride": 2},
    ],
}  # fmt: skip
DATA = load_data("digits").subset(0.25)


def plan(epochs=2, **more):
    recipe = make_recipe("adamw", {"epochs": epochs, "batch": 50, **more.pop("recipe", {})})
    space = StagedSpace.from_document(SPACE).to_document()
    about = {"num_classes": 10, "in_channels": 1, "data_digest": DATA.digest}
    return SupernetPlan(space, recipe, ProxyTask(8, 1.0, 1), **about, **more)


def training(path, **more):
    return SupernetTraining(plan(**more), path, DATA.at(8))


def test_a_seed_draws_the_same_weights_in_every_process():
    """And in the same order, which the optimizer's state is in."""
    code = (
        "from tests.nas.supernet.test_training import plan\n"
        "for name, weight in plan().make().named_parameters(): print(name, weight.double().sum().item())"
    )
    own = [f"{name} {weight.double().sum().item()}" for name, weight in plan().make().named_parameters()]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONHASHSEED": "1"},  # of this process it is another one
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == own


def test_weights_in_another_order_are_not_gone_on_with(tmp_path):
    broken = training(tmp_path / "broken.pt", epochs=2)
    broken.save()
    stored = read_supernet(tmp_path / "broken.pt")
    stored.state["weights"] = stored.state["weights"][::-1]
    with pytest.raises(InputError, match="its weights stand in another order"):
        SupernetTraining.resume(stored, tmp_path / "broken.pt", DATA.at(8))
    del stored.state["weights"]
    with pytest.raises(InputError, match="was begun by a version that didn't keep the order of the weights"):
        SupernetTraining.resume(stored, tmp_path / "broken.pt", DATA.at(8))


def test_stopped_and_resumed_it_ends_equal(tmp_path):
    more = {"recipe": {"ema": 0.9, "mixup": 0.2}, "epochs": 3, "transforms": True, "paths": 3}
    whole = training(tmp_path / "whole.pt", **more)
    whole.run()

    def stop(row):
        raise KeyboardInterrupt

    broken = training(tmp_path / "broken.pt", **more)
    with pytest.raises(KeyboardInterrupt):
        broken.run(stop)
    for _ in range(2):  # once more in the middle
        torch.manual_seed(99)  # whatever another process has drawn
        stored = read_supernet(tmp_path / "broken.pt")
        resumed = SupernetTraining.resume(stored, tmp_path / "broken.pt", DATA.at(8))
        try:
            resumed.run(stop if len(resumed.rows) == 1 else lambda row: None)
        except KeyboardInterrupt:
            continue
    ours, theirs = (read_supernet(tmp_path / f"{name}.pt") for name in ("whole", "broken"))
    assert ours.done
    assert same(ours.state, theirs.state)
    names = ("accuracy", "smallest_accuracy", "loss")
    assert [[r[n] for n in names] for r in ours.rows] == [[r[n] for n in names] for r in theirs.rows]
    assert ours.digest == theirs.digest


def test_killed_before_its_first_epoch_it_begins_anew(tmp_path, monkeypatch):
    whole = training(tmp_path / "whole.pt", epochs=1)
    whole.run()
    begun = training(tmp_path / "begun.pt", epochs=1)
    monkeypatch.setattr(type(begun.trainer), "run_epoch", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        begun.run()
    monkeypatch.undo()
    stored = read_supernet(tmp_path / "begun.pt")
    assert not stored.rows
    SupernetTraining.resume(stored, tmp_path / "begun.pt", DATA.at(8)).run()
    assert read_supernet(tmp_path / "begun.pt").digest == read_supernet(tmp_path / "whole.pt").digest


def test_it_learns_in_the_largest_and_in_the_smallest(tmp_path):
    learnt = training(tmp_path / "x.pt", epochs=6, recipe={"lr": 0.01, "batch": 25}, paths=3)
    learnt.run()
    assert learnt.rows[-1]["accuracy"] > 0.4
    assert learnt.rows[-1]["smallest_accuracy"] > 0.25


def test_the_smaller_ones_learn_from_the_largest_alone(tmp_path):
    """With labels that say nothing to them: the same gradient whatever the loss of the labels is."""
    trainer = training(tmp_path / "x.pt").trainer
    images, labels = torch.randn(50, 1, 8, 8), torch.arange(50) % 10
    small = trainer.sampler.smallest
    seen = []
    trainer.sampler.largest = small  # both are the same network, so the target is what it says itself
    for distil in (True, False):
        trainer.distil = distil
        trainer._paths = iter([[small, small]])
        trainer.supernet.train()
        torch.manual_seed(0)
        before = {n: p.detach().clone() for n, p in trainer.supernet.named_parameters()}
        trainer.step(images, labels, 0.0, torch.zeros(()))
        seen.append({n: p.grad.clone() for n, p in trainer.supernet.named_parameters() if p.grad is not None})
        assert all(torch.equal(before[n], p) for n, p in trainer.supernet.named_parameters())
    norms = [sum(float(g.square().sum()) for g in found.values()) for found in seen]
    assert norms[0] < 0.5 * norms[1]  # nothing to learn from oneself, so half of the gradient


def test_what_no_network_of_a_step_uses_is_left_as_it_is(tmp_path):
    trainer = training(tmp_path / "x.pt", recipe={"weight_decay": 0.5}).trainer
    trainer.supernet.train()
    kept = {n: p.detach().clone() for n, p in trainer.supernet.named_parameters()}
    trainer._paths = iter([[trainer.sampler.smallest] * 2])
    trainer.step(torch.randn(50, 1, 8, 8), torch.arange(50) % 10, 0.01, torch.zeros(()))
    changed = {n for n, p in trainer.supernet.named_parameters() if not torch.equal(p, kept[n])}
    assert any("slot0_block0.ds" in name for name in changed)
    assert not [name for name in changed if "slot0_block0.mbconv" in name or "block1" in name]


def test_statistics_are_those_of_the_fixed_images():
    made = plan()
    supernet = made.make()
    sampler = made.make_sampler(supernet)
    model = supernet.cut_out(sampler.largest)
    batches = Batches(calibration_data(DATA.at(8), 100), made.recipe, torch.device("cpu"), 0)
    recalibrate(model, batches, made.recipe)
    images = torch.cat([given for given, _ in batches.evaluation("held_out", 50)])
    assert len(images) == 100
    assert not model.training
    norm = model.stem[0][1]
    through = model.stem[0][0](images)
    torch.testing.assert_close(norm.running_mean, through.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert {layer.momentum for layer in model.modules() if hasattr(layer, "momentum")} == {0.1}
    train = {image.tobytes() for image in DATA.at(8).train.images}
    assert all(image.tobytes() in train for image in calibration_data(DATA.at(8), 100).held_out.images)


def test_a_score_is_the_same_each_time_and_needs_its_own_statistics():
    made = plan()
    supernet = made.make()
    scorer = SubnetScorer(Batches(DATA.at(8), made.recipe, torch.device("cpu"), 0), made.recipe)
    architecture = made.make_sampler(supernet).largest
    first, second = (scorer(supernet.cut_out(architecture)) for _ in range(2))
    assert first == second
    assert set(first) == {"accuracy", "loss", "images", "top5"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"compile": True}, "compile true"),
        ({"layer_decay": 0.5}, "layer_decay 0.5"),
        ({"stages": 2, "epochs": 4}, "stages 2"),
    ],
)
def test_what_a_supernet_cannot_be_trained_with_is_refused(tmp_path, setting, message):
    with pytest.raises(InputError, match=f"recipe: {message}: .* expected"):
        training(tmp_path / "x.pt", recipe=setting)


def spoiled(path, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


SPOILS = {
    "no supernet": lambda c: c.pop("supernet"),
    "its space is a": lambda c: c["supernet"].update(space=3),
    "its recipe is missing": lambda c: c["supernet"].pop("recipe"),
    "schema 9": lambda c: c["supernet"].update(schema=9),
    "rows of epochs": lambda c: c["about"].update(rows=[]),
    "size mismatch|Error": lambda c: c["state"]["model"].update({"classifier.weight": torch.zeros(3, 3)}),
    "NaN": lambda c: c["state"]["model"]["classifier.weight"].fill_(float("nan")),
    "classifier|Missing|Error": lambda c: c["state"]["model"].pop("classifier.weight"),
}


@pytest.mark.parametrize("message", SPOILS)
def test_a_file_that_is_none_is_one_line(tmp_path, message):
    path = tmp_path / "x.pt"
    training(path, epochs=1).run()
    spoiled(path, SPOILS[message])
    with pytest.raises(InputError, match=message) as caught:
        read_supernet(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_data_are_refused(tmp_path):
    training(tmp_path / "x.pt", epochs=1).run()
    stored = read_supernet(tmp_path / "x.pt")
    other = replace(DATA, digest="0" * 16).at(8)
    with pytest.raises(InputError, match="its digest is 0000000000000000, the training was started with"):
        SupernetTraining.resume(stored, tmp_path / "x.pt", other)


def test_a_plan_is_plain_data():
    made = plan(transforms=True, data={"data": "digits"})
    document = json.loads(json.dumps(made.to_document()))
    assert SupernetPlan.from_document(document) == made
