"""A search from start to end: data, cluster, journal, observers, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from controller.registry import CONTROLLERS
from nas.cluster.runner import RunLoop, on_ray
from nas.export.exportable import describe_space
from nas.runs.copies import check_lost
from nas.runs.folder import Run, check_new, check_run_places, sweep
from nas.runs.link import copy_of, kept_copy
from nas.runs.measured import EXPONENT
from nas.runs.mirror import Mirror, has_run
from nas.runs.placement import Placement
from nas.runs.scored_on import ScoredOn
from nas.runs.settings import SearchSettings
from nas.runs.storage import is_url
from nas.search.evaluator import Evaluator
from nas.search.in_process import run_in_process
from nas.search.journal import check_unused
from nas.search.loop import SearchLoop
from nas.search.own_cost import other_costs
from nas.search.reward import AUTO
from nas.search.rungs import check_ending
from nas.search.snapshot import Snapshots
from nas.search.trial import Record
from nas.studies.exponent import ExponentStudy
from nas.studies.prior import learn_prior
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.quoting import shell_command
from search_spaces.targets import check_folder, same_file

if TYPE_CHECKING:  # it loads Ray
    from nas.cluster.joining import Joining


def start_search(settings: SearchSettings, folder: Path, placement: Placement, console: Console) -> Run:
    """Run a new search in a new folder.

    Everything that can be wrong with the input is checked before the folder is made.

    Raises:
        InputError: a setting, the data, the cluster or the folder.
    """
    check_folder(folder)
    check_new(folder)
    space = replace(settings.space, document=settings.make_space().to_document())
    settings = replace(settings, space=space)
    if settings.coarse is not None:  # a share is of the trials that it begins with
        settings = replace(settings, coarse=settings.coarse.decided(settings.trials))
    settings.check(lambda text: console.print(text, style="dim"))
    for above in folder.absolute().parents:
        if Run.is_run(above):
            raise InputError(f"out {folder}: is inside the run {above}; choose another --out")
    if placement.storage:
        copy = copy_of(placement.storage, folder)
        if not is_url(copy) and same_file(copy, folder):
            raise InputError(
                f"storage {placement.storage!r}: its copy of the run would be the run itself; choose another"
            )
        if has_run(copy):
            raise InputError(
                f"storage {copy!r}: there is a run already; `{shell_command('nas', 'resume', copy)}` goes "
                "on with it, or choose another --out"
            )
        placement = replace(placement, storage=copy)
    placement = replace(placement, cpus=1 if placement.cpus is None else placement.cpus)
    return _run(settings, folder, placement, settings.trials, console, new=True)


def resume_search(
    folder: Path,
    placement: Placement,
    console: Console,
    trials: int | None = None,
    data: str | None = None,
    data_root: str | None = None,
) -> Run:
    """Continue a run; with `trials`, to another number of them.

    Args:
        folder: of the run.
        placement: where it goes on.
        console: for progress.
        trials: how many in all; None: the run's.
        data, data_root: where its data lies now; None: where it was.

    Raises:
        InputError: no run there, a broken journal, another process on it, the data or the cluster.
    """
    run = Run.open(folder)
    check_run_places(folder)
    check_lost(folder, run.settings)
    check_unused(folder)  # before data are read and Ray is started
    # a tracker may lack trials, and is asked
    tracked = placement.log is not None or bool(placement.kept_in(folder).log)
    if not tracked and run.is_over(trials or run.settings.trials):
        _show_over(run, placement, data, data_root, console)
        return run
    placement = placement.kept_in(folder)
    run.settings = replace(run.settings, evaluator=run.settings.evaluator.moved(data, data_root))
    run.settings.check()
    placement = replace(placement, storage=kept_copy(folder, placement.storage))
    return _run(run.settings, folder, placement, trials or run.settings.trials, console, new=False)


def _show_over(
    run: Run, placement: Placement, data: str | None, data_root: str | None, console: Console
) -> None:
    """A finished run has nothing to do but to bring its copy up to date."""
    copy = kept_copy(run.folder, placement.storage)
    unused = placement.said() | {"data": data, "data-root": data_root}
    words = [f"{name} {shown(value)}" for name, value in unused.items() if value is not None]
    does = "do" if len(words) > 1 else "does"
    idle = f"; {', '.join(words)}: {does} nothing, no trial is left to run" if words else ""
    console.print(f"search in {run.folder}: has ended, all is there{idle}", highlight=False, markup=False)
    if copy is not None:
        with run.journal(_yellow(console)), _mirror(copy, run.folder):
            console.print(f"its copy: {copy}", highlight=False, markup=False)


def _run(
    settings: SearchSettings, folder: Path, placement: Placement, trials: int, console: Console, new: bool
) -> Run:
    from nas.report.progress import SearchProgress
    from nas.report.remarks import converged_words, print_once
    from nas.report.result_files import ResultFiles
    from nas.report.tensorboard import TensorBoardWriter
    from nas.report.trial_log import TrialLog

    say = _yellow(console)
    try:
        tracked = TrialLog(placement.log or [], folder.resolve().name, say)
    except InputError as error:
        raise InputError(f"{error}{'' if new else '; `--log none` goes on without it'}") from None
    scorer = settings.evaluator
    joining = None if scorer.instant else _join(placement, console, new)
    try:
        made = scorer.make(placement.download, lambda text: print_once(text, console))
        scheduler = _scheduler(scorer.early_stopping, made.epochs, new, say)
        settings = replace(settings, evaluator=replace(scorer.kept(made.data_digest), **made.decided))
        if new:
            settings = _fitted(settings, made.task, console)
        learn_prior(settings, lambda text: console.print(text, style="dim", markup=False, highlight=False))
        prior = settings.make_prior(settings.make_space())
    except BaseException:
        if joining is not None:
            joining.leave()
        raise
    if placement.workers is not None and not made.decodes:
        say(f"workers {placement.workers}: no trial decodes files here, what it reads is in memory: unused")
    if joining is None:
        evaluator, width, runner = _in_process(made)
    else:
        evaluator, width, runner = on_ray(
            *(made, settings.make_space(), joining, scheduler, folder, placement, console)
        )
    del made  # the cluster's store holds its data once for all
    costs = other_costs(evaluator, settings.make_latency(), settings.own)
    study = ExponentStudy.of(settings, evaluator, costs) if settings.reward.exponent == AUTO else None
    run = Run.create(folder, settings, placement.storage) if new else Run(folder, settings)
    with run.journal(say) as journal, _mirror(placement.storage, folder) as mirror:
        sweep(folder)  # here, where no other process is on the run
        run.keep_copies()
        placement.keep(folder)
        scored_on = ScoredOn.of(evaluator)
        scored_on.keep(folder)
        run.keep_trials(trials)
        records: list[Record] = journal.records
        console.print(
            f"search in {folder}: {trials} trials, {width}, {settings.controller.name}, seed {settings.seed}",
            highlight=False,
        )
        console.print(f"space {describe_space(run.space)}", highlight=False)
        console.print(f"scored on {evaluator.describe()}", highlight=False)
        if prior is not None:
            console.print(f"prior: {prior.describe()}", highlight=False, markup=False)
        if (coarse := run.settings.coarse) is not None:
            console.print(coarse.describe(run.space), highlight=False, soft_wrap=True)
        if study is not None:
            _measure(run, study, evaluator, runner, placement, console)
        run.recall_costs(settings.own, records)
        if records:
            console.print(f"{len(records)} trials are in the journal already", highlight=False)
        events = TensorBoardWriter(run, records)
        tracked.begin(run, records)
        progress = SearchProgress(console, trials, evaluator.epochs, records, settings.make_reward())
        results = run.results(records)
        keeper, snapshots = ResultFiles(run, results), Snapshots(folder, run.steering)
        incumbent = None

        def tick() -> None:
            progress.tick()
            if mirror is not None:
                mirror.check()

        try:
            loop = run.loop(
                journal, trials, (progress, events, keeper, tracked, snapshots), costs, evaluator.epochs
            )
            if settings.controller.name in CONTROLLERS.built_in:  # others' states are their own affair
                snapshots.loop = loop
            exact = loop.retraced
            if not exact:
                say(_NOT_RETRACED)
            try:
                if not loop.done:
                    with progress:
                        runner(loop, tick)
            finally:
                incumbent = loop.controller.incumbent() if evaluator.noisy else None
                if exact and not loop.retraced:  # once the journal had its lost trials again
                    say(_NOT_RETRACED)
            if loop.converged and loop.convergence is not None:
                console.print(converged_words(loop.convergence, len(loop.records)), highlight=False)
            elif len(loop.records) < trials and loop.done:
                console.print(f"the space has no more than {len(loop.records)} architectures", style="yellow")
        except BaseException as error:
            # written as far as it goes; what is reported is why the search ended
            for write in (events.close, lambda: run.write_results(results, incumbent)):
                with suppress(InputError, OSError):
                    write()
            tracked.close(5)
            if isinstance(error, OSError):  # of a trial's log or the event file, say, on a full disk
                raise InputError(
                    f"{folder}: cannot write: {error.strerror or error}; what had ended is kept, "
                    f"continue with: {shell_command('nas', 'resume', folder)}"
                ) from None
            raise
        events.close()
        run.write_results(results, incumbent)
        tracked.close()
        snapshots.close()  # last: it says that all of this is there
    for remark in scored_on.remarks([record.accuracy for record in results.scored]):
        print_once(remark, console)
    if not results.scored:
        raise InputError(f"{folder}: no trial gave a result; see the reasons in trials.jsonl")
    return run


def _scheduler(name: str, epochs: int, new: bool, say: Callable[[str], None]) -> str:
    """The scheduler, if it has anything to end; a run that began with one goes on without it."""
    try:
        check_ending(name, epochs)
    except InputError as error:
        if new:
            raise
        say(str(error))
        return "none"
    return name


def _fitted(settings: SearchSettings, task: Mapping[str, int], console: Console) -> SearchSettings:
    """The settings with the space's networks as the data need them, so that the winner is one for them."""
    space = settings.make_space()
    if not task or isinstance(space, ListedSpace):
        return settings
    fitted = space.with_network(**task)
    if (latency := settings.make_latency()) is not None:
        try:
            latency.check(fitted)
        except InputError:
            console.print(
                f"networks keep {space.template.num_classes} classes, for which the latency table was made",
                highlight=False,
            )
            return settings
    return replace(settings, space=replace(settings.space, document=fitted.to_document()))


