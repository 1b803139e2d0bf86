import numpy as np
import pytest

from nas.report.remarks import converged_words
from nas.search.convergence import AT_LEAST, WINDOW, Convergence
from search_spaces.errors import InputError


def watched(rewards, chance=0.001, price=100):
    watch = Convergence(price)
    for reward in rewards:
        watch.asked({"predictor/chance": chance})
        watch.ended(reward)
    return watch


def test_an_improvement_that_costs_too_much_ends_a_search():
    watch = watched([None] + [0.5] * 149, 0.005)
    assert watch.trials_per_improvement == pytest.approx(200)
    assert watch.reached
    assert not watched([0.5] * 150, 0.011).reached  # the predictor still hopes


def test_what_the_results_cannot_tell_is_not_claimed():
    assert watched([0.5] * 149).trials_per_improvement is None
    # half an improvement in 150 results, however little the predictor expects
    assert watched([0.5] * 150, 0).trials_per_improvement == pytest.approx(300)
    assert watched([0.5] * 300, 0, price=200).trials_per_improvement == pytest.approx(600)


def test_a_surprise_keeps_it_going_for_as_long_as_it_takes_to_be_sure():
    watch = watched([0.5] * 150)
    assert watch.reached
    watch.ended(0.6)
    assert watch.trials_per_improvement == pytest.approx(100)
    for _ in range(149):
        assert not watch.reached
        watch.ended(0.6)
    watch.ended(0.6)
    assert watch.reached


def test_a_small_price_still_looks_at_some_results():
    assert watched([0.5] * (AT_LEAST - 1), price=3).reached is False
    assert watched([0.5] * AT_LEAST, price=3).reached
    assert watched([0.5] * (WINDOW - 1), price=3).trials_per_improvement is None
    with pytest.raises(InputError, match="price 0.5"):
        Convergence(0.5)


def test_it_goes_on_where_it_was():
    first = watched([0.5, 0.55, 0.6, *[0.6] * 140])
    second = Convergence(100)
    second.load_state_dict(first.state_dict())
    for watch in (first, second):
        for _ in range(9):
            watch.asked({"predictor/chance": 0.002})
            watch.ended(0.6)
    assert first.state_dict() == second.state_dict()
    assert first.forecast(100) == second.forecast(100)
    assert first.forecast(100) is not None


def test_a_forecast_is_that_of_its_process():
    watch = watched([0.5, 0.6, 0.7, *[0.7] * 150], 0.02)
    told = watch.forecast(100)
    rng = np.random.default_rng(0)
    sums = [rng.exponential(0.1, count).sum() for count in rng.poisson(2, 40_000)]
    assert told.mean == pytest.approx(0.2)
    assert told.low == 0 == np.quantile(sums, 0.05)
    assert told.high == pytest.approx(np.quantile(sums, 0.95), rel=0.02)
    many = watch.forecast(1000)
    sums = [rng.exponential(0.1, count).sum() for count in rng.poisson(20, 40_000)]
    assert [many.low, many.high] == pytest.approx(np.quantile(sums, [0.05, 0.95]), rel=0.02)


def test_the_last_line_says_what_more_would_bring():
    words = converged_words(watched([0.5, 0.6, *[0.6] * 150], 0.005), 152)
    assert words == (
        "converged after 152 trials: the next worthwhile improvement would take about 200 more (price: 100); "
        "100 more are expected to raise the best reward by 0.05 (90%: 0 to 0.26)"
    )
