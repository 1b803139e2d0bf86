import numpy as np
import pytest

from nas.network import COSTS, CostTable, cost
from search_spaces import SPACES, InputError, StagedSpace, get_space

RESNETS = {
    "schema": 1,
    "space": "resnets",
    "network": {"stem": {"channels": 64, "kernel": 7, "stride": 2, "pool": True}, "head_channels": 0},
    "stages": [
        {"op": ["bottleneck0.25", "basic"], "channels": [64, 128], "repeats": [1, 3], "skip": "projection"},
        {"op": ["conv", "mbconv4"], "channels": [96, 192], "skip": ["pooling", "none"], "stride": 2},
    ],
}


@pytest.mark.parametrize("name", [*SPACES, "resnets"])
def test_equals_cost_on_random_architectures(name):
    space = StagedSpace.from_document(RESNETS) if name == "resnets" else get_space(name)
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(200)]
    table = CostTable(space)
    counted = [cost(space.decode(architecture)) for architecture in architectures]
    for column in COSTS:
        assert table(architectures, column).tolist() == [getattr(c, column) for c in counted], column


def test_unknown_cost():
    with pytest.raises(InputError, match="did you mean 'macs'"):
        CostTable(get_space("efficientnet"))([], "mac")
