"""A network's costs in words, wherever people read them. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nas.network.analytic import ridge_of

_LABELS = {
    "macs": "MACs",
    "params": "params",
    "activations": "activations",
    "inference_memory": "inference memory, bytes",
    "training_memory": "training memory, bytes",
    "benchmark_macs": "MACs (the benchmark's count)",
}


def si(value: float) -> str:
    """A count with a suffix: 385.8M, 1.83G, 5288."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


def cost_label(name: str) -> str:
    """What people read for a cost, with its unit."""
    if (ridge := ridge_of(name)) is not None:
        return f"MACs by the roofline (ridge {ridge:g})"
    return _LABELS.get(name, f"{name}, ms" if name.startswith("latency") else name)


def costs_text(costs: Mapping[str, float], names: Iterable[str]) -> str:
    """Some of a network's costs in a line: `385.8M MACs, 5.289M params`, `12.3 latency, ms`."""
    return ", ".join(f"{si(costs[name])} {cost_label(name)}" for name in names)
