"""What `nas search` takes from the benchmark it is on, and the targets on its command line."""

from __future__ import annotations

import re
from typing import Any

from nas.benchmark.load import is_run_benchmark, run_benchmark_file
from nas.benchmark.run_surrogate import read_run_surrogate
from nas.export.exportable import ANY
from nas.network.analytic import ROOFLINE, is_analytic, roofline_name
from search_spaces.errors import InputError


def benchmark_defaults(data: str | None, space_given: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings by flat names, targets) of a search on the benchmark that nothing else was said of.

    Args:
        data: of the benchmark; None: the embedded one.
        space_given: on the command line; another than the benchmark's own is refused later, by name.

    Raises:
        InputError: as `read_run_surrogate`.
    """
    if not is_run_benchmark(data):
        return {} if space_given else {"space": "accel-nasbench"}, {"benchmark_macs": "400M"}
    assert data is not None
    made = read_run_surrogate(run_benchmark_file(data))
    targets = {name: value for name, value in made.about.get("targets", {}).items() if is_analytic(name)}
    if space_given:
        return {}, targets
    space = {"space": made.space.name, "space_document": made.space.to_document(), "exportable_to": ANY}
    return space, targets


def named_targets(
    cost: str | None, texts: tuple[str, ...], plain: str, ridge: float | None = None
) -> dict[str, str]:
    """Targets by cost name; one without a name is of `cost`, else of `plain`.

    The target of a `cost` that none is given for is EfficientNet-B0's. With a ridge point, `roofline` is the
    one at that.

    Raises:
        InputError: two targets of one cost, or a ridge point of none.
    """
    if ridge is not None:
        name = roofline_name(ridge)
        named = [text.partition("=")[0] for text in texts if "=" in text]
        if ROOFLINE not in (cost, *named):
            raise InputError(f"ridge {ridge:g}: only with --cost {ROOFLINE} or --target {ROOFLINE}=...")
        cost = name if cost == ROOFLINE else cost
        texts = tuple(re.sub(f"^{ROOFLINE}=", f"{name}=", text) for text in texts)
    plain = cost or plain
    targets: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        limited = name if equals else plain
        if limited in targets:
            raise InputError(f"target {text!r}: {limited} has the target {targets[limited]!r} already")
        targets[limited] = value if equals else text
    if cost is not None and cost not in targets:
        targets[cost] = "efficientnet-b0"
    return targets
