"""How many specs a second the analytic cost counts on one core, beside fvcore on the same specs.

python benchmarks/cost_speed.py
"""

import time
import warnings

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis

from nas.network.builder import build
from nas.network.cost import _block_cost, cost
from search_spaces import SPACES, get_space

SPECS, COUNTED_BY_FVCORE = 5000, 3


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in SPACES:
        space = get_space(name)
        rng = np.random.default_rng(0)
        specs = [space.decode(space.sample(rng)) for _ in range(SPECS)]
        _block_cost.cache_clear()
        began = time.perf_counter()
        for spec in specs:
            cost(spec)
        ours = (time.perf_counter() - began) / SPECS
        began = time.perf_counter()
        for spec in specs[:COUNTED_BY_FVCORE]:
            counter = FlopCountAnalysis(build(spec).eval(), torch.zeros(1, 3, 224, 224))
            counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
        fvcore = (time.perf_counter() - began) / COUNTED_BY_FVCORE
        print(
            f"{name}: {1 / ours:,.0f} specs/s from a cold cache (wanted: 5,000); "
            f"fvcore {fvcore:.2f} s each, {fvcore / ours:,.0f} times as long"
        )


if __name__ == "__main__":
    main()
