"""Controllers on tables of one's own and on functions of known structure."""

import itertools
import json

import numpy as np
import pytest

from nas.benchmark.choice_space import ChoiceSpace
from nas.benchmark.compare import Task, compare_controllers, run_task
from nas.benchmark.source import OracleSource, make_oracle, sources_of
from nas.benchmark.synthetic import SYNTHETIC, synthetic_oracle
from nas.benchmark.table import read_table
from search_spaces import InputError, NotInSpaceError, reference
from search_spaces.architecture import Architecture
from search_spaces.decision import Decision
from tests.command import good, nas


def grid(keep=lambda a, b, c: True, again=()):
    """Three decisions whose best is (7, 'y', 16), MACs with it."""
    lines = ["kernel,op,width,accuracy,macs,cost:energy"]
    for a, b, c in [*itertools.product((3, 5, 7), "xyz", (8, 16, 32)), *again]:
        if keep(a, b, c):
            accuracy = 0.5 + a / 100 + 0.1 * (b == "y") - abs(c - 16) / 200
            lines.append(f"{a},{b},{c},{accuracy},{a * c},{c / 10}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "mine.csv").write_text(text)
        return str(tmp_path / "mine.csv")

    return write


def test_a_table_is_understood(write):
    table = read_table(write(grid()))
    assert table.complete
    assert table.describe() == (
        "mine.csv: 27 of 27 architectures; decisions kernel (3), op (3), width (3); costs macs, energy"
    )
    oracle = table.oracle({"macs": 80.0}, -0.5)
    best = Architecture((2, 1, 1))
    assert table.space.choices(best) == {"kernel": 7, "op": "y", "width": 16}
    accuracy = 0.5 + 0.07 + 0.1
    assert oracle.accuracy(best) == pytest.approx(accuracy)
    assert oracle.rewards(np.array([best]))[0] == pytest.approx(accuracy * (112 / 80) ** -0.5)
    slope, offset = oracle.objective(np.array([best]))
    assert slope[0] * accuracy + offset[0] == pytest.approx(oracle.rewards(np.array([best]))[0])
    assert table.oracle({}).landmarks().architecture == best
    every = oracle.rewards(table.rows)
    assert oracle.landmarks().best == every.max()
    assert oracle.landmarks().median == np.median(every)
    assert oracle.landmarks().b0 is None


def test_further_trainings_are_averaged_and_give_the_noise(write):
    text = grid() + "3,x,8,0.40,24,0.8\n3,x,8,0.43,24,0.8\n"
    table = read_table(write(text))
    assert (len(table.rows), table.repeated) == (27, 2)
    once = 0.5 + 0.03 - 0.04
    assert table.accuracies[table.places[Architecture((0, 0, 0))]] == pytest.approx((once + 0.83) / 3)
    assert table.noise == pytest.approx(np.std([once, 0.4, 0.43], ddof=1))
    assert "(2 more rows are further trainings)" in table.describe()
    with pytest.raises(InputError, match=r"noise: mine.csv has one accuracy of each"):
        read_table(write(grid())).oracle({}).noise_asked()


def test_a_table_with_gaps_answers_with_the_nearest_row_left(write):
    table = read_table(write(grid(lambda a, b, c: (a, b) != (7, "y"))))
    assert not table.complete
    assert "24 of 27 architectures" in table.describe()
    assert table.describe().endswith("a proposal that it lacks is answered by the nearest row left")
    wanted = Architecture((2, 1, 1))
    first = table.nearest(wanted, set())
    assert sum(a != b for a, b in zip(first, wanted, strict=True)) == 1
    assert table.nearest(wanted, {first}) != first
    assert table.nearest(Architecture((0, 0, 0)), set()) == (0, 0, 0)
    for controller in ("random", "predictor", "evolution", "local-search"):
        trace = run_task(
            Task(controller, OracleSource(write(grid(lambda a, b, c: (a, b) != (7, "y"))), "table"), 0, 99)
        )
        assert len(trace.rewards) == 24  # each row once, then it is exhausted
        assert trace.rewards.max() == table.accuracies.max()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'accuracy'"),
        ("a,b\n1,2\n", "no column 'accuracy' among a, b"),
        ("a,accuracy\n", "no rows"),
        ("a,accuracy\n1\n", "row 2 has 1 values, the header 2"),
        ("a,accuracy\n1,x\n", "row 2: accuracy 'x': expected a number"),
        ("a,accuracy\n1,nan\n", "row 2: accuracy 'nan': expected a number"),
        ("a,accuracy\n1,93.2\n", "row 2: accuracy 93.2: expected a fraction"),
        ("a,accuracy,macs\n1,.5,0\n", "row 2: macs 0: expected more than 0"),
        ("a,a,accuracy\n1,2,.5\n", "two columns are called 'a'"),
        (",a,accuracy\n0,2,.5\n", "column 1 has no name"),
        ("accuracy,macs\n.5,3\n", "no decision"),
        ("a,accuracy,macs\n1,.5,3\n1,.5,4\n", "row 3: macs 4, where an earlier row of its architecture has 3"),
        ("a,accuracy\n\"1,.5\n", "no CSV"),
        ("id,a,accuracy\n" + "".join(f"{i},{i % 2},.5\n" for i in range(30)), "column 'id' has another value"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(text, message, write):
    with pytest.raises(InputError, match=message):
        read_table(write(text))


def test_numbers_are_choices_in_their_order_and_texts_in_theirs(write):
    table = read_table(write("a,b,accuracy\n10,z,.1\n9,y,.2\n9.5,10,.3\n"))
    assert [decision.choices for decision in table.space.decisions] == [(9, 9.5, 10), ("10", "y", "z")]


def test_words_that_concern_nothing_are_refused(write):
    path = write(grid())
    for given, message in (
        ({"targets": ["macs=3"]}, "target 'macs=3'"),  # of the benchmark
        ({"tables": [path], "targets": ["300M"]}, "target '300M': nothing that is compared here"),
        ({"tables": [path], "exponent": -1.0}, "exponent -1.0: nothing"),
        ({"tables": [path], "targets": ["watts=3"]}, "unknown cost of table .* 'watts'"),
        ({"tables": [path], "targets": ["macs=-3"]}, "target '-3' for macs: expected a positive"),
        ({"functions": ["two"], "data": "x"}, "benchmark-data 'x': nothing"),
        ({"functions": ["tow"]}, "did you mean 'two'"),
        ({"functions": ["two:x"]}, "expected a number of at most 9 digits"),
    ):
        all_given = {
            "families": (), "tables": (), "functions": (), "data": None, "targets": (), "exponent": None, **given
        }  # fmt: skip
        with pytest.raises(InputError, match=message):
            for source in sources_of(**all_given, say=lambda text: None):
                make_oracle(source)


def test_stand_ins_of_architectures_are_told_apart():
    space = ChoiceSpace("c", (Decision("a", ("x", "y")), Decision("b", (1, 2, 3))))
    every = list(space.enumerate())
    assert len({space.decode(architecture).digest for architecture in every}) == 6
    assert [space.encode(space.decode(architecture)) for architecture in every] == every
    assert space.contains(space.decode(every[3]))
    with pytest.raises(NotInSpaceError):
        space.encode(reference("efficientnet-b0"))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_functions_have_a_best_inside_and_are_the_same_everywhere(name):
    oracle, again, other = (synthetic_oracle(text) for text in (name, name, f"{name}:1"))
    rng = np.random.default_rng(5)
    rows = np.array([oracle.space.sample(rng) for _ in range(200)])
    rewards = oracle.rewards(rows)
    assert np.array_equal(rewards, again.rewards(rows))
    assert not np.array_equal(rewards, other.rewards(rows))
    accuracies = [oracle.accuracy(Architecture(row)) for row in rows.tolist()]
    assert 0 < min(accuracies) < max(accuracies) < 1
    single = [
        oracle.reward(a, oracle.costs(Architecture(r)))
        for a, r in zip(accuracies, rows.tolist(), strict=True)
    ]
    assert np.allclose(single, rewards)


def test_a_shuffled_function_is_the_ordered_one_in_another_order():
    """Else the comparison of the two would tell nothing of order."""
    table = synthetic_oracle("ordered").rewards
    line = np.zeros((9, 15), dtype=np.int64)
    line[:, 4] = np.arange(9)
    assert np.all(np.diff(np.sign(np.diff(table(line)))) <= 0)  # up, then down
    shuffled = synthetic_oracle("shuffled").rewards(line)
    assert (np.diff(np.sign(np.diff(shuffled))) != 0).sum() > 2


def test_the_command_on_a_table(write, tmp_path):
    path = write(grid())
    found = json.loads(
        good("compare", "--table", path, "--target", "macs=80", "--exponent", "-0.5", "--controller", "random:27",
             "--seeds", "2", "--json", "--processes", "1")
    )  # fmt: skip
    (row,) = found["rows"]
    assert (row["surrogate"], row["kind"], row["99.9%"] is not None) == ("mine.csv", "table", True)
    assert "B0" not in row
    done = nas("compare", "--table", path, "--noise", cwd=tmp_path)
    assert (done.returncode, "which tells none" in done.stderr) == (2, True)
    done = nas("compare", "--table", "nowhere.csv", cwd=tmp_path)
    assert (done.returncode, "nowhere.csv: No such file" in done.stderr) == (2, True)


@pytest.mark.slow
def test_functions_beside_the_benchmark():
    sources = [OracleSource("two", "synthetic"), OracleSource("mlp")]
    found = compare_controllers([("random", 30)], sources, range(1), processes=1)
    assert list(found.landmarks) == ["two", "mlp"]
    assert "B0" in found.row("random", "mlp")
    assert "B0" not in found.row("random", "two")
