"""What runs a search's loop on Ray, by a placement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from nas.errors import HeadLostError
from nas.runs.placement import Placement
from nas.search.evaluator import Evaluator
from nas.search.loop import SearchLoop
from search_spaces.quoting import shell_command
from search_spaces.space import SearchSpace

if TYPE_CHECKING:  # it loads Ray
    from nas.cluster.joining import Joining


class RunLoop(Protocol):
    """Runs a loop until it is done.

    It calls `tick` often, for the view to be redrawn. `part` is the place in the run's folder of a run that
    comes before the search: no trial of it is ended early, and the cluster is needed afterwards.
    """

    def __call__(self, loop: SearchLoop, tick: Callable[[], None], part: str = "") -> None:
        """Run it."""


def on_ray(
    whole: Evaluator,
    space: SearchSpace,
    joining: Joining,
    scheduler: str,
    folder: Path,
    placement: Placement,
    console: Console,
) -> tuple[Evaluator, str, RunLoop]:
    """The evaluator without its data, how many trials run at once on what, and what runs them."""
    from nas.cluster.allotment import allot
    from nas.cluster.gpus import words_for
    from nas.cluster.nodes import check_room
    from nas.cluster.tune import run_on_ray, share

    dashboard = joining.wait()
    resources, whole.workers, remarks = allot(placement, whole, space)
    width = f"{check_room(resources)} at once"
    for remark in remarks:
        console.print(remark, highlight=False, soft_wrap=True)
    if resources.gpus:
        width += f" on {words_for(resources.gpus)} each"
    shared = share(whole)
    if dashboard:
        console.print(f"Ray dashboard: {dashboard}", highlight=False)

    def run(loop: SearchLoop, tick: Callable[[], None], part: str = "") -> None:
        storage = placement.storage and "/".join(filter(None, (placement.storage, part, "checkpoints")))
        try:
            run_on_ray(
                loop,
                shared,
                folder / part,
                resources,
                "none" if part else scheduler,
                placement.retries,
                tick,
                storage=storage,
                timeout=placement.timeout,
                dashboard=dashboard,
                say=lambda text: console.print(text, style="yellow"),
                disconnect=joining.ours and not placement.stay and not part,
            )
        except HeadLostError as error:
            raise HeadLostError(
                f"{folder}: {error}; what had ended is kept, "
                f"continue with: {shell_command('nas', 'resume', folder)}"
            ) from None

    return shared.light, width, run
