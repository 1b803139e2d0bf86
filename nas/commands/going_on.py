"""What is said when a training is stopped or can't write: how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from search_spaces.errors import InputError

if TYPE_CHECKING:
    from nas.report.tensorboard import TrainingCurves
    from nas.training.full import Outputs


@contextmanager
def goes_on(
    outputs: Outputs, curves: TrainingCurves, what: str, again: str, say: Callable[[str], None]
) -> Iterator[None]:
    """Close the curves whatever happens, and say how a training goes on that hasn't ended.

    Args:
        outputs: where it writes.
        curves: of it.
        what: is safe, in words.
        again: the command that goes on.
        say: told of an interruption.

    Raises:
        InputError: in place of an `OSError` (of the event file, say, on a full disk).
    """
    try:
        yield
        curves.close()
    except BaseException as error:
        with suppress(OSError):
            curves.close()
        if isinstance(error, KeyboardInterrupt) and outputs.last.is_file():
            say(f"\ninterrupted; go on with: {again}")
        if isinstance(error, OSError):
            raise InputError(
                f"{outputs.folder}: cannot write: {error.strerror or error}; {what} is safe, go on with: "
                f"{again}"
            ) from None
        raise
