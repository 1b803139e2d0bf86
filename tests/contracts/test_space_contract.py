"""The one suite that every space passes."""

import pytest

from nas.export.exportable import exportable_space, parse_formats
from nas.testing import SpaceContract
from search_spaces import SPACES, ListedSpace, StagedSpace, get_space, reference
from search_spaces.constrain import constrain


class TestBuiltIn(SpaceContract):
    @pytest.fixture(params=SPACES, autouse=True)
    def chosen(self, request):
        self.name = request.param

    def make_space(self):
        return get_space(self.name)


class TestExportable(SpaceContract):
    @pytest.fixture(params=["timm,onnx", "torchvision", "timm,torchvision"], autouse=True)
    def chosen(self, request):
        self.formats = parse_formats(request.param)

    def make_space(self):
        return exportable_space(get_space("mnasnet"), self.formats)


class TestJointOverStages(SpaceContract):
    def make_space(self):
        stages = [
            {"op": ["ds", "conv"], "channels": [40, 48], "kernel": [3, 5]},
            {
                "op": ["ds", "conv"],
                "channels": [40, 48, 80],
                "se_ratio": [0, 0.25],
                "skip": ["pooling", "none"],
            },
        ]
        whole = StagedSpace.from_document({"schema": 1, "space": "joint", "stages": stages})
        return constrain(whole, lambda stage, width: "shrinks" if stage.channels < width else None)


class TestBlocks(SpaceContract):
    def make_space(self):
        first = {"op": ["uib2", "uib4"], "start_kernel": [0, 3], "kernel": [3, 5]}
        further = {"op": ["uib2", "uib4"], "start_kernel": [0, 3], "kernel": [0, 3]}
        stages = [
            {"channels": [16, 24], "stride": 2, "repeats": [1, 2, 3], "blocks": [first, further]},
            {"op": ["mbconv3", "fused2"], "channels": [24, 40], "repeats": [0, 1, 2]},
        ]
        document = {"schema": 1, "space": "blocks", "stages": stages, "stem_channels": [16, 24]}
        return StagedSpace.from_document(document)


class TestListed(SpaceContract):
    def make_space(self):
        return ListedSpace("two", {name: reference(name) for name in ("mobilenet-v2", "resnet50")})


class TestOwn(SpaceContract):
    def make_space(self):
        stages = [
            {"op": ["ds", "mbconv3", "fused4"], "channels": [8, 16, 24], "kernel": 3},
            {"op": "conv", "channels": 16, "skip": ["none", "identity"], "repeats": [1, 2]},
        ]
        return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})
