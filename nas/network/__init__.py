"""From a spec: its cost and its scaled family (no torch), and its module (`nas.network.builder`)."""

from nas.network.cost import COSTS, Cost, cost
from nas.network.cost_table import CostTable
from nas.network.resolve import known_networks, resolve_spec
from nas.network.scaling import Coefficients, published, scale, scale_by

__all__ = [
    "COSTS",
    "Coefficients",
    "Cost",
    "CostTable",
    "cost",
    "known_networks",
    "published",
    "resolve_spec",
    "scale",
    "scale_by",
]
