import math
from dataclasses import replace

import numpy as np
import pytest

from search_spaces import (
    REFERENCES,
    SPACES,
    Architecture,
    InputError,
    NotInSpaceError,
    StagedSpace,
    get_space,
    reference,
)
from search_spaces.document import write_document


@pytest.fixture(params=SPACES)
def space(request):
    return get_space(request.param)


@pytest.fixture
def tiny():
    stages = [
        {"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "kernel": 3},
        {"op": "conv", "channels": 16, "skip": ["none", "identity"], "repeats": [1, 2]},
    ]
    return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})


def test_sizes_are_exact(tiny):
    # 4 ops, 2 kernels, 2 SE, 3 skips; widths 3, 3, 3, 3, 4, 4, 3; depths 2, 3, 3, 3, 3, 3, 2
    assert get_space("mnasnet").size == 48**7 * 3**5 * 4**2 * 2**2 * 3**5
    assert get_space("efficientnet").size == 12**7 * 3**5 * 4**2 * 2**2 * 3**5
    assert get_space("accel-nasbench").size == 104_485_552_128
    # six stages: 6 ops, 2 kernels; widths 3, 4, 5, 6, 6, 6; depths 4, 5, 5, 6, 6, 7; the last missing or 4 ways
    v2 = [width * depth for width, depth in ((3, 4), (4, 5), (5, 5), (6, 6), (6, 6), (6, 7))]
    assert get_space("efficientnet-v2").size == 3 * 3 * 12**6 * math.prod(v2) * (1 + 2 * 2)
    # stem, 2 stages; then widths and a first block, 18 or 27 ways for each further block, by depth
    begin = 2 * (2 * 2 * 2) * (2 * 19 * 3 * 19)
    third = 3 * 18 * sum(18 ** (depth - 1) for depth in (6, 8, 11))
    fourth = 3 * 12 * sum(27 ** (depth - 1) for depth in (6, 11, 13))
    assert get_space("mobilenet-v4").size == begin * third * fourth
    assert tiny.size == 24 == len(set(tiny.enumerate()))


@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet-v2", "mnasnet-a1"])
@pytest.mark.parametrize("space_name", ["mnasnet", "efficientnet"])
def test_reference_networks_are_members(space_name, name):
    space, spec = get_space(space_name), reference(name)
    assert space.contains(spec)
    decoded = space.decode(space.encode(spec))
    assert decoded.blocks() == spec.blocks()
    settings = {"activation": spec.activation, "stochastic_depth": spec.stochastic_depth}
    assert decoded.replace(**settings).digest == spec.digest


def test_membership_of_the_benchmark_space():
    space = get_space("accel-nasbench")
    assert space.contains(reference("efficientnet-b0"))
    for name in ("mobilenet-v2", "mnasnet-a1", "resnet50"):
        assert not space.contains(reference(name))
    with pytest.raises(NotInSpaceError, match=r"stage2.channels 32"):
        space.encode(reference("mobilenet-v2"))


@pytest.mark.parametrize("name", [name for name in REFERENCES if "v2-" in name or "v4" in name])
def test_the_published_networks_are_members_of_their_spaces(name):
    space = get_space("efficientnet-v2" if name.startswith("efficientnetv2") else "mobilenet-v4")
    spec = reference(name)
    architecture = space.encode(spec)
    assert space.canonical(architecture) == architecture
    decoded = space.decode(architecture)
    settings = {field: getattr(spec, field) for field in ("resolution", "dropout")}
    assert decoded.replace(**settings).digest == spec.digest
    # of what they are made, and no more: another expansion of a block is another network, or none
    for other in list(space.neighbours(architecture))[::17]:
        assert space.decode(other).digest != decoded.digest
    wider = spec.stages[-1].channels + 8
    with pytest.raises(NotInSpaceError):
        space.encode(spec.replace(stages=(*spec.stages[:-1], replace(spec.stages[-1], channels=wider))))


def test_round_trips(space):
    rng = np.random.default_rng(1)
    for _ in range(100):
        architecture = space.sample(rng)
        spec = space.decode(architecture)
        assert space.contains(architecture)
        assert space.encode(spec) == architecture
        assert space.from_choices(space.choices(architecture)) == architecture


def test_sampling_is_uniform(space):
    rng, draws = np.random.default_rng(2), 6000
    samples = np.array([space.sample(rng) for _ in range(draws)])
    counting = space.counting(samples)
    for index, decision in enumerate(space.decisions):
        counts = np.bincount(samples[counting[:, index], index], minlength=len(decision))
        expected = draws * np.array([space.share(index, choice) for choice in range(len(decision))])
        if not space.conditions:
            assert expected == pytest.approx(draws / len(decision))
        rare = expected < 5
        assert counts[rare].sum() < 20
        chi2 = ((counts[~rare] - expected[~rare]) ** 2 / expected[~rare]).sum()
        assert chi2 < 25 + 2 * len(decision), decision  # beyond the 99.99% quantile


