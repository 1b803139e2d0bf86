"""How weights begin: near guessing whatever the number of classes, and nothing begins dead."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.cli import cli
from nas.network.blocks import Block
from nas.network.builder import build
from nas.runs.flat import make_settings
from nas.runs.settings import SearchSettings
from nas.runs.train_settings import TrainSettings
from nas.studies.proxy_design import read_proxy
from nas.supernet.network import Supernet
from nas.training.presets import PRESETS, make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import INITS, Recipe
from search_spaces import SPACES, StagedSpace, get_space, reference
from search_spaces.block import OPS
from search_spaces.document import write_document
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec, StageSpec

PIXELS = 32


def first_loss(module, classes, *more):
    torch.manual_seed(0)
    images, labels = torch.randn(16, 3, PIXELS, PIXELS), torch.arange(16) % classes
    return F.cross_entropy(module.train()(images, *more), labels)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenetv3-small", "mobilenetv4-conv-s", "resnet50"])
def test_a_network_begins_near_guessing_whatever_its_classes(name, classes):
    spec = ProxyTask(PIXELS, 0.25).apply(reference(name), classes, 3).replace(dropout=0.0)
    loss = first_loss(build(spec, 0, identity=True), classes)
    assert loss.item() < math.log(classes) + 0.3


def test_the_published_weights_begin_far_from_it_with_few_classes():
    spec = ProxyTask(PIXELS, 1.0).apply(reference("efficientnet-b0"), 10, 3)
    assert first_loss(build(spec, 0), 10).item() > math.log(10) + 0.5


def idle_after_a_step(module, classes, *more):
    """Parameters without a gradient in the second step."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        first_loss(module, classes, *more).backward()
        found = [name for name, p in module.named_parameters() if p.grad is not None and not p.grad.any()]
        optimizer.step()
    return found


@pytest.mark.parametrize("skip", ["identity", "projection", "pooling", "none"])
@pytest.mark.parametrize("op", OPS.loaded())
def test_every_residual_block_begins_as_its_shortcut_and_learns(op, skip):
    stages = (StageSpec(op, 24, repeats=1), StageSpec(op, 24, repeats=2, skip=skip))
    # a ReLU's gradient at zero is zero: behind a scale of zero nothing would ever learn
    spec = NetworkSpec("one", stages, resolution=PIXELS, num_classes=5, dropout=0.0, activation="relu")
    model = build(spec, 0, identity=True)
    images = torch.rand(2, 24, 8, 8)  # what a final activation leaves as it is
    for block in (each for each in model.stages.modules() if isinstance(each, Block)):
        last = block.layers[-1]
        if block.shortcut is None or len(last) > 2:
            continue  # an activation ends its branch
        assert not last[1].weight.any()
        if isinstance(block.shortcut, torch.nn.Identity) and block.final is None:
            assert torch.equal(block(images), images)
    assert not idle_after_a_step(model, 5)


def test_without_a_shortcut_nothing_begins_at_zero():
    stages = tuple(StageSpec("mbconv", 24, 3, stride, 6, 2, 0.25, skip="none") for stride in (2, 1))
    model = build(NetworkSpec("one", stages, resolution=PIXELS), 0, identity=True)
    assert all(p.any() for name, p in model.named_parameters() if "bias" not in name)


def supernet(space, identity=True):
    proxy = ProxyTask(PIXELS, 0.1)
    return Supernet(space, lambda spec: proxy.apply(spec, 5, 3), identity=identity)


OWN = {
    "schema": 1,
    "space": "own",
    "stages": [
        {"op": ["mbconv3", "mbconv6", "fused4"], "channels": [16], "stride": 2, "repeats": [3]},
        {"op": ["mbconv3", "mbconv6"], "channels": [16, 24], "repeats": [2], "skip": ["none", "identity"]},
        {"op": ["dsa", "conv", "basic"], "channels": [24], "repeats": [2]},
    ],
}


@pytest.mark.parametrize("name", [*SPACES, "own"])
def test_every_path_of_a_supernet_begins_near_guessing_and_learns(name):
    space = StagedSpace.from_document(OWN) if name == "own" else get_space(name)
    if not isinstance(space, StagedSpace):
        pytest.skip("no space of stages")
    rng = np.random.default_rng(0)
    for architecture in [space.sample(rng) for _ in range(3 if name == "own" else 1)]:
        net = supernet(space)
        path = net.path(architecture)
        path = replace(path, spec=path.spec.replace(dropout=0.0, stochastic_depth=0.0))
        assert first_loss(net, 5, path).item() < math.log(5) + 0.3
        assert not idle_after_a_step(net, 5, path)


