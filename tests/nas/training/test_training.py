import math

import numpy as np
import pytest
import torch

from nas.data.load import load_data
from nas.errors import TrialFailedError
from nas.network import resolve_spec
from nas.network.builder import build
from nas.search.train_evaluator import TrainEvaluator
from nas.training.batches import Batches
from nas.training.checkpoint import load_checkpoint, save_checkpoint
from nas.training.presets import PRESETS, SOURCES, make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from nas.training.rmsprop import RMSpropTF
from nas.training.trainer import Trainer, lr_factor, make_optimizer
from search_spaces import InputError, NetworkSpec, StageSpec, StemSpec, reference

CPU = torch.device("cpu")
SMALL = NetworkSpec(
    "small",
    (StageSpec("mbconv", 16, stride=2, expansion=3, se_ratio=0.25), StageSpec("ds", 24, stride=2)),
    stem=StemSpec(8, stride=1),
    head_channels=48,
    resolution=8,
    in_channels=1,
    num_classes=10,
    bn_momentum=0.1,
)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def trainer(data, seed=0, model_seed=0, **changes):
    recipe = make_recipe("adamw", {"epochs": 3, **changes})
    return Trainer(build(SMALL, model_seed), Batches(data, recipe, CPU), recipe, seed)


def test_training_learns_real_digits(digits):
    t = trainer(digits, epochs=8)
    rows = [t.run_epoch() for _ in range(8)]
    assert rows[-1]["accuracy"] > 0.9
    assert rows[-1]["loss"] < rows[0]["loss"] / 3
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert t.evaluate("test")["accuracy"] > 0.9


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.9},
        {"optimizer": "rmsprop", "lr": 0.001},
        {"optimizer": "sgd", "lr": 0.05},
        {"augment": "randaugment", "mixup": 0.2, "cutmix": 1.0, "erase": 0.2, "ema": 0.9},
    ],
)
def test_continued_training_equals_uninterrupted(digits, changes, tmp_path):
    whole = trainer(digits, **changes)
    rows = [whole.run_epoch() for _ in range(3)]

    first = trainer(digits, **changes)
    first.run_epoch()
    path = tmp_path / "c.pt"
    save_checkpoint(path, SMALL, first.state_dict(), {})
    spec, state, _ = load_checkpoint(path)
    assert spec == SMALL
    torch.manual_seed(12345)  # whatever happened in between
    second = trainer(digits, model_seed=99, **changes)
    second.load_state_dict(state)
    again = [second.run_epoch() for _ in range(2)]
    for a, b in zip(rows[1:], again, strict=True):
        assert {k: v for k, v in a.items() if "second" not in k} == {
            k: v for k, v in b.items() if "second" not in k
        }
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_same_seed_same_training(digits):
    runs = [trainer(digits, seed=s).run_epoch()["loss"] for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_diverged_training_is_a_failed_trial(digits):
    t = trainer(digits)
    t.run_epoch()
    with torch.no_grad():  # whether a huge learning rate gets here depends on the processor
        next(t.model.parameters()).fill_(torch.inf)
    with pytest.raises(TrialFailedError, match=r"diverged: .*epoch 2"):
        t.run_epoch()


def test_ema_is_what_is_evaluated(digits):
    t = trainer(digits, ema=0.5)
    t.run_epoch()
    assert any(
        not torch.equal(a, b) for a, b in zip(t.model.parameters(), t.ema.module.parameters(), strict=True)
    )
    averaged = t.evaluate("held_out")
    t.ema = None
    assert t.evaluate("held_out") != averaged


def test_schedules():
    cosine = Recipe(epochs=11, warmup=1, schedule="cosine")
    assert lr_factor(cosine, 0.5) == 0.5
    assert lr_factor(cosine, 1) == 1
    assert lr_factor(cosine, 6) == pytest.approx(0.5)
    assert lr_factor(cosine, 11) == pytest.approx(0)
    # EfficientNet: after 5 epochs of warm-up, decayed by .97 every 2.4 epochs, in steps
    paper = PRESETS["efficientnet"]
    assert lr_factor(paper, 2.5) == 0.5
    assert lr_factor(paper, 7.3) == 1
    assert lr_factor(paper, 7.5) == 0.97
    assert lr_factor(paper, 5 + 24.1) == pytest.approx(0.97**10)
    assert lr_factor(Recipe(schedule="constant", warmup=0), 3) == 1


def test_weight_decay_is_on_matrices_and_kernels():
    model = build(SMALL, 0)
    rms = make_optimizer(model, PRESETS["efficientnet"])
    assert isinstance(rms, RMSpropTF)
    decayed, others = rms.param_groups
    assert (decayed["alpha"], decayed["momentum"], decayed["eps"]) == (0.9, 0.9, 1e-3)
    assert (decayed["weight_decay"], others["weight_decay"]) == (1e-5, 0)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(list(model.parameters()))


def steps(optimizer, gradients, rate=0.1, **changes):
    """The values of one weight, from 1, after each gradient."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    made = make_optimizer(model, Recipe(optimizer=optimizer, lr=rate, **changes))
    values = []
    for gradient in gradients:
        model.weight.grad = torch.full_like(model.weight, gradient)
        made.step()
        values.append(model.weight.item())
    return values


GRADIENTS = [0.5, -1.0, 2.0, 0.25]


def test_rmsprop_by_hand():
    """Tan & Le 2019: decay .9, momentum .9, weight decay 1e-5; TensorFlow's form, see `RMSpropTF`."""
    weight, square, gathered, expected = 1.0, 1.0, 0.0, []
    for g in GRADIENTS:
        g += 1e-5 * weight
        square = 0.9 * square + 0.1 * g**2
        gathered = 0.9 * gathered + 0.1 * g / math.sqrt(square + 1e-3)
        weight -= gathered
        expected.append(weight)
    assert steps("rmsprop", GRADIENTS, weight_decay=1e-5) == pytest.approx(expected, rel=1e-6)


def test_nesterov_by_hand():
    """Sutskever et al. 2013, in the form with the momentum at the present weights."""
    weight, gathered, expected = 1.0, 0.0, []
    for index, g in enumerate(GRADIENTS):
        g += 5e-4 * weight
        gathered = g if index == 0 else 0.9 * gathered + g
        weight -= 0.1 * (g + 0.9 * gathered)
        expected.append(weight)
    assert steps("sgd", GRADIENTS, weight_decay=5e-4) == pytest.approx(expected, rel=1e-6)


def test_adamw_by_hand():
    """Loshchilov & Hutter 2019, algorithm 2."""
    weight, m, v, expected = 1.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        weight -= 0.1 * 0.01 * weight
        weight -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(weight)
    assert steps("adamw", GRADIENTS, weight_decay=0.01) == pytest.approx(expected, rel=1e-5)


def test_the_rate_of_every_step_of_an_epoch(digits):
    """.256 per 4096 images: 4 images take .00025; the first epoch of five warms up, step by step."""
    recipe = make_recipe("efficientnet", {"batch": 250, "epochs": 20, "ema": 0, "augment": "none"})
    assert recipe.peak_lr == pytest.approx(0.256 * 250 / 4096)
    t = Trainer(build(SMALL, 0), Batches(digits, recipe, CPU), recipe)
    rates = []
    step = t.optimizer.step
    t.optimizer.step = lambda *args: (rates.append(t.optimizer.param_groups[0]["lr"]), step(*args))[1]
    t.run_epoch()
    t.run_epoch()
    expected = [recipe.peak_lr * max(s / 4, 1e-3) / 5 for s in range(8)]
    assert rates == pytest.approx(expected)


def test_ema_is_the_average_it_says(digits):
    """With the warm-up (1 + n) / (10 + n) of TensorFlow's moving average, from the first update's weights."""
    t = trainer(digits, ema=0.3, batch=250)
    weight = next(t.model.parameters())
    expected = None
    step = t.optimizer.step

    def watched(*args):
        nonlocal expected
        step(*args)
        n = t.updates + 1
        decay = min(0.3, (1 + n) / (10 + n))
        value = weight.detach().clone()
        expected = value if expected is None else decay * expected + (1 - decay) * value

    t.optimizer.step = watched
    t.run_epoch()
    assert torch.allclose(next(t.ema.module.parameters()), expected, atol=1e-6)


def test_label_smoothing_by_expectation(digits):
    """Szegedy et al. 2016, section 7: the target is 1 - e on the label and e shared by all classes."""
    t = trainer(digits, label_smoothing=0.1)
    images, labels = next(t.batches.train(0))
    total = torch.zeros(())
    t.model.eval()  # so that the loss below sees the same statistics
    logits = t.model(images.to(memory_format=t.format)).detach()
    t.step(images, labels, 0.0, total)
    target = torch.full((len(labels), 10), 0.01)
    target[torch.arange(len(labels)), labels] += 0.9
    assert total.item() == pytest.approx(-(target * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)


def test_stochastic_depth_by_expectation():
    """Huang et al. 2016: a branch survives with its probability, and is divided by it."""
    spec = SMALL.replace(stages=(StageSpec("ds", 8, repeats=3),), stochastic_depth=0.6)
    block = build(spec, 0).stages[0][2]
    block.layers = torch.nn.Identity()
    block.train()
    torch.manual_seed(0)
    out = block(torch.ones(4000, 8, 1, 1))[:, 0, 0, 0]
    dropped = 0.6 * 2 / 3  # the last of three blocks, linear in the index
    assert sorted(out.unique().tolist()) == pytest.approx([1, 1 + 1 / (1 - dropped)])
    assert (out == 1).float().mean().item() == pytest.approx(dropped, abs=0.03)
    assert out.mean().item() == pytest.approx(2, abs=0.05)


def test_recipes_cite_their_values():
    for name, recipe in PRESETS.items():
        sources = SOURCES[name]
        assert set(sources) <= set(vars(recipe)), name
        # what differs from the plain default has a source
        changed = {key for key, value in vars(recipe).items() if value != vars(Recipe())[key]}
        assert changed <= set(sources), (name, changed - set(sources))


def test_the_recipe_replaces_rates_of_the_network():
    b0 = reference("efficientnet-b0")
    assert PRESETS["mnasnet-proxy"].adapt(b0).stochastic_depth == 0
    b7 = resolve_spec("efficientnet-b7")
    trained = PRESETS["efficientnet"].adapt(b7)
    assert (trained.dropout, trained.stochastic_depth, trained.bn_momentum) == (0.5, 0.2, 0.01)
    assert make_recipe("adamw", {"dropout": 0.3}).adapt(b0).dropout == 0.3


def test_layers_further_from_the_head_learn_slower():
    model = build(SMALL, 0)
    groups = make_optimizer(model, make_recipe("adamw", {"layer_decay": 0.5})).param_groups
    assert sorted({group["share"] for group in groups}) == [0.125, 0.25, 0.5, 1]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("adam", {}, "did you mean 'adamw'"),
        ("adamw", {"optimiser": "sgd"}, "did you mean 'optimizer'"),
        ("adamw", {"optimizer": "sgdd"}, "did you mean 'sgd'"),
        ("adamw", {"lr": "fast"}, "expected a value of type float"),
        ("adamw", {"lr": "-1"}, "lr -1"),
        ("adamw", {"epochs": "0"}, "epochs 0"),
        ("adamw", {"ema": "nan"}, "ema nan"),
        ("adamw", {"flip": "perhaps"}, "true or false"),
    ],
)
def test_bad_recipes(preset, changes, message):
    with pytest.raises(InputError, match=message):
        make_recipe(preset, changes)


