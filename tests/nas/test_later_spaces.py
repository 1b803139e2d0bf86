"""Searches over the spaces of the baselines after B0, by training and by the weights of a supernet."""

import json

import pytest

from search_spaces import get_space, read_spec
from tests.command import good

SPACES = ("efficientnet-v2", "mobilenet-v4")
SMALL = ["--data", "digits", "--epochs", "1", "--subset", "0.2", "--width", "0.1", "--resolution", "8"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SPACES)
def test_a_search_by_training(trainings, name, tmp_path):
    flags = ["--space", name, *SMALL, "--trials", "3", "--out", tmp_path / "run", "--json"]
    document = json.loads(good("search", *flags))
    assert document["trials"]["finished"] == 3
    assert get_space(name).contains(read_spec(str(tmp_path / "run" / "best.yaml")))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SPACES)
def test_a_search_by_the_weights_of_a_supernet(name, tmp_path):
    good("supernet", "--space", name, *SMALL, "--paths", "2", "--out", tmp_path / "super.pt")
    flags = ["--evaluator", "supernet", "--supernet", tmp_path / "super.pt", "--trials", "12"]
    document = json.loads(good("search", *flags, "--out", tmp_path / "run", "--json"))
    assert document["trials"]["finished"] == 12
    assert get_space(name).contains(read_spec(str(tmp_path / "run" / "best.yaml")))
