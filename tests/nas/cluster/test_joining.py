"""A cluster is joined in the background; its errors are raised where it is waited for."""

import pytest
import ray

from nas.cluster import joining
from nas.cluster.joining import Joining
from search_spaces.errors import InputError


def test_what_connect_raises_is_raised_by_whoever_waits():
    begun = Joining("localhost:1")
    for _ in range(2):
        with pytest.raises(InputError, match="localhost:1"):
            begun.wait()


@pytest.mark.parametrize("ours", [True, False])
def test_who_joined_leaves(ours, monkeypatch):
    left = []
    monkeypatch.setattr(ray, "shutdown", lambda: left.append(True))
    monkeypatch.setattr(joining, "connected", lambda: not ours)
    monkeypatch.setattr(joining, "connect", lambda address, dashboard: "http://there")
    begun = Joining()
    assert begun.wait() == "http://there"
    begun.leave()
    assert left == [True] * ours


def test_one_that_has_joined_none_leaves_none(monkeypatch):
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("there was nothing to leave"))
    Joining("localhost:1").leave()
