import pytest

from nas.network import Coefficients, cost, published, resolve_spec, scale, scale_by
from search_spaces import InputError, reference


def test_published_costs():
    millions = [5.3, 7.8, 9.2, 12, 19, 30, 43, 66]
    billions = [0.39, 0.70, 1.0, 1.8, 4.2, 9.9, 19, 37]
    for index, (params, macs) in enumerate(zip(millions, billions, strict=True)):
        counted = cost(published(f"efficientnet-b{index}"))
        assert counted.params / 1e6 == pytest.approx(params, rel=0.02)
        assert counted.macs / 1e9 == pytest.approx(macs, rel=0.05)


def test_phi_zero_is_the_baseline():
    b0 = reference("efficientnet-b0")
    assert scale(b0, 0) == b0
    assert scale_by(b0, 1, 1) == b0


@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet-v2", "resnet50", "mobilenet-v1"])
def test_macs_grow_with_phi(name):
    costs = [cost(scale(resolve_spec(name), phi / 2)).macs for phi in range(9)]
    assert costs == sorted(costs)
    assert costs[-1] > 8 * costs[0]


def test_depth_is_rounded_up_but_not_for_rounding_errors():
    b0 = reference("efficientnet-b0")
    assert [s.repeats for s in scale_by(b0, depth=1.1).stages] == [2, 3, 3, 4, 4, 5, 2]
    ten = b0.replace(stages=tuple(type(s)(**{**vars(s), "repeats": 10}) for s in b0.stages))
    assert {s.repeats for s in scale_by(ten, depth=1.1).stages} == {11}


@pytest.mark.parametrize("phi", [-1, 21, float("nan"), float("inf")])
def test_phi_out_of_range(phi):
    with pytest.raises(InputError, match="phi"):
        scale(reference("efficientnet-b0"), phi)


@pytest.mark.parametrize("bad", [0.9, 0, -1, float("nan")])
def test_coefficients_below_one(bad):
    with pytest.raises(InputError, match="beta"):
        Coefficients(beta=bad)