def _measure(
    run: Run,
    study: ExponentStudy,
    evaluator: Evaluator,
    runner: RunLoop,
    placement: Placement,
    console: Console,
) -> None:
    """Measure the exponent by trainings of its own, or go on with that, and keep it in the run."""
    from nas.report.progress import SearchProgress

    def train(name: str, settings: SearchSettings) -> tuple[ListedSpace, list[Record]]:
        part = f"{EXPONENT}/{name}"
        folder = run.folder / part
        begun = Run.open(folder) if Run.is_run(folder) else Run.create(folder, settings)
        trials = begun.settings.trials
        copy = f"{placement.storage}/{part}" if placement.storage else None
        with begun.journal(_yellow(console)) as journal, _mirror(copy, folder) as mirror:
            view = SearchProgress(console, trials, evaluator.epochs, journal.records)

            def tick() -> None:
                view.tick()
                if mirror is not None:
                    mirror.check()

            loop = begun.loop(journal, trials, (view,))
            if not loop.done:
                with view:
                    runner(loop, tick, part)
        assert isinstance(begun.space, ListedSpace)
        return begun.space, journal.records

    console.print(study.about, highlight=False, soft_wrap=True)
    measured = study.run(train)
    run.keep_exponent(measured)
    first, *remarks = measured.lines
    console.print(first, highlight=False, soft_wrap=True)
    for line in remarks:
        console.print(line, style="yellow", highlight=False, soft_wrap=True)


_NOT_RETRACED = (
    "the controller would have proposed other networks than the journal has (another version, other "
    "settings, or lines of it are lost): its trials are kept, it goes on from them, but not exactly as it "
    "would have"
)


def _yellow(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, style="yellow", highlight=False, soft_wrap=True, markup=False)


def _mirror(url: str | None, folder: Path) -> AbstractContextManager[Mirror | None]:
    return nullcontext() if url is None else Mirror(url, folder)


def _in_process(evaluator: Evaluator) -> tuple[Evaluator, str, RunLoop]:
    """One trial follows the other."""

    def run(loop: SearchLoop, tick: Callable[[], None], part: str = "") -> None:
        run_in_process(loop, evaluator, tick)

    return evaluator, "1 at once", run


def _join(placement: Placement, console: Console, new: bool) -> Joining:
    """The cluster begins to be joined, while the data are read."""
    from nas.cluster.joining import Joining
    from nas.cluster.nodes import connected

    if new and not connected():
        console.print("starting Ray ...", style="dim")
    return Joining(placement.address, placement.dashboard)
