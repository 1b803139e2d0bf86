"""`nas export`: a network for other libraries, with its weights where there are some; `nas import`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from nas.commands.common import out, print_json, progress, put
from nas.commands.given import only_with
from nas.commands.networks import Found, find_network
from nas.commands.outputs import OutPath, Target, declare
from nas.export import to_text
from nas.export.formats import EXPORTS, Wanted, export_format
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import file_stem

if TYPE_CHECKING:
    from nas.data.dataset import DataSet


@click.command(epilog="Example: nas export winner.pt --to onnx --out winner.onnx")
@click.argument("spec", metavar="SPEC|CHECKPOINT|RUN")
@click.option("--to", "form", required=True, help=f"{', '.join(EXPORTS)}.")
@click.option(
    "--out", "target", type=OutPath(), help="File to write. Default: stdout, or NAME with a suffix."
)
@click.option("--resolution", type=int, metavar="PIXELS", help="Another resolution than the network's own.")
@click.option(
    "--dynamic-size", is_flag=True, help="onnx, exported, torchscript: images of any height and width."
)
@click.option(
    "--int8",
    is_flag=True,
    help="onnx: 8-bit integers, calibrated on training images; accuracy before and after is printed.",
)
@click.option("--data", help="With --int8: the images. Default: those that the checkpoint was trained on.")
@click.option("--data-root", help="With --int8: folder to look for the data set in first.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON document.")
def export(
    spec: str,
    form: str,
    target: str | None,
    resolution: int | None,
    dynamic_size: bool,
    int8: bool,
    data: str | None,
    data_root: str | None,
    as_json: bool,
) -> None:
    """Write a network for another library: exactly, or not at all with the reason.

    For timm and torchvision it is a small Python module with a build() function, or, where --out ends
    in .json, its arguments alone; of a checkpoint the weights go beside it as safetensors, under that
    library's names.
    """
    export_to = export_format(form)
    if dynamic_size and not export_to.program:
        programs = ", ".join(name for name, other in EXPORTS.loaded().items() if other.program)
        raise InputError(f"--dynamic-size: acts on {programs}; what {form} holds takes images of any size")
    only_with(int8, "--int8", "data", "data_root")
    if int8 and form != "onnx":
        raise InputError(f"int8: only with --to onnx, not {form}")
    found = find_network(spec, weights=True)
    if int8 and found.checkpoint is None:
        raise InputError(f"int8: {spec} has no trained weights to be calibrated: give a checkpoint")
    network = found.spec if resolution is None else found.spec.replace(resolution=resolution)
    if not export_to.text:
        target = target or f"{file_stem(network.name)}{export_to.suffixes[0]}"
    elif target == "-":
        target = None
    only_with(target is not None, "--out, the text itself is printed", "as_json")
    arguments = export_to.library and target is not None and Path(target).suffix == ".json"
    beside = None
    if export_to.library and found.checkpoint is not None:
        if target is None:
            raise InputError("out: expected a file, the weights are written beside it")
        beside = str(Path(target).with_suffix(".safetensors"))
    if target is not None:
        kind, suffixes = ("arguments", (".json",)) if arguments else (export_to.kind, export_to.suffixes)
        more = [] if beside is None else [Target(beside, "weights")]
        declare([Target(target, kind, suffixes=suffixes), *more], found.inputs)
    model, preparation = None, None
    if found.checkpoint is not None:
        from nas.training.checkpoint import load_model

        _, model, preparation = load_model(found.checkpoint)
        if preparation is not None:
            preparation = replace(preparation, resolution=network.resolution)
    if int8 and preparation is None:
        raise InputError(
            f"int8: {spec} doesn't say how its images were prepared: an earlier version wrote it"
        )
    images = _images(found, data, data_root) if int8 else None
    made = export_to.write(network, model, Wanted(form, dynamic_size, arguments, preparation))
    if target is None:
        put(made.content)
        return
    remark, written = made.remark, [target]
    scores: dict[str, Any] = {}
    if images is not None and preparation is not None:
        from nas.studies.int8_export import quantise_trained

        assert isinstance(made.content, bytes)
        content, int8_scores = quantise_trained(made.content, preparation, images)
        made = made._replace(content=content)
        remark, scores = int8_scores.remark, asdict(int8_scores)
    if made.weights is not None and beside is not None:
        write_atomically(beside, made.weights)
        written.append(beside)
    write_atomically(target, made.content)
    if export_to.program and model is None:
        remark += "; the weights are random: give a checkpoint for trained ones"
    _report(written, form, remark, as_json, {"int8": scores} if scores else {})


def _images(found: Found, data: str | None, data_root: str | None) -> DataSet:
    """The data set that a checkpoint is calibrated and scored on."""
    from nas.data.load import load_data
    from nas.training.checkpoint import load_checkpoint

    assert found.checkpoint is not None
    plan = load_checkpoint(found.checkpoint)[2].get("plan")
    if data is None:
        if not isinstance(plan, dict) or not isinstance(plan.get("data"), str):
            raise InputError(f"int8: {found.checkpoint} doesn't name its data: give --data")
        data, data_root = plan["data"], data_root or plan.get("data_root")
    return load_data(data, data_root)


def _finish(text: str, written: list[str], target: str | None, form: str, as_json: bool) -> None:
    if target is None:
        put(text)
        return
    write_atomically(target, text)
    _report([target, *written], form, "", as_json)


def _report(
    written: list[str], form: str, remark: str, as_json: bool, more: Mapping[str, Any] = MappingProxyType({})
) -> None:
    if as_json:
        print_json({"format": form, "written": written[0], "files": written, **more})
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
