"""Words on the data: each once, and as it is written."""

import io
from types import SimpleNamespace

from rich.console import Console

from nas.benchmark.evaluator import BenchmarkEvaluator
from nas.commands.common import out
from nas.report.progress import SearchProgress
from nas.report.remarks import print_once, suspicious
from nas.runs.scored_on import ScoredOn
from nas.search.function_evaluator import FunctionEvaluator
from tests.command import nas


def test_a_remark_is_said_once_and_keeps_its_brackets():
    console = Console(file=io.StringIO(), width=40)
    for remark in ("no images of class '[bold]x'", "another") * 2:
        print_once(f"imagefolder:[red]: {remark}", console)
    lines = console.file.getvalue().splitlines()
    assert lines == ["imagefolder:[red]: no images of class '[bold]x'", "imagefolder:[red]: another"]


def test_names_are_no_markup_on_any_console(capsys):
    out().print("[red]x :car:")
    assert capsys.readouterr().out == "[red]x :car:\n"


def test_an_accuracy_of_one_after_the_first_epoch_is_worth_a_word():
    assert "held-out accuracy 1.0 after epoch 1" in suspicious(1, 1.0)
    assert suspicious(1, 0.999) is None
    assert suspicious(2, 1.0) is None
    console = Console(file=io.StringIO(), width=400)
    progress = SearchProgress(console, 2, 3, [])
    for number in range(2):
        progress.measured(SimpleNamespace(id=number), {"epoch": 1, "accuracy": 1.0})
    assert console.file.getvalue().count("trial 0: held-out accuracy 1.0") == 1
    assert "trial 1" not in console.file.getvalue()


def test_a_search_that_only_guessed_says_so(tmp_path, monkeypatch):
    command = ["search", "--evaluator", "benchmark", "--trials", "4", "--out"]
    said = "of 4 trials are no better than guessing (an accuracy up to"
    for chance, count in ((0.61, 3), (0.001, 0)):
        monkeypatch.setattr(BenchmarkEvaluator, "chance", property(lambda _, c=chance: c, lambda *_: None))
        done = nas(*command, tmp_path / f"b{chance}")
        assert done.returncode == 0
        assert (f"{count} {said} {chance}" in done.stderr) == bool(count), done.stderr


def test_of_a_function_with_classes_the_chance_is_known(tmp_path, monkeypatch):
    (tmp_path / "guesses.py").write_text("def score(spec):\n    return 0.1\n\n\nscore.num_classes = 10\n")
    monkeypatch.chdir(tmp_path)
    evaluator = FunctionEvaluator("guesses:score", folder=str(tmp_path))
    assert evaluator.chance == 0.1
    for classes in (1, 0):  # no classification
        (tmp_path / f"value{classes}.py").write_text(
            f"def score(spec):\n    return 0.1\n\n\nscore.num_classes = {classes}\n"
        )
        assert FunctionEvaluator(f"value{classes}:score", folder=str(tmp_path)).chance == 0
    known = ScoredOn.of(evaluator)
    assert known.remarks([0.1, 0.1, 0.3])[0].startswith("2 of 3 trials are no better than guessing")
    assert known.remarks([0.1, 0.2, 0.3]) == known.remarks([]) == []