def test_a_supernet_begins_at_zero_only_what_ends_a_branch_in_all_its_blocks():
    net = supernet(StagedSpace.from_document(OWN))
    zero = {name for name, p in net.named_parameters() if "norm.weight" in name and not p.any()}
    further = {f"blocks.slot0_block{at}.{op}" for at in (1, 2) for op in ("mbconv", "fused")}
    assert {name.rpartition(".dense")[0] for name in zero if "slot0" in name} == further
    assert not any("slot1" in name for name in zero)  # some of those blocks have no shortcut
    plain = supernet(StagedSpace.from_document(OWN), identity=False)
    assert all(p.any() for name, p in plain.named_parameters() if "norm.weight" in name)


def test_a_recipe_keeps_it_and_one_from_before_has_the_published_weights():
    assert [Recipe.from_document(Recipe(init=init).to_document()).init for init in INITS] == list(INITS)
    before = Recipe().to_document()
    del before["init"]
    assert Recipe.from_document(before).init == "published"
    assert "init" not in Recipe(init="published").to_document()  # what was kept then, unchanged
    assert {name for name, preset in PRESETS.items() if preset.init == "published"} == {
        "efficientnet",
        "mnasnet-proxy",
    }
    with pytest.raises(InputError, match="init 'zero'"):
        make_recipe("adamw", {"init": "zero"})


def test_a_search_keeps_it_and_one_from_before_goes_on_with_the_published_weights():
    asked = TrainSettings()
    begun = asked.kept("0123456789abcdef")
    assert (asked.make_recipe().init, begun.make_recipe().init, begun.recipe_init) == (*["identity"] * 3,)
    assert begun.kept("0123456789abcdef") == begun
    before = replace(begun, recipe_init=None)
    assert before.make_recipe().init == before.kept("0123456789abcdef").make_recipe().init == "published"
    said = TrainSettings(recipe_changes={"init": "published"}).kept("0123456789abcdef")
    assert said.make_recipe().init == said.recipe_init == "published"


def test_a_proxy_from_before_is_searched_with_as_it_was_judged(tmp_path):
    document = {"schema": 1, "data": "digits", "recipe": "adamw", "recipe_changes": {"epochs": 2}}
    document |= {"resolution": 16, "width": 0.25, "stem_stride": 1, "subset": 1.0}
    write_document(tmp_path / "proxy.yaml", document)
    assert read_proxy(str(tmp_path / "proxy.yaml"))["recipe_changes"] == {"epochs": 2, "init": "published"}


def test_photographs_of_a_run_from_before_keep_their_proxy_task():
    asked = TrainSettings("imagefolder:photos")
    begun = replace(asked.kept("0123456789abcdef"), folds=1, held_out=2000)
    then = replace(begun, recipe_init=None)
    first = replace(then, folds=None, held_out=None)
    found = [(each.make_proxy().resolution, each.make_proxy().width) for each in (asked, begun, then, first)]
    assert found == [(48, 0.5), (48, 0.5), (48, 0.25), (128, 1.0)]
    assert replace(then, width=0.3).make_proxy().width == 0.3


def test_another_recipe_than_the_files_brings_its_own_first_weights(tmp_path, monkeypatch):
    class Taken(Exception):  # noqa: N818
        pass

    def take(settings, *more):
        raise Taken(settings.training.make_recipe().init)

    monkeypatch.setattr("nas.commands.search.start_search", take)
    begun = make_settings(data="digits").training.kept("0123456789abcdef")
    found = []
    for init in ("identity", None):  # kept now, and by an earlier version
        kept = replace(SearchSettings(), evaluator=replace(begun, recipe_init=init))
        write_document(tmp_path / "search.yaml", kept.to_document())
        for recipe in ([], ["--recipe", "efficientnet"], ["--recipe", "sgd"]):
            words = ["search", "--config", str(tmp_path / "search.yaml"), *recipe]
            with pytest.raises(Taken) as taken:
                cli.main([*words, "--out", str(tmp_path / "x")], standalone_mode=False)
            found.append(str(taken.value))
    assert found == ["identity", "published", "identity", *["published"] * 3]
