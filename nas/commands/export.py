"""`nas export`: a network for other libraries, with its weights where there are some; `nas import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nas.commands.common import out, print_json, progress
from nas.commands.given import only_with
from nas.commands.networks import Found, find_network
from nas.commands.outputs import OutPath, Target, declare, file_stem
from nas.export import FORMATS, to_text
from search_spaces.document import write_atomically
from search_spaces.errors import InputError, unknown
from search_spaces.spec import NetworkSpec

_LIBRARIES = ("timm", "torchvision")
_KINDS = {
    "onnx": "ONNX model",
    "exported": "exported program",
    "torchscript": "TorchScript program",
}
_PROGRAMS = {"onnx": ".onnx", "exported": ".pt2", "torchscript": ".ts"}


@click.command(epilog="Example: nas export winner.pt --to onnx --out winner.onnx")
@click.argument("spec", metavar="SPEC|CHECKPOINT|RUN")
@click.option(
    "--to", "form", required=True, help="timm, torchvision, onnx, exported, torchscript, yaml or json."
)
@click.option(
    "--out", "target", type=OutPath(), help="File to write. Default: stdout, or NAME with a suffix."
)
@click.option("--resolution", type=int, metavar="PIXELS", help="Another resolution than the network's own.")
@click.option(
    "--dynamic-size", is_flag=True, help="onnx, exported, torchscript: images of any height and width."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON document.")
def export(
    spec: str, form: str, target: str | None, resolution: int | None, dynamic_size: bool, as_json: bool
) -> None:
    """Write a network for another library: exactly, or not at all with the reason.

    For timm and torchvision it is a small Python module with a build() function, or, where --out ends
    in .json, its arguments alone; of a checkpoint the weights go beside it as safetensors, under that
    library's names.
    """
    if form not in (*FORMATS, *_LIBRARIES, *_PROGRAMS):
        raise unknown("format", form, [*_LIBRARIES, *_PROGRAMS, *FORMATS])
    if dynamic_size and form not in _PROGRAMS:
        raise InputError(
            f"--dynamic-size: acts on {', '.join(_PROGRAMS)}; what {form} holds takes images of any size"
        )
    found = find_network(spec, weights=True)
    network = found.spec if resolution is None else found.spec.replace(resolution=resolution)
    if form in _PROGRAMS:
        target = target or f"{file_stem(network.name)}{_PROGRAMS[form]}"
    elif target == "-":
        target = None
    only_with(target is not None, "--out, the text itself is printed", "as_json")
    beside = None
    if form in _LIBRARIES and found.checkpoint is not None:
        if target is None:
            raise InputError("out: expected a file, the weights are written beside it")
        beside = str(Path(target).with_suffix(".safetensors"))
    _declare(form, target, beside, found.inputs)
    if form in FORMATS:
        _finish(to_text(network, form), [], target, form, as_json)
        return
    model = _load(found)
    if form in _PROGRAMS:
        assert target is not None
        content, remark = _program(network, model, form, dynamic_size)
        path = target
        write_atomically(path, content)
        if model is None:
            remark += "; the weights are random: give a checkpoint for trained ones"
        _report([path], form, remark, as_json)
    else:
        text, weights = _module(network, model, form, bool(target) and Path(str(target)).suffix == ".json")
        written = []
        if weights is not None and beside is not None:
            write_atomically(beside, weights)
            written.append(beside)
        _finish(text, written, target, form, as_json)


def _declare(form: str, target: str | None, beside: str | None, inputs: tuple[str, ...]) -> None:
    if target is None:
        return
    if form in FORMATS:
        main = Target(target, "spec", suffixes=(".yaml", ".yml") if form == "yaml" else (".json",))
    elif form in _PROGRAMS:
        main = Target(target, _KINDS[form])
    elif Path(target).suffix == ".json":
        main = Target(target, "arguments")
    else:
        main = Target(target, "Python module")
    declare([main] if beside is None else [main, Target(beside, "weights")], inputs)


def _load(found: Found) -> Any:
    """The network as a module with its trained weights; None where it has none."""
    if found.checkpoint is None:
        return None
    from nas.training.checkpoint import load_model

    return load_model(found.checkpoint)[1]


def _program(network: NetworkSpec, model: Any, form: str, dynamic: bool) -> tuple[bytes, str]:
    """(content of the file, what to say of it); with random weights where there is no model."""
    from nas.export.probe import give_sight
    from nas.export.program import smallest_side
    from nas.network.builder import build

    if model is None:  # drawn so that the outputs depend on the images, or the check would see nothing
        model = give_sight(build(network, seed=0), network.in_channels)
    size = f"{network.resolution} px"
    if dynamic:
        size = f"any height and width from {smallest_side(network)}"
    if form == "onnx":
        from nas.export.onnx import OPSET, onnx_bytes

        content = onnx_bytes(network, model, dynamic)
        return content, f"opset {OPSET}, any batch, {size}, checked in ONNX Runtime"
    from nas.export.program import program_bytes

    return program_bytes(network, model, form, dynamic), f"any batch, {size}, loaded again and compared"


def _module(network: NetworkSpec, model: Any, form: str, arguments_only: bool) -> tuple[str, bytes | None]:
    """(source of the module or its arguments as JSON, the weights under the library's names if any)."""
    if form == "timm":
        from nas.export.timm import build_timm as make
        from nas.export.timm import timm_arguments as arguments
        from nas.export.timm import timm_module as write
    else:
        from nas.export.torchvision import build_torchvision as make
        from nas.export.torchvision import torchvision_arguments as arguments
        from nas.export.torchvision import torchvision_module as write

    text = write(network)  # checks it, too
    if arguments_only:
        text = json.dumps(arguments(network), indent=2) + "\n"
    if model is None:
        return text, None
    try:
        from safetensors.torch import save
    except ImportError:
        raise InputError(
            "export with weights: safetensors is not installed; pip install 'baseline-nas[timm]'"
        ) from None
    tensors = {name: tensor.contiguous() for name, tensor in make(network, model).state_dict().items()}
    return text, save(tensors)


def _finish(text: str, written: list[str], target: str | None, form: str, as_json: bool) -> None:
    if target is None:
        click.echo(text, nl=False)
        return
    write_atomically(target, text)
    _report([target, *written], form, "", as_json)


def _report(written: list[str], form: str, remark: str, as_json: bool) -> None:
    if as_json:
        print_json({"format": form, "written": written[0], "files": written})
        return
    for path in written:
        out().print(f"wrote {path}{f' ({remark})' if remark else ''}", highlight=False, soft_wrap=True)


@click.command("import", epilog="Example: nas import --from timm:efficientnet_lite0 --out lite0.yaml")
@click.option("--from", "source", help="timm:NAME or torchvision:NAME; or what nas export wrote: timm:b2.py.")
@click.option(
    "--table", is_flag=True, help="Instead: a page of all models of these families, imported or why not."
)
@click.option("--out", "target", type=OutPath(), help="Spec (or page) to write. Default: stdout.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON document.")
def import_command(source: str | None, table: bool, target: str | None, as_json: bool) -> None:
    """A spec from another library's model, as a baseline to scale or a reference in a search."""
    if table == (source is not None):
        raise InputError("import: expected one of --from and --table")
    target = None if target == "-" else target
    only_with(target is not None, "--out, the text itself is printed", "as_json")
    if source is not None:
        from nas.export.from_model import import_spec

        form = "json" if target is not None and Path(target).suffix == ".json" else "yaml"
        if target is not None:
            declare([Target(target, "spec")])
        _finish(to_text(import_spec(source), form), [], target, form, as_json)
        return
    from nas.export.import_table import family_names, outcome, rows
    from nas.export.library_model import LIBRARIES

    if target is not None:
        declare([Target(target, "Markdown page")])
    sources = [f"{library}:{name}" for library in LIBRARIES for name in family_names(library)]
    outcomes = {}
    for index, each in enumerate(sources, 1):
        outcomes[each] = outcome(each)
        progress().print(f"{index} of {len(sources)}: {each}", highlight=False, soft_wrap=True)
    _finish("\n".join(rows(outcomes)) + "\n", [], target, "markdown", as_json)
