"""A network for timm or torchvision: a module with `build()`, and its weights under that library's names."""

from __future__ import annotations

import importlib
import json
import pprint

from torch import nn

from nas.export.formats import Wanted, Written
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec


def write_library(spec: NetworkSpec, model: nn.Module | None, wanted: Wanted) -> Written:
    """The source of the module (or its arguments as JSON), and the weights if there are some.

    Raises:
        NotExpressibleError: the library can't express it, or makes something else of it.
        InputError: it isn't installed, or safetensors isn't.
    """
    library = importlib.import_module(f"nas.export.{wanted.form}")
    text: str = getattr(library, f"{wanted.form}_module")(spec)  # checks it, too
    if wanted.arguments_only:
        text = json.dumps(getattr(library, f"{wanted.form}_arguments")(spec), indent=2) + "\n"
    elif wanted.preparation is not None:
        text += _INPUT.format(document=pprint.pformat(wanted.preparation.to_document(), width=100))
    if model is None:
        return Written(text)
    try:
        from safetensors.torch import save
    except ImportError:
        raise InputError(
            "export with weights: safetensors is not installed; pip install 'baseline-nas[timm]'"
        ) from None
    made: nn.Module = getattr(library, f"build_{wanted.form}")(spec, model)
    weights = {name: tensor.contiguous() for name, tensor in made.state_dict().items()}
    about = None
    if wanted.preparation is not None:
        document = json.dumps(wanted.preparation.to_document(), ensure_ascii=False)
        about = {"format": "pt", "input": document}
    return Written(text, save(weights, about))


_INPUT = """

# how its images are prepared (the square of `crop` of the shorter side in the centre, resized to
# `resolution`; then (value / 255 - mean) / std), and what its outputs are called
INPUT = {document}
"""
