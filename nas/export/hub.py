"""A trained network as a folder for a model hub, in the layout that timm reads (`local-dir:`, `hf-hub:`).

timm finds a network by its name among those that it knows. One of its own networks goes by that name; any
other comes with a module beside it, `modeling.py`, that makes the name known when it is imported.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.data.preparation import Preparation
from nas.export.exact import NotExpressibleError, border, check_exact
from nas.export.probe import images
from nas.export.timm import build_timm, timm_module
from nas.network.resolve import known_networks, resolve_spec
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

_REGISTRATION = '''

def {name}(pretrained=False, **changes):
    """For `timm.create_model`, which says where the weights are and how many classes are wanted."""
    from timm.models._builder import build_model_with_cfg

    return build_model_with_cfg(lambda **given: build(**given), "{name}", pretrained, **changes)


def _register():
    from timm.models import is_model, register_model

    if not is_model("{name}"):
        register_model({name})


_register()
'''


def hub_files(spec: NetworkSpec, model: nn.Module, preparation: Preparation) -> dict[str, bytes]:
    """What timm needs: `config.json`, `model.safetensors` and, of a network that isn't timm's, `modeling.py`.

    They are loaded by timm from a folder and give the outputs of `model`, or it raises.

    Args:
        spec: the network.
        model: its module, trained.
        preparation: of its images.

    Returns:
        Content by the file's name.

    Raises:
        InputError: timm or safetensors isn't installed, or timm reads something else from the files.
        NotExpressibleError: timm has no such network.
    """
    made = build_timm(spec, model)
    try:
        from safetensors.torch import save
    except ImportError:
        raise InputError("push: safetensors is not installed; pip install 'baseline-nas[timm]'") from None
    known = timm_name(spec, model)
    name = known or f"baseline_nas_{spec.digest}"
    weights = {key: tensor.contiguous() for key, tensor in made.state_dict().items()}
    about = {"format": "pt", "input": json.dumps(preparation.to_document(), ensure_ascii=False)}
    config = hub_config(spec, name, preparation, made, settings=known is not None)
    files = {
        "config.json": f"{json.dumps(config, indent=2)}\n".encode(),
        "model.safetensors": save(weights, about),
    }
    if known is None:
        files["modeling.py"] = (timm_module(spec) + _REGISTRATION.format(name=name)).encode()
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            write_atomically(Path(folder, file), content)
        sample = images(spec.in_channels, (preparation.resolution, preparation.resolution))
        with torch.no_grad():
            expected = made.eval()(sample)
            _check_loaded(spec, Path(folder), sample, expected)
    return files


def hub_config(
    spec: NetworkSpec, name: str, preparation: Preparation, made: nn.Module, settings: bool = False
) -> dict[str, Any]:
    """timm's `config.json`: the network's name, its classes, and how images become inputs.

    Args:
        spec: the network.
        name: that timm knows it by.
        preparation: its `crop` is timm's `crop_pct`; where images were resized whole, they are squashed.
        made: timm's module of it, for what its first and last layers are called.
        settings: whether what a name leaves open (batch norm, dropout) is given as arguments.
    """
    side, whole = preparation.resolution, preparation.crop == 1
    return {
        "architecture": name,
        **({"model_args": _settings(spec)} if settings else {}),
        "num_classes": spec.num_classes,
        "label_names": list(preparation.classes),
        "pretrained_cfg": {
            "input_size": [spec.in_channels, side, side],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": preparation.crop,
            "crop_mode": "squash" if whole else "center",
            "mean": list(preparation.mean),
            "std": list(preparation.std),
            "num_classes": spec.num_classes,
            "first_conv": next(name for name, m in made.named_modules() if isinstance(m, nn.Conv2d)),
            "classifier": [name for name, m in made.named_modules() if isinstance(m, nn.Linear)][-1],
        },
    }


def _settings(spec: NetworkSpec) -> dict[str, float]:
    return {
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "drop_rate": spec.dropout,
        "drop_path_rate": spec.stochastic_depth,
    }


def timm_name(spec: NetworkSpec, model: nn.Module) -> str | None:
    """timm's name of this very network, if it has one; `model` is left in evaluation mode."""
    import timm

    for name in known_networks():
        same = resolve_spec(name).replace(
            name=spec.name,
            num_classes=spec.num_classes,
            in_channels=spec.in_channels,
            resolution=spec.resolution,
            bn_eps=spec.bn_eps,
            bn_momentum=spec.bn_momentum,
            dropout=spec.dropout,
            stochastic_depth=spec.stochastic_depth,
        )
        theirs = name.replace("-", "_")
        if same.digest != spec.digest or not timm.is_model(theirs):
            continue
        classes = {"num_classes": spec.num_classes, "in_chans": spec.in_channels}
        try:
            check_exact(spec, timm.create_model(theirs, **classes, **_settings(spec)), "timm", model)
        except NotExpressibleError:  # of that name timm has another one
            continue
        return theirs
    return None


def _check_loaded(spec: NetworkSpec, folder: Path, sample: Tensor, expected: Tensor) -> None:
    import timm

    with border(f"{spec.name}: timm, from the written folder"):
        if (folder / "modeling.py").is_file():
            _import_file(folder / "modeling.py", f"_modeling_{spec.digest}")
        loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        found = loaded(sample)
    if not torch.equal(found, expected):
        raise InputError(f"{spec.name}: timm reads another network from the folder; nothing was written")


def _import_file(path: Path, name: str) -> None:
    made = importlib.util.spec_from_file_location(name, path)
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    sys.modules[name] = module  # timm notes in whose module a network is
    made.loader.exec_module(module)
