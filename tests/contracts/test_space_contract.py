"""The one suite that every space passes."""

import pytest

from nas.testing import SpaceContract
from search_spaces import SPACES, ListedSpace, StagedSpace, get_space, reference


class TestBuiltIn(SpaceContract):
    @pytest.fixture(params=SPACES, autouse=True)
    def chosen(self, request):
        self.name = request.param

    def make_space(self):
        return get_space(self.name)


class TestListed(SpaceContract):
    def make_space(self):
        return ListedSpace("two", {name: reference(name) for name in ("mobilenet-v2", "resnet50")})


class TestOwn(SpaceContract):
    def make_space(self):
        stages = [
            {"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "kernel": 3},
            {"op": "conv", "channels": 16, "skip": ["none", "identity"], "repeats": [1, 2]},
        ]
        return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})
