"""Which options of `nas train` act, by the way that it is used; any other is refused where it is given."""

from __future__ import annotations

from nas.commands.given import typed
from search_spaces.errors import InputError

_PLAN = {
    "spec",
    "data",
    "data_root",
    "image_column",
    "label_column",
    "download",
    "subset",
    "recipe",
    "changes",
    "epochs",
    "resolution",
    "seed",
}
_RAY = {"cpus_per_trial", "gpus_per_trial", "address"}
_SEARCH = {"concurrent", "retries", "trial_timeout", "autoscaling", "dashboard", "storage"}
_SHAPE = {"width", "stem_stride"}
_WRITES = {"target", "as_json"}
MODES = {
    "one network": _PLAN | _SHAPE | _WRITES | {"workers", "teacher"},
    "--from": _PLAN - {"spec"} | _WRITES | {"start", "frozen", "workers", "teacher"},
    "--from with SPEC": _PLAN | _SHAPE | _WRITES | {"start", "frozen", "workers", "teacher"},
    "--from-supernet": _PLAN | _WRITES | {"supernet", "frozen", "workers", "teacher"},
    "--top": _PLAN | _SHAPE | _WRITES | _RAY | _SEARCH | {"top", "workers"},
    "--resume": {"resume", "data", "data_root", "download", "epochs", "workers", "as_json"},
}
"""The options that act in each mode."""
TOGETHER = {"processes", *_RAY}
"""Those that act besides where one training is spread over processes, which `--processes` says."""

_WHY = {
    "frozen": "only with --from or --from-supernet, random weights must be trained",
    **dict.fromkeys(_SEARCH, "only with --top are several trained, as a search"),
    **dict.fromkeys(_RAY, "only with --top or --processes does it run on Ray"),
    **dict.fromkeys(_SHAPE, "the network is the checkpoint's own, where no SPEC is given"),
}


def check_given(
    spec: str | None,
    top: int | None,
    resume: str | None,
    start: str | None,
    processes: int | None,
    supernet: str | None = None,
) -> None:
    """Raise `InputError` for options that do nothing in the way that the command is used."""
    if resume is not None:
        mode, reason = "--resume", f"resume {resume!r}: all its settings are kept there"
    elif top is not None:
        mode, reason = "--top", f"top {top}: every network is trained on its own, from random weights"
    elif supernet is not None:
        mode, reason = "--from-supernet", f"from-supernet {supernet!r}: it decides the network's shape"
    elif start is not None:
        mode, reason = ("--from" if spec is None else "--from with SPEC"), ""
    else:
        mode, reason = "one network", ""
    acting = MODES[mode] | (TOGETHER if processes is not None and mode != "--top" else set())
    odd = {name: text for name, text in typed().items() if name not in acting}
    if not odd:
        return
    name, text = next(iter(odd.items()))
    if reason:
        raise InputError(f"{reason}; leave {', '.join(odd.values())} out")
    raise InputError(f"{text.removeprefix('--')}: {_WHY[name]}; leave it out")
