"""`nas cost` of a network, and `nas space` on a search space."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import click

from nas.commands.common import out, print_json, progress, put
from nas.commands.given import only_with
from nas.commands.networks import resolve_network
from nas.commands.outputs import OutPath, Target, declare
from nas.export.exportable import ANY, exportable_space, parse_formats
from nas.export.expressible import RULES
from nas.network.analytic import RIDGE, check_ridge
from nas.network.cost import cost
from nas.network.roofline import LayerWork, network_work, roofline
from nas.report.roofline import roofline_line, roofline_table
from nas.report.tables import cost_table
from search_spaces.counting import share_text
from search_spaces.document import dump_yaml, write_document
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.notation import WORDS_LEGEND
from search_spaces.registry import SPACES, get_space
from search_spaces.spec import NetworkSpec

LISTED_FORMATS = ("timm", "torchvision", "onnx")


@click.command("cost", epilog=f"Example: nas cost efficientnet-b0 --check\n\n{WORDS_LEGEND}.")
@click.argument("spec", metavar="SPEC|CHECKPOINT|RUN")
@click.option("--resolution", type=int, help="Input size, pixels. Default: the network's.")
@click.option("--check", is_flag=True, help="Build the network and compare with fvcore's count.")
@click.option(
    "--ridge", type=float, help="MACs per byte (fp32) of a device: the roofline, part by part. Default: 5."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cost_command(spec: str, resolution: int | None, check: bool, ridge: float | None, as_json: bool) -> None:
    """Multiply-adds, parameters, activations, memory and roofline of a network."""
    point = RIDGE if ridge is None else check_ridge(ridge)
    network = resolve_network(spec)
    if resolution is not None:
        network = network.replace(resolution=resolution)
    counted, works = cost(network), network_work(network)
    checked = _check(network) if check else None
    equal = checked is None or checked == {"macs": counted.macs, "params": counted.params}
    if as_json:
        more: dict[str, Any] = {"roofline": _roofline_document(works, point)}
        print_json(
            {"name": network.name, **counted.to_dict(), **more, **({"fvcore": checked} if checked else {})}
        )
    else:
        console = out()
        console.print(
            cost_table(network, counted) if ridge is None else roofline_table(network, works, point)
        )
        console.print(f"total: {counted.macs:,} MACs, {counted.params:,} params", highlight=False)
        console.print(
            f"memory: {counted.inference_memory / 1e6:.0f} MB to infer, "
            f"{counted.training_memory / 1e6:.0f} MB to train (one image, fp32, estimates)",
            highlight=False,
        )
        console.print(roofline_line(works, point), highlight=False)
        if checked:
            verdict = "equal" if equal else "DIFFERENT"
            console.print(
                f"fvcore: {checked['macs']:,} MACs, {checked['params']:,} params: {verdict}", highlight=False
            )
    if not equal:
        raise SystemExit(1)


def _roofline_document(works: Sequence[Sequence[LayerWork]], ridge: float) -> dict[str, Any]:
    """The roofline at a ridge point, with every layer's work by part."""
    layers = [work for part in works for work in part]
    return {
        "ridge": ridge,
        "macs": roofline(layers, ridge),
        "bytes": sum(work.moved for work in layers),
        "layers": [[work._asdict() for work in part] for part in works],
    }


def _check(network: NetworkSpec) -> dict[str, int]:
    """MACs as fvcore counts them on the built module, and the module's parameters."""
    import torch

    from nas.network.builder import build

    model = build(network, seed=0).eval()
    size = network.resolution
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore uses torch.jit, which is ageing
        from fvcore.nn import FlopCountAnalysis

        counter = FlopCountAnalysis(model, torch.zeros(1, network.in_channels, size, size))
        operators = counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return {
        "macs": int(operators["conv"] + operators["linear"]),
        "params": sum(parameter.numel() for parameter in model.parameters()),
    }


def _spaces() -> dict[str, StagedSpace]:
    found = {}
    for name, make in SPACES.loaded().items():
        try:
            found[name] = make()
        except InputError as error:  # one that a package adds
            progress().print(f"{error}; left out", highlight=False, soft_wrap=True)
    return found


def _exportable(space: StagedSpace, form: str) -> int:
    """How many networks of a space the format can express."""
    try:
        return exportable_space(space, (form,)).size
    except InputError:  # none
        return 0


@click.command(epilog="Example: nas space mnasnet --out my-space.yaml    (then edit it)")
@click.argument("space", required=False)
@click.option(
    "--exportable-to",
    metavar="FORMATS",
    default=ANY,
    help=f"Only the part that all of these can express, of {', '.join(RULES)}. Default: {ANY}, the whole.",
)
@click.option("--out", "target", type=OutPath(), help="File to write. Default: stdout.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def space(space: str | None, exportable_to: str, target: str | None, as_json: bool) -> None:
    """List the search spaces with what they export to, or write one as YAML: a start for your own."""
    only_with(space is not None, "SPACE", "target", "exportable_to")
    if space is None:
        rows = _spaces()
        exports = {
            name: {form: _exportable(known, form) for form in LISTED_FORMATS} for name, known in rows.items()
        }
        if as_json:
            print_json(
                {
                    name: {"size": s.size, "decisions": len(s.decisions), "exportable": exports[name]}
                    for name, s in rows.items()
                }
            )
            return
        for name, known in rows.items():
            shares = ", ".join(f"{form} {share_text(n, known.size)}" for form, n in exports[name].items())
            out().print(
                f"{name}: {known.size:,} architectures, {len(known.decisions)} decisions\n"
                f"  export to {shares}",
                highlight=False,
            )
        return
    found = exportable_space(get_space(space), parse_formats(exportable_to))
    document = found.to_document()
    if target in (None, "-"):
        if as_json:
            print_json(document)
        else:
            put(dump_yaml(document))
        return
    declare([Target(target, "space")], [space])
    write_document(target, document)
    if as_json:
        print_json({"space": found.name, "size": found.size, "written": target})
    else:
        out().print(f"wrote {target}", highlight=False, soft_wrap=True)