def test_whole_architectures_are_uniform(tiny):
    rng = np.random.default_rng(3)
    seen = [tiny.sample(rng) for _ in range(24 * 400)]
    counts = [seen.count(a) for a in tiny.enumerate()]
    assert sum((c - 400) ** 2 / 400 for c in counts) < 60  # 23 degrees of freedom


def test_mutation_changes_exactly_one_decision(space):
    rng = np.random.default_rng(4)
    architecture = space.sample(rng)
    hit = set()
    for _ in range(600):
        mutant = space.mutate(architecture, rng)
        changed = [i for i, (a, b) in enumerate(zip(architecture, mutant, strict=True)) if a != b]
        # and what counts with one of its choices alone
        assert len(changed) == 1 or all(space.conditions[i][0] == changed[0] for i in changed[1:])
        hit.add((changed[0], mutant[changed[0]]))
    open_decisions = space.counting(architecture)
    assert len({position for position, _ in hit}) > 0.95 * open_decisions.sum()
    if not space.conditions:
        others = sum(len(decision) - 1 for decision in space.decisions)
        assert len(hit) > 0.95 * others  # all ways to mutate are taken


def test_neighbours_are_all_at_distance_one(tiny):
    architecture = Architecture((0, 1, 0, 1))
    found = list(tiny.neighbours(architecture))
    expected = {a for a in tiny.enumerate() if a.distance(architecture) == 1}
    assert set(found) == expected
    assert len(found) == len(expected)


def test_crossover_takes_every_choice_from_a_parent(space):
    rng = np.random.default_rng(5)
    a, b = space.sample(rng), space.sample(rng)
    children = [space.crossover(a, b, rng) for _ in range(50)]
    assert all(c in (x, y) for child in children for c, x, y in zip(child, a, b, strict=True))
    assert len(set(children)) > 40


def test_equal_networks_have_equal_digests():
    space = get_space("mnasnet")
    choices = space.choices(space.encode(reference("efficientnet-b0")))
    # one layer that widens: an identity skip has nothing to add to
    same = space.decode(space.from_choices({**choices, "stage0.skip": "none"}))
    other = space.decode(space.from_choices({**choices, "stage0.skip": "pooling"}))
    b0 = reference("efficientnet-b0")
    assert same.digest == b0.digest
    assert other.digest != b0.digest


def test_foreign_architectures_are_refused(space):
    good = space.sample(np.random.default_rng(0))
    for bad in (good[:-1], (*good, 0), (99, *good[1:]), (-1, *good[1:])):
        assert not space.contains(Architecture(bad))
        with pytest.raises(NotInSpaceError):
            space.decode(Architecture(bad))


def test_user_space_from_a_file(tmp_path, tiny):
    path = tmp_path / "tiny.yaml"
    write_document(path, tiny.to_document())
    again = get_space(str(path))
    assert again.decisions == tiny.decisions
    assert [again.decode(a).digest for a in again.enumerate()] == [
        tiny.decode(a).digest for a in tiny.enumerate()
    ]
    assert math.prod(map(len, again.decisions)) == 24


@pytest.mark.parametrize("name", SPACES)
def test_built_in_spaces_are_data_too(name):
    space = get_space(name)
    again = StagedSpace.from_document(space.to_document())
    rng = np.random.default_rng(6)
    for _ in range(20):
        architecture = space.sample(rng)
        assert again.decode(architecture) == space.decode(architecture)


STAGE = {"op": ["ds"], "channels": [8]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"space": "x", "stages": [STAGE]}, "schema"),
        ({"schema": 2, "space": "x", "stages": [STAGE]}, "schema 2"),
        ({"schema": 1, "space": "x", "stages": []}, "stages"),
        ({"schema": 1, "space": "x", "stages": 3}, "stages"),
        ({"schema": 1, "space": "x", "stages": [STAGE], "sages": 1}, "did you mean 'stages'"),
        ({"schema": 1, "space": "x", "stages": [{**STAGE, "op": ["mbconw6"]}]}, "stages\\[0\\].*mbconw6"),
        ({"schema": 1, "space": "x", "stages": [{**STAGE, "op": ["mbconv1"]}]}, "write it 'ds'"),
        ({"schema": 1, "space": "x", "stages": [{**STAGE, "kernel": [4]}]}, "odd"),
        ({"schema": 1, "space": "x", "stages": [{**STAGE, "channels": []}]}, "at least one choice"),
        ({"schema": 1, "space": "x", "stages": [{**STAGE, "channels": [0]}]}, "channels 0"),
        ({"schema": 1, "space": "x", "stages": [{**STAGE, "channels": [8, 8]}]}, "repeat"),
        ({"schema": 1, "space": "x", "stages": [STAGE]}, "no decisions"),
        (
            {"schema": 1, "space": "x", "stages": [STAGE], "network": {"activation": "rel"}},
            "did you mean 'relu'",
        ),
    ],
)
def test_broken_space_documents(document, message):
    with pytest.raises(InputError, match=message):
        StagedSpace.from_document(document)


def test_unknown_space_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean 'mnasnet'"):
        get_space("mnasent")
