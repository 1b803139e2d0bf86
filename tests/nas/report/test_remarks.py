"""Words on the data: each once, and as it is written."""

import io
from types import SimpleNamespace

from rich.console import Console

from nas.commands.common import out
from nas.report.progress import SearchProgress
from nas.report.remarks import print_once, suspicious


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
