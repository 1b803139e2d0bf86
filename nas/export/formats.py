"""The formats that a network is exported to, one entry each; a writer loads its libraries when it runs.

To add one: a file with its writer, and its line here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from search_spaces.added import Registry, broken
from search_spaces.errors import unknown
from search_spaces.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import nn

    from nas.data.preparation import Preparation


class Written(NamedTuple):
    """What a writer made.

    Attributes:
        content: of the file.
        weights: of a second file beside it, in safetensors' format; None: there is none.
        remark: what was checked, for people.
    """

    content: str | bytes
    weights: bytes | None = None
    remark: str = ""


Writer = Callable[["NetworkSpec", "nn.Module | None", "Wanted"], Written]


class Wanted(NamedTuple):
    """How a network is to be written.

    Attributes:
        form: the format's name.
        dynamic: images of any size, where the format fixes it otherwise.
        arguments_only: of a module its arguments alone.
        preparation: of the images, and the names of the classes; None: nothing is known of them.
    """

    form: str
    dynamic: bool = False
    arguments_only: bool = False
    preparation: Preparation | None = None


@dataclass(frozen=True)
class ExportFormat:
    """A format.

    Attributes:
        name: as `--to` takes it.
        kind: what the file is, for people.
        writer: `module:function`, a `Writer`.
        suffixes: that its file may have; the first is the default's.
        text: whether it can be printed.
        program: whether it runs the network, so that its size may be fixed.
        library: whether it is for a library, with the weights in a file beside it.
        needs: packages that not every installation has.
    """

    name: str
    kind: str
    writer: str
    suffixes: tuple[str, ...]
    text: bool = False
    program: bool = False
    library: bool = False
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> str | None:
        """The first of `needs` that isn't installed; None: there are all."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)

    def write(self, spec: NetworkSpec, model: nn.Module | None, wanted: Wanted) -> Written:
        """Write `spec`, with the weights of `model` where there are some.

        Raises:
            NotExpressibleError: the format can't say it, or says something else.
            InputError: a package is missing.
        """
        module, _, function = self.writer.partition(":")
        try:
            writer: Writer = getattr(importlib.import_module(module), function)
        except Exception as error:
            if self.name in EXPORTS.built_in:
                raise
            raise broken("nas.exports", self.name, f"writer {self.writer!r}: {error}") from error
        return writer(spec, model, wanted)


_LIBRARY = "nas.export.library:write_library"
_PROGRAM = "nas.export.program:write_program"
_LIBRARY_NEEDS = {"timm": ("timm", "safetensors"), "torchvision": ("safetensors",)}
_ONNX = ("onnx", "onnxruntime", "onnxscript")


def _accepted(name: str, form: object) -> ExportFormat:
    if not isinstance(form, ExportFormat) or form.name != name:
        raise TypeError(f"expected a nas.export.formats.ExportFormat named {name!r}")
    return form


_BUILT_IN = {
    export.name: export
    for export in (
        *(
            ExportFormat(name, "Python module", _LIBRARY, (".py",), text=True, library=True, needs=needs)
            for name, needs in _LIBRARY_NEEDS.items()
        ),
        ExportFormat(
            "onnx", "ONNX model", "nas.export.onnx:write_onnx", (".onnx",), program=True, needs=_ONNX
        ),
        ExportFormat("exported", "exported program", _PROGRAM, (".pt2",), program=True),
        ExportFormat("torchscript", "TorchScript program", _PROGRAM, (".ts", ".pt", ".pth"), program=True),
        ExportFormat("yaml", "spec", "nas.export.document:write_spec", (".yaml", ".yml"), text=True),
        ExportFormat("json", "spec", "nas.export.document:write_spec", (".json",), text=True),
    )
}


EXPORTS: Registry[ExportFormat] = Registry("nas.exports", _BUILT_IN, _accepted)
"""By name; installed packages add theirs by the entry points `nas.exports`."""


def export_format(name: str) -> ExportFormat:
    """The format of that name; raises `InputError` for an unknown one."""
    if name not in EXPORTS:
        raise unknown("format", name, EXPORTS)
    return EXPORTS[name]
