"""What a search aims at when no target is given: what its space is made for, at the winner's resolution."""

import pytest

from nas.commands.search import search
from nas.runs.settings import SearchSettings
from search_spaces.registry import SPACES, usual_target


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """The settings of a search that isn't begun."""

    def settings(*options):
        found = []
        monkeypatch.setattr(
            "nas.commands.search.start_search", lambda made, *more, **named: found.append(made)
        )
        monkeypatch.setattr("nas.commands.search.report_search", lambda work, *more: work())
        search.main([*options, "--out", str(tmp_path / "run")], standalone_mode=False)
        assert isinstance(found[0], SearchSettings)
        return found[0]

    return settings


@pytest.mark.parametrize(
    ("options", "macs"),
    [
        ([], 400e6),
        (["--space", "mnasnet"], 400e6),
        (["--space", "efficientnet-v2"], 2.85e9),
        (["--space", "mobilenet-v4"], 0.83e9),
        (["--space", "mobilenet-v4", "--full-resolution", "112"], 0.83e9 / 4),
        (["--full-resolution", "112"], 100e6),
        (["--space", "mobilenet-v4", "--target", "300M"], 300e6),
    ],
)
def test_it_is_the_spaces(settings_of, options, macs):
    assert settings_of(*options).reward.targets == {"macs": pytest.approx(macs)}


def test_every_built_in_space_has_members_about_its_target():
    import numpy as np

    from nas.network import CostTable

    for name, make in SPACES.items():
        space, rng = make(), np.random.default_rng(0)
        macs = CostTable(space)([space.sample(rng) for _ in range(2000)], "macs")
        assert (abs(np.log2(macs / usual_target(name))) < 0.5).any(), name
