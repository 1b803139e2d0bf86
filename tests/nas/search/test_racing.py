"""The race of finalists: who is trained again, when it ends, and how often it is right."""

import numpy as np
import pytest

from nas.benchmark.landmarks import true_rewards
from nas.benchmark.load import load_surrogate
from nas.search.racing import Race
from nas.search.reward import make_reward
from search_spaces import InputError


def run(true, error, rng, shift=0.0, **settings):
    """A race of values with noise, each round on a level of its own."""
    race = Race([str(place) for place in range(len(true))], **settings)
    while asked := race.ask():
        level = shift * rng.normal()
        race.tell({name: true[int(name)] + level + error * rng.normal() for name in asked})
    return race


def test_ten_finalists_on_the_benchmark_with_its_noise():
    """The best is chosen in nine of ten races, with half of the trainings of ten networks x three seeds."""
    surrogate, reward = load_surrogate(), make_reward("soft", {"benchmark_macs": "400M"})
    sizes, rng = [len(decision) for decision in surrogate.space.decisions], np.random.default_rng(1)
    rewards = true_rewards(surrogate, "mlp", reward)(rng.integers(sizes, size=(2000, len(sizes))))
    noise, right, trainings, claimed = float(surrogate.about["noise"]) / 100, 0, 0, 0.0
    for _ in range(200):
        true = rewards[rng.choice(2000, 10, replace=False)]
        race = run(true, noise, rng, probability=0.9, noise=noise, most=5)
        first = race.standings[0]
        right, trainings = right + (int(first.name) == true.argmax()), trainings + race.trainings
        claimed += race.certainty / 200
    assert right >= 180
    assert trainings / 200 <= 15
    assert claimed == pytest.approx(right / 200, abs=0.05)  # as sure as it may be


def test_only_the_contested_are_trained_again():
    rng = np.random.default_rng(0)
    race = run(np.array([0, 0.01, 5, 5.3, 0.5]), 1.0, rng, probability=0.99, noise=1.0, most=200)
    told = {one.name: one.trainings for one in race.standings}
    assert max(told["0"], told["1"], told["4"]) < 5
    assert min(told["2"], told["3"]) > 20
    assert race.decided
    assert race.standings[0].name == "3"
    assert race.better("3", "2") > 0.98
    assert race.better("2", "3") == pytest.approx(1 - race.better("3", "2"))
    assert race.standings[1].beaten == pytest.approx(race.better("3", "2"))


def test_what_a_seed_does_to_all_is_no_difference():
    """Rounds on levels that differ by far more than the finalists do."""
    rng, right, spent = np.random.default_rng(2), 0, 0
    for _ in range(30):
        true = np.array([0.0, 1, 2, 3, 6])
        race = run(true, 0.5, rng, shift=50.0, probability=0.95, noise=0.5)
        right, spent = right + (race.standings[0].name == "4"), spent + race.trainings
    assert right == 30
    assert spent / 30 < 6


def test_an_unknown_noise_is_estimated_and_makes_less_sure():
    rng, spent, found = np.random.default_rng(3), [], []
    true = np.linspace(0, 3, 6)
    for known in (0.3, None):
        races = [run(true, 0.3, rng, probability=0.95, noise=known) for _ in range(20)]
        spent.append(sum(race.trainings for race in races))
        assert sum(race.standings[0].name == "5" for race in races) >= 18
        found = [race.spread[0] for race in races]
    assert spent[1] > spent[0]
    assert np.median(found) == pytest.approx(0.3, rel=0.4)
    fresh = Race("abcdef")
    fresh.tell({name: float(place) for place, name in enumerate("abcdef")})
    assert fresh.spread is None
    assert fresh.ask() == ["f", "e", "d"]  # once trained, nothing tells the noise: the better half again


def test_a_difference_that_does_not_matter_ends_it():
    rng = np.random.default_rng(4)
    true = np.array([1.0, 1.001, 0])
    close = run(true, 0.1, rng, probability=0.95, noise=0.1, most=20)
    assert not close.decided
    enough = run(true, 0.1, rng, probability=0.95, noise=0.1, most=20, margin=0.2)
    assert enough.decided
    assert enough.trainings < close.trainings / 2


def test_what_a_search_has_measured_saves_trainings():
    rng, spent = np.random.default_rng(5), []
    for use in (False, True):
        total = 0
        for _ in range(20):
            true = rng.normal(0, 2, 8)
            prior = [(value + rng.normal(0, 0.5), 0.5) for value in true] if use else None
            total += run(true, 0.5, rng, probability=0.9, noise=0.5, prior=prior).trainings
        spent.append(total)
    assert spent[1] < spent[0] / 1.5


def test_who_has_no_result_is_out():
    race = Race("abc", noise=0.1)
    assert race.ask() == ["a", "b", "c"]
    race.tell({"a": 1.0, "b": 1.0})
    assert race.out == ["c"]
    assert set(race.ask()) == {"a", "b"}
    race.tell({"a": 1.0})
    assert race.out == ["c", "b"]
    assert race.ask() == []
    assert race.standings[0].name == "a"


def test_numbers_out_of_their_range():
    for given, words in (
        ({"names": ["a"]}, "1 different finalists"),
        ({"names": ["a", "a"]}, "1 different finalists"),
        ({"probability": 1.0}, "probability 1"),
        ({"noise": 0.0}, "noise 0"),
        ({"most": 0}, "most 0"),
        ({"margin": -1.0}, "margin -1"),
    ):
        with pytest.raises(InputError, match=words):
            Race(**{"names": ["a", "b"], **given})
    race = Race("ab")
    with pytest.raises(InputError, match="not asked"):
        race.tell({"c": 1.0})
    with pytest.raises(InputError, match="nan"):
        race.tell({"a": float("nan")})
