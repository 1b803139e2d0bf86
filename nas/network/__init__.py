"""From a spec: its cost and its scaled family (no torch), and its module (`nas.network.builder`)."""

from nas.network.analytic import ROOFLINE, analytic_cost, analytic_costs, is_analytic
from nas.network.cost import COSTS, Cost, cost
from nas.network.cost_table import CostTable
from nas.network.resolve import known_networks, resolve_spec
from nas.network.scaling import (
    Budget,
    Coefficients,
    coefficient_grid,
    family,
    largest_phi,
    published,
    rounding_bounds,
    scale,
    scale_by,
    scale_to,
)

__all__ = [
    "COSTS",
    "ROOFLINE",
    "Budget",
    "Coefficients",
    "Cost",
    "CostTable",
    "analytic_cost",
    "analytic_costs",
    "coefficient_grid",
    "cost",
    "family",
    "is_analytic",
    "known_networks",
    "largest_phi",
    "published",
    "resolve_spec",
    "rounding_bounds",
    "scale",
    "scale_by",
    "scale_to",
]
