"""Checkpoints: what is none, what doesn't fit, what isn't finite; each one line, wherever it is taken."""

import io
import pickle
import shutil
import zipfile

import pytest
import torch

from nas.data.load import load_data
from nas.network.builder import build
from nas.training.checkpoint import checkpoint_bytes, load_checkpoint, load_model
from search_spaces import InputError
from tests.command import refused
from tests.nas.training.test_training import SMALL, trainer


@pytest.fixture(scope="module")
def state():
    t = trainer(load_data("digits"), ema=0.9)
    t.run_epoch()
    return t.state_dict()


def changed(state, path, value):
    """A copy of the state with another value in a place; a function is applied to what is there."""
    first, *rest = path
    old = state.get(first)
    new = changed(old, rest, value) if rest else value(old) if callable(value) else value
    return {**state, first: new}


def spoilt(tensor):
    tensor = tensor.clone()
    tensor.view(-1)[-1] = torch.nan
    return tensor


def saved(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def archive(names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return stream.getvalue()


KERNEL = "stem.0.0.weight"
ODD = {
    "empty": (lambda state: b"", "the file is empty"),
    "text": (lambda state: b"hello\n", "no file of PyTorch's"),
    "half": (lambda state: checkpoint_bytes(SMALL, state, {})[:9000], "the file ends early"),
    "a byte": (lambda state: flipped(checkpoint_bytes(SMALL, state, {})), "damaged"),
    "state dict": (lambda state: saved(build(SMALL).state_dict()), "a state dict: weights without"),
    "module": (lambda state: saved(build(SMALL)), "Python objects (a whole module, say)"),
    "pickle": (lambda state: pickle.dumps(SMALL), "a pickle of"),
    "tensor": (lambda state: saved(torch.zeros(3)), "it holds a Tensor"),
    "list": (lambda state: saved([1, 2]), "it holds a list"),
    "another's": (lambda state: saved({"epoch": 3, "state_dict": {}}), "it has no spec and no state"),
    "safetensors": (lambda state: b"\x10\0\0\0\0\0\0\0" + b'{"a":{"b":[0]}} ' + b"\0" * 64, "safetensors"),
    "a document": (lambda state: archive(["word/document.xml"]), "an archive of something else"),
    "torchscript": (lambda state: archive(["m/data.pkl", "m/constants.pkl"]), "a TorchScript program"),
    "no model": (lambda state: made({k: v for k, v in state.items() if k != "model"}), "it has no model"),
    "empty model": (lambda state: made(changed(state, ["model"], {})), "it has no model"),
    "state a list": (lambda state: saved({"spec": SMALL.to_document(), "state": [], "about": {}}), "its state is"),
    "no spec": (lambda state: saved({"spec": {"schema": 1}, "state": state, "about": {}}), "is missing"),
    "fewer": (lambda state: made(changed(state, ["model"], lambda m: dict(list(m.items())[1:]))), "is missing"),
    "more": (lambda state: made(changed(state, ["model", "x"], torch.zeros(1))), "'x' is none of its"),
    "shape": (lambda state: made(changed(state, ["model", KERNEL], torch.zeros(8, 1, 5, 5))), "(8, 1, 5, 5)"),
    "integers": (lambda state: made(changed(state, ["model", KERNEL], lambda t: t.long())), "int64"),
    "no tensor": (lambda state: made(changed(state, ["model", KERNEL], 3)), "is no tensor"),
    "other ema": (lambda state: made(changed(state, ["ema", f"module.{KERNEL}"], torch.zeros(2))), "moving average"),
    "NaN": (lambda state: made(changed(state, ["model", KERNEL], spoilt)), f"model.{KERNEL} has 1 of 72 values NaN"),
    "NaN ema": (lambda state: made(changed(state, ["ema", f"module.{KERNEL}"], spoilt)), "ema.module"),
    "NaN momentum": (lambda state: made(moment(state)), "optimizer.state.0.exp_avg has 1"),
    "infinite lr": (lambda state: made(rate(state)), "optimizer.param_groups.0.lr"),
}  # fmt: skip


def made(state):
    return checkpoint_bytes(SMALL, state, {})


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def moment(state):
    return changed(state, ["optimizer", "state", 0, "exp_avg"], spoilt)


def rate(state):
    groups = [{**group, "lr": float("inf")} for group in state["optimizer"]["param_groups"]]
    return changed(state, ["optimizer", "param_groups"], groups)


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_checkpoint_is_one_line(kind, state, tmp_path, recwarn):
    make, words = ODD[kind]
    path = tmp_path / "x.pt"
    path.write_bytes(make(state))
    for load in (load_checkpoint, load_model):
        with pytest.raises(InputError) as caught:
            load(path)
        message = str(caught.value)
        assert message.startswith(str(path))
        assert words in message
        assert "\n" not in message
        assert "weights_only" not in message
        assert len(message) < 400
    assert not recwarn.list


def test_every_command_says_the_same(state, tmp_path, monkeypatch, capsys):
    (tmp_path / "nan.pt").write_bytes(made(changed(state, ["model", KERNEL], spoilt)))
    (tmp_path / "dict.pt").write_bytes(saved(build(SMALL).state_dict()))
    for name, words in {
        "nan.pt": "values NaN or infinite",
        "dict.pt": "weights without",
        "no.pt": "No such",
    }.items():
        for command in (
            ["train", "--resume", name],
            ["train", "--from", name],
            ["export", name, "--to", "json"],
        ):
            refused(command, words, monkeypatch, capsys, tmp_path)


def test_a_folder_stands_for_its_checkpoint(state, tmp_path, monkeypatch):
    whole = tmp_path / "run"
    whole.mkdir()
    with pytest.raises(InputError, match="a folder without last.pt"):
        load_model(whole)
    (whole / "best.pt").write_bytes(made(state))
    with pytest.raises(InputError, match="did you mean .*best.pt"):
        load_model(whole)
    shutil.copy(whole / "best.pt", tmp_path / "run.pt")
    with pytest.raises(InputError, match=r"did you mean .*run\.pt"):
        load_model(whole)
    shutil.copy(whole / "best.pt", whole / "last.pt")
    spec, model, _ = load_model(whole)
    assert spec == SMALL
    for name, value in model.state_dict().items():
        assert torch.equal(value, state["ema"][f"module.{name}"])
