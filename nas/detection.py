"""Networks of ours in torchvision's detection and segmentation, in one call: `nas.detector`, `nas.segmenter`.

What a search found is a classifier; its stages are the features that a detector or a segmenter is built on
(as in EfficientDet, Tan et al. 2020). The heads are torchvision's own, and so are their losses and outputs.
"""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from nas.commands.networks import find_network
from nas.data.preparation import Preparation
from nas.export.features import FeatureLevels, PyramidBackbone
from nas.network.builder import Network, build
from search_spaces.errors import InputError, shown, unknown
from search_spaces.spec import NetworkSpec

DETECTORS = ("faster-rcnn", "retinanet")
SEGMENTERS = ("fcn", "deeplab")
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_ANCHOR = 4
"""Side of an anchor in steps of its level, as in torchvision's RetinaNet (32 px at stride 8)."""


def make_detector(
    network: NetworkSpec | str | os.PathLike[str],
    classes: int,
    head: str = "faster-rcnn",
    width: int = 256,
    **changes: Any,
) -> nn.Module:
    """A detector of torchvision's with a feature pyramid (Lin et al. 2017) on the network.

    In training it takes images (a list of floats (3, H, W) from 0 to 1) and targets and gives losses; in
    evaluation mode it gives boxes, labels and scores, as torchvision's reference says.

    Args:
        network: a spec, or whatever the commands take: a name, a spec file, a checkpoint, a run or a
            training's folder. Of a checkpoint the weights, and how its images were normalised, come with it.
        classes: kinds of objects, the background not counted; their labels are 1 to `classes`.
        head: one of `DETECTORS`.
        width: channels of the pyramid.
        **changes: torchvision's own arguments, e.g. `min_size=320`.

    Raises:
        InputError: no such network or head, a network of other images than RGB, or a number out of its range.
    """
    from torchvision.models.detection import FasterRCNN, RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    if head not in DETECTORS:
        raise unknown("head", head, DETECTORS)
    _check_count("classes", classes)
    _check_count("width", width)
    model, preparation = _found(network)
    backbone = PyramidBackbone(FeatureLevels(model), width)
    mean, std = _IMAGENET if preparation is None else (preparation.mean, preparation.std)
    # one level more than the backbone has: the pyramid's own, half as large
    strides = [*backbone.levels.strides, 2 * backbone.levels.strides[-1]]
    settings: dict[str, Any] = {"image_mean": list(mean), "image_std": list(std)}
    if head == "retinanet":
        sizes = tuple(tuple(int(_ANCHOR * s * 2 ** (i / 3)) for i in range(3)) for s in strides)
        settings["anchor_generator"] = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
        detector: nn.Module = RetinaNet(backbone, classes + 1, **settings | changes)
        return detector
    sizes = tuple((_ANCHOR * stride,) for stride in strides)
    settings["rpn_anchor_generator"] = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    settings["box_roi_pool"] = MultiScaleRoIAlign(list(backbone.levels.names), 7, 2)
    detector = FasterRCNN(backbone, classes + 1, **settings | changes)
    return detector


def make_segmenter(
    network: NetworkSpec | str | os.PathLike[str], classes: int, head: str = "fcn"
) -> nn.Module:
    """A segmentation network of torchvision's on the network's last stage.

    It takes images (N, C, H, W), prepared as the network's own, and gives a dict whose `out` has logits
    (N, classes, H, W).

    Args:
        network: as `make_detector` takes it.
        classes: of the pixels, the background counted.
        head: `fcn` (Long et al. 2015) or `deeplab` (DeepLabV3, Chen et al. 2017).

    Raises:
        InputError: no such network or head, or a number out of its range.
    """
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
    from torchvision.models.segmentation.fcn import FCN, FCNHead

    if head not in SEGMENTERS:
        raise unknown("head", head, SEGMENTERS)
    _check_count("classes", classes)
    model, _ = _found(network, any_channels=True)
    levels = FeatureLevels(model, last_as="out")
    channels = levels.channels[-1]
    made: nn.Module = (
        FCN(levels, FCNHead(channels, classes))
        if head == "fcn"
        else DeepLabV3(levels, DeepLabHead(channels, classes))
    )
    return made


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 16:
        raise InputError(f"{name} {shown(value)}: expected an integer from 1 to {1 << 16}")


def _found(
    network: NetworkSpec | str | os.PathLike[str], any_channels: bool = False
) -> tuple[Network, Preparation | None]:
    """The network's module, with its trained weights and the preparation of its images where it has some."""
    model, preparation = None, None
    if isinstance(network, NetworkSpec):
        model = build(network)
    else:
        found = find_network(os.fspath(network), weights=True)
        if found.checkpoint is None:
            model = build(found.spec)
        else:
            from nas.training.checkpoint import load_model

            _, model, preparation = load_model(found.checkpoint)
    if not any_channels and model.spec.in_channels != 3:
        raise InputError(
            f"network {model.spec.name!r}: it takes images of {model.spec.in_channels} channels: expected 3, "
            "which torchvision's detectors are made for"
        )
    return model, preparation
