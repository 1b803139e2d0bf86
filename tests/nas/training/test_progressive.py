"""Progressive learning: images and regularisation grow, evaluations don't shrink, a resumed training is equal."""

import pytest
import torch
from torch import nn

from nas.data.load import load_data
from nas.network.builder import build
from nas.training.batches import Batches
from nas.training.checkpoint import load_checkpoint
from nas.training.full import FullTraining
from nas.training.presets import make_recipe
from nas.training.progressive import stage_of
from nas.training.trainer import Trainer
from search_spaces import InputError
from tests.nas.training.test_full import same, trained
from tests.nas.training.test_training import SMALL

GROWING = {"stages": 3, "epochs": 3, "dropout": 0.3, "erase": 0.6, "start_size": 0.5, "start_strength": 0.5}


def test_stages_by_hand():
    recipe = make_recipe("modern", {"epochs": 8, "stages": 4, "start_size": 0.4, "start_strength": 0.25})
    found = [stage_of(recipe, epoch, 300) for epoch in range(8)]
    assert [stage.resolution for stage in found] == [120, 120, 180, 180, 240, 240, 300, 300]
    assert [stage.strength for stage in found] == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1]
    first, last = found[0].recipe, found[-1].recipe
    assert (first.mixup, first.cutmix, first.erase, first.magnitude) == (0.05, 0.25, 0.025, 2.25)
    assert last == recipe
    plain = make_recipe("modern")
    assert stage_of(plain, 0, 300).resolution == 300
    assert stage_of(plain, 0, 300).recipe == plain


def test_what_a_training_sees():
    data = load_data("digits").subset(0.3)
    recipe = make_recipe("adamw", {"batch": 50, **GROWING})
    batches = Batches(data, recipe, torch.device("cpu"))
    trainer = Trainer(build(recipe.adapt(SMALL), 0), batches, recipe)
    sizes, rates, erased = {True: [], False: []}, [], []

    def look(module, inputs):
        sizes[module.training].append(inputs[0].shape[-1])
        if module.training:
            rates.append(next(m.p for m in trainer.model.modules() if isinstance(m, nn.Dropout)))
            erased.append(batches.stage.recipe.erase)

    trainer.model.stem.register_forward_pre_hook(look)
    side = data.resolution
    for epoch, strength in enumerate((0.5, 0.75, 1)):
        for seen in (*sizes.values(), rates, erased):
            seen.clear()
        row = trainer.run_epoch()
        assert set(sizes[True]) == {round(side * strength)} == {row["resolution"]}, epoch
        assert set(sizes[False]) == {side}
        assert rates == pytest.approx([0.3 * strength] * len(rates))
        assert erased == pytest.approx([0.6 * strength] * len(erased))


def test_resumed_it_ends_equal(tmp_path):
    trained(tmp_path / "whole.pt", recipe=GROWING)
    trained(tmp_path / "parts.pt", stop_after=2, recipe=GROWING)
    resumed = FullTraining.resume(tmp_path / "parts.pt")
    resumed.run()
    whole, parts = (load_checkpoint(tmp_path / name) for name in ("whole.pt", "parts.pt"))
    assert same(whole[1], parts[1])
    assert [row["resolution"] for row in resumed.rows] == [4, 6, 8]
    with pytest.raises(InputError, match="stages of .* laid out over 3 epochs"):
        FullTraining.resume(tmp_path / "parts.pt", epochs=6)


def test_what_earlier_runs_kept_is_equal_to_it():
    assert not {"stages", "magnitude", "start_size"} & set(make_recipe("adamw").to_document())
    assert make_recipe("adamw", {"stages": 2}).to_document()["stages"] == 2


def test_refused():
    with pytest.raises(InputError, match="stages 7"):
        make_recipe("adamw", {"stages": 7})
    with pytest.raises(InputError, match="start_size"):
        make_recipe("adamw", {"start_size": 2})
