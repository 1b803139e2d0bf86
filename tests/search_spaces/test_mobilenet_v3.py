"""MobileNetV3's own: another activation in some stages, a hard gate of another width, a layer behind the pooling."""

import pytest
from torch import nn

from nas.export.expressible import find_obstacle
from nas.network.builder import build
from search_spaces import InputError, NetworkSpec, StageSpec, from_notation, reference, to_notation
from search_spaces.layers import Gate
from search_spaces.notation import head_words, stage_words


def test_the_widths_of_se_are_the_published_rules():
    """Howard et al. 2019, section 5.3: a quarter of the expansion, in the code rounded to multiples of 8."""
    gates = {
        name: [x.squeeze for b in reference(name).blocks() for x in b.layers if isinstance(x, Gate)]
        for name in ("mobilenetv3-large", "mobilenetv3-small")
    }
    assert gates["mobilenetv3-large"] == [24, 32, 32, 120, 168, 168, 240, 240]
    assert gates["mobilenetv3-small"] == [8, 24, 64, 64, 32, 40, 72, 144, 144]


def test_published_expansions():
    inner = [block.inner_channels for block in reference("mobilenetv3-large").blocks()]
    assert inner == [16, 64, 72, 72, 120, 120, 240, 200, 184, 184, 480, 672, 672, 960, 960]
    inner = [block.inner_channels for block in reference("mobilenetv3-small").blocks()]
    assert inner == [16, 72, 88, 96, 240, 240, 120, 144, 288, 576, 576]


def test_activations_are_a_stages_own():
    model = build(reference("mobilenetv3-small"))
    kinds = [
        {type(m) for m in stage.modules() if isinstance(m, (nn.ReLU, nn.Hardswish))} for stage in model.stages
    ]
    assert kinds[:3] == [{nn.ReLU}] * 3  # in the first stage's SE, too
    assert kinds[3] == {nn.Hardswish, nn.ReLU}


def test_one_network_one_digest():
    stage = StageSpec("mbconv", 24, 3, 2, 4, 2, 0.25)
    spec = NetworkSpec("any", (stage,), activation="relu")
    own = StageSpec("mbconv", 24, 3, 2, 4, 2, 0.25, activation="relu")
    assert NetworkSpec("any", (own,), activation="relu") == spec
    assert StageSpec("ds", 24, gate="hard_sigmoid") == StageSpec("ds", 24)
    others = [
        NetworkSpec("any", (own,)),
        NetworkSpec("any", (stage,)),
        NetworkSpec("any", (StageSpec("mbconv", 24, 3, 2, 4, 2, 0.25, gate="hard_sigmoid"),)),
        NetworkSpec("any", (stage,), pooled_channels=64),
    ]
    assert len({each.digest for each in (*others, spec)}) == 5
    for each in others:
        assert NetworkSpec.from_document(each.to_document()) == each
    assert not {"pooled_channels", "activation", "gate"} & set(spec.to_document()["stages"][0])
    assert reference("efficientnet-b0").digest == "0e08e56b41a8cd55"


def test_words_and_notation():
    stage = StageSpec("mbconv", 40, 5, 2, 3, 3, 0.25, activation="relu", gate="hard_sigmoid")
    assert stage_words(stage) == "3 x MBConv3 k5 s2 hard SE ReLU c40"
    assert from_notation(to_notation(stage)) == stage
    assert head_words(reference("mobilenetv3-small")) == "Conv k1 c576, pool, Conv k1 c1024, linear 1000"


def test_bad_values_are_refused():
    with pytest.raises(InputError, match="gate 'hard'"):
        StageSpec("ds", 24, se_ratio=0.25, gate="hard")
    with pytest.raises(InputError, match="activation 'rel'.*relu"):
        StageSpec("ds", 24, activation="rel")
    with pytest.raises(InputError, match="pooled_channels -1"):
        NetworkSpec("any", (StageSpec("ds", 24),), pooled_channels=-1)


def test_what_the_libraries_cant_say():
    soft, hard = (StageSpec("ds", 24, se_ratio=0.25, gate=gate) for gate in ("sigmoid", "hard_sigmoid"))
    assert "of one kind" in find_obstacle("timm", NetworkSpec("any", (soft, hard))).reason
    assert "sigmoids as gates" in find_obstacle("torchvision", NetworkSpec("any", (hard,))).reason
    pooled = NetworkSpec("any", (soft,), pooled_channels=8)
    # a layer between the pooling and the classifier is MobileNetV3's, with its activations
    assert "its MobileNetV3 are relu and hard_swish, not silu" in find_obstacle("torchvision", pooled).reason
    assert find_obstacle("timm", pooled) is None
    deep = pooled.replace(stages=(StageSpec("ds", 24, 3, 2),) * 5)
    assert "strides of 32 at most" in find_obstacle("timm", deep).reason
