"""Search under a limit of one's own, any function of a network: python examples/own_cost.py runs/own-cost"""

import sys

import nas
from nas.network.cost import cost


def sram(spec):
    """Bytes of a small chip's memory: 8-bit weights, and the largest layer's input and output."""
    stages = cost(spec).stages
    return cost(spec).params + max(stage.live for stage in stages)


if __name__ == "__main__":
    costs = {sram: 5e6, "macs": "300M"}  # the reward weighs both; the predictor knows both in advance
    run = nas.search(evaluate="benchmark", costs=costs, trials=30, out=sys.argv[1])
    print(run.best.accuracy, run.best.costs["sram"], run.best.costs["macs"])
    print(run.spec)
