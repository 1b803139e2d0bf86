"""A search that is a part of a study is gone on with by the same command, and by no other."""

from dataclasses import replace

import pytest
from rich.console import Console

from nas.commands import part
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.placement import Placement
from search_spaces import reference
from search_spaces.errors import InputError

DIGEST = "0123456789abcdef"


def asked(**more):
    return make_settings(data="digits", **more).over("networks", {"one": reference("mobilenet-v2")})


@pytest.fixture
def again(tmp_path, monkeypatch):
    """Asks for a part that has begun, by these settings or as an earlier version began it."""
    monkeypatch.setattr(part, "resume_search", lambda folder, *more: folder)

    def ask(settings, **earlier):
        base = asked()
        decided = {"cache": "off", "folds": 1, "held_out": None} | earlier
        Run.create(tmp_path / "p", replace(base, evaluator=replace(base.evaluator.kept(DIGEST), **decided)))
        return part.run_part(tmp_path / "p", settings, Placement(), Console())

    return ask


@pytest.mark.parametrize("decided", [{}, {"cache": "on", "folds": 3, "held_out": 100}])
def test_what_was_left_to_us_is_what_the_part_decided(decided, again, tmp_path):
    assert again(asked(), **decided) == tmp_path / "p"


SAID = [{"folds": 2}, {"held_out": 50}, {"cache": "on"}, {"recipe_changes": {"epochs": 2}}, {"width": 0.1}]


@pytest.mark.parametrize("said", SAID)
def test_what_was_said_has_to_be_the_parts(said, again):
    (name,) = said
    with pytest.raises(InputError, match=f"({name.replace('_', '-')}|epochs) .*; choose another --out"):
        again(asked(**said))


def test_parts_of_one_study_begin_alike(again, tmp_path):
    with pytest.raises(InputError, match="init 'identity': .* 'published'; --set init=published goes on"):
        again(asked(), recipe_init=None)


def test_a_study_from_before_goes_on_by_the_word_that_it_gives(again, tmp_path):
    assert again(asked(recipe_changes={"init": "published"}), recipe_init=None) == tmp_path / "p"


def test_another_start_than_the_parts_is_refused(again):
    with pytest.raises(InputError, match="init 'published': .* began with 'identity'"):
        again(asked(recipe_changes={"init": "published"}))