def test_held_out_comes_from_train_and_test_is_apart(digits):
    parts = [digits.train, digits.held_out, digits.test]
    assert [len(p) for p in parts] == [1000, 437, 360]
    for part in parts:
        assert np.bincount(part.labels).min() > 0.08 * len(part)
    assert digits.train.images.dtype == np.uint8
    again = load_data("digits")
    assert again.digest == digits.digest
    assert np.array_equal(again.held_out.images, digits.held_out.images)


def test_a_search_never_reads_the_test_split(digits):
    from dataclasses import replace

    no_test = replace(digits, test=None)  # touching it would raise
    recipe = make_recipe("adamw", {"epochs": 1})
    evaluator = TrainEvaluator(no_test, recipe, ProxyTask(digits.resolution, 0.25, 1))
    rows = list(evaluator.start(reference("mobilenet-v2"), 0))
    assert len(rows) == 1


def test_subsets_keep_the_classes(digits):
    half = digits.subset(0.5)
    assert len(half.train) == 500
    assert len(half.test) == 360
    counts = np.bincount(half.train.labels)
    assert counts.min() >= 45
    with pytest.raises(InputError, match="subset 0.01"):
        digits.subset(0.01)


def test_proxy_keeps_choices_apart():
    b0 = reference("efficientnet-b0")
    small = ProxyTask(16, 0.25, 1).apply(b0, 10, 1)
    assert (small.resolution, small.num_classes, small.in_channels, small.stem.stride) == (16, 10, 1, 1)
    assert [s.channels for s in small.stages] == [4, 6, 10, 20, 28, 48, 80]
    for bad in ({"resolution": 2}, {"width": 0}, {"stem_stride": 3}, {"width": float("nan")}):
        with pytest.raises(InputError):
            ProxyTask(**{"resolution": 16, **bad})


@pytest.mark.slow
def test_evaluations_continue_in_another_process(digits):
    evaluator = TrainEvaluator(digits, make_recipe("adamw", {"epochs": 2}), ProxyTask(16, 0.25, 1))
    spec = reference("mobilenet-v2")
    whole = [row["accuracy"] for row in evaluator.start(spec, 5)]
    first = evaluator.start(spec, 5)
    next(first)
    second = evaluator.start(spec, 5)
    second.load_state_dict(first.state_dict())
    assert [row["accuracy"] for row in second] == whole[1:]
    assert second.finished
    assert math.isfinite(whole[0])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04."])
def test_what_is_no_checkpoint(content, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(path)
    with pytest.raises(InputError, match="No such file"):
        load_checkpoint(tmp_path / "none.pt")
