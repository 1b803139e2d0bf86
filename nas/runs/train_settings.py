"""The settings of the evaluator that trains networks, on Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from nas.data.place import absolute, absolute_data
from nas.data.sources import EARLIER_PHOTOGRAPHS, ProxyDefaults, source_of
from nas.runs.checked import check_types
from nas.runs.evaluator_settings import EvaluatorSettings
from nas.runs.scoring import HELD_OUT, check_scoring, decide_scoring
from nas.search.evaluator import Evaluator
from nas.training.cache_size import parse_cache
from nas.training.presets import check_untaught, make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import BEFORE_INIT, Recipe
from search_spaces.errors import InputError, shown, unknown
from search_spaces.quoting import printable

SCHEDULERS = ("none", "asha", "median", "predictor")


@dataclass(frozen=True)
class TrainSettings(EvaluatorSettings):
    """Networks are trained, on Ray.

    Attributes:
        data: name, as `load_data` takes it; kept with its folder from the root.
        data_root: folder to look in first.
        data_digest: of the data set that the run was started with.
        recipe, recipe_changes: as `make_recipe` takes them; kept as values, not as text.
        resolution, width, stem_stride, subset: of the proxy task; None: the data set's defaults.
        baseline_resolution: if given, `resolution` is that of networks of so many pixels, and others are
            trained in proportion (a scaling study); else all are trained at `resolution`.
        final: full trainings: scored on the test split at their end, their weights kept.
        scheduler: one of `SCHEDULERS`: ends trials early.
        cache: whether image files are decoded once into memory, as `parse_cache` takes it; crops differ from
            those of files, and with them the accuracies, so a run keeps what was decided, `on` or `off`.
            None: `auto`, but `off` in a run that was started before there was a choice.
        held_out, folds: images held out to score on, and how often each network is trained, scored on others
            each time; a run keeps what was decided. None: `nas.runs.scoring` decides, but `subset` of the
            held-out images and 1 in a run that was started before there was a choice.
        recipe_init: the recipe's `init`, where no change says; a run keeps what was decided. None: the
            preset's, but `published` in a run that was started before there was a choice, which has the
            proxy task of its time too.

    Raises:
        InputError: a value of another type, or out of its range.
    """

    kind: ClassVar[str] = "train"

    data: str = "digits"
    data_root: str | None = None
    data_digest: str | None = None
    recipe: str = "adamw"
    recipe_changes: dict[str, Any] = field(default_factory=dict)
    resolution: int | None = None
    width: float | None = None
    stem_stride: int | None = None
    subset: float | None = None
    baseline_resolution: int | None = None
    final: bool = False
    scheduler: str = "none"
    # two that differ in these ask for the same
    cache: str | None = field(default=None, compare=False)
    held_out: int | None = field(default=None, compare=False)
    folds: int | None = field(default=None, compare=False)
    recipe_init: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "data", absolute_data(self.data))
        if self.data_root is not None:
            object.__setattr__(self, "data_root", absolute(self.data_root))
        if self.subset is not None and not 0 < self.subset <= 1:
            raise InputError(f"subset {shown(self.subset)}: expected a fraction above 0 and up to 1")
        if self.baseline_resolution is not None and self.baseline_resolution < 1:
            raise InputError(f"baseline-resolution {self.baseline_resolution}: expected 1 or more")
        if self.scheduler not in SCHEDULERS:
            raise unknown("scheduler", self.scheduler, SCHEDULERS)
        if self.cache is not None:
            parse_cache(self.cache)
        check_scoring(self.held_out, self.folds)
        check_untaught(self.recipe_changes)
        recipe = self.make_recipe()
        object.__setattr__(
            self, "recipe_changes", {name: getattr(recipe, name) for name in self.recipe_changes}
        )
        self.make_proxy()

    def make(self, download: bool = False, say: Callable[[str], None] = lambda text: None) -> Evaluator:
        """The evaluator with its data, of which a search never reads the test split."""
        from nas.data.load import ArraySplit, FileSplit, load_data
        from nas.search.train_evaluator import TrainEvaluator
        from nas.training.check_files import check_files
        from nas.training.decode_once import keep_decoded

        data = load_data(self.data, self.data_root, download)
        for remark in data.remarks:
            say(printable(f"{self.data}: {remark}"))
        proxy, decides = self.make_proxy(), self._scores_anew
        wanted, there = HELD_OUT if self.held_out is None else self.held_out, len(data.held_out)
        share = (
            self._defaults.share(len(data.train), data.num_classes) if self.subset is None else self.subset
        )
        data = data.subset(share, wanted if decides else None)
        held_out = len(data.held_out)  # before unreadable files are left out
        if not self.final:
            data = data.without_test()
        # full trainings crop more freely; networks of several resolutions would need as many copies
        if isinstance(data.train, FileSplit) and not self.final and self.baseline_resolution is None:
            data = keep_decoded(data, proxy.resolution, self.caching, say)
        for word in check_files(data, ("train", "held_out", "test")):  # of those that stay files
            say(word)
        folds = 1
        if decides:
            in_memory = isinstance(data.train, ArraySplit)
            if self.held_out is not None and self.held_out > there:
                raise InputError(f"held-out {self.held_out:,}: the data set holds {there:,} images out")
            scoring = decide_scoring(len(data.train), len(data.held_out), in_memory, self.folds)
            folds = scoring.folds
            if scoring.remark:
                say(scoring.remark)
        made = TrainEvaluator(
            data,
            self.make_recipe(),
            proxy,
            baseline_resolution=self.baseline_resolution,
            final=self.final,
            folds=folds,
        )
        if not self._earlier:
            made.decided |= {"folds": folds} | ({"held_out": held_out} if decides else {})
        return made

    @property
    def _scores_anew(self) -> bool:
        """Whether `held_out` and `folds` act: not in full trainings."""
        return not self.final and not self._earlier

    @property
    def caching(self) -> str:
        """`cache` where it says, else what it stands for."""
        return self.cache or ("auto" if self.data_digest is None else "off")

    def kept(self, digest: str | None) -> TrainSettings:
        """With the digest of the data."""
        if self.data_digest not in (None, digest):
            raise InputError(
                f"data {self.data!r}: its digest is {digest}, the run was started with {self.data_digest}: "
                "the accuracies would not compare"
            )
        init = self.make_recipe().init if self.data_digest is None else self.recipe_init
        return replace(self, data_digest=digest, recipe_init=init)

    def moved(self, data: str | None, data_root: str | None) -> TrainSettings:
        """With the data where they lie now."""
        return replace(self, data=data or self.data, data_root=data_root or self.data_root)

    def make_recipe(self) -> Recipe:
        """The training recipe."""
        recipe = make_recipe(self.recipe, self.recipe_changes)
        before = None if self.data_digest is None else BEFORE_INIT
        init = None if "init" in self.recipe_changes else self.recipe_init or before
        return recipe if init is None else replace(recipe, init=init)

    def make_proxy(self) -> ProxyTask:
        """The proxy task."""
        given = self._defaults
        return ProxyTask(
            given.resolution if self.resolution is None else self.resolution,
            given.width if self.width is None else self.width,
            given.stem_stride if self.stem_stride is None else self.stem_stride,
        )

    @property
    def _defaults(self) -> ProxyDefaults:
        """Of the proxy task: a run goes on with those that it was started with."""
        source = source_of(self.data)
        if not source.located or self.data_digest is None or self.recipe_init is not None:
            return source.proxy
        first, then = EARLIER_PHOTOGRAPHS
        return first if self._earlier else then

    @property
    def _earlier(self) -> bool:
        """Whether these are of a run from before `folds` were kept."""
        return self.data_digest is not None and self.folds is None and self.held_out is None

    @property
    def early_stopping(self) -> str:
        """Its scheduler."""
        return self.scheduler

    @property
    def digest(self) -> str | None:
        """Of what it scores on, once the run has started."""
        return self.data_digest

    @property
    def depends_on(self) -> dict[str, Any]:
        """The data, wherever they lie, the recipe and the proxy task; who is ended early decides nothing."""
        given = {
            name: getattr(self, name) for name in ("data_digest", "subset", "held_out", "folds", "cache")
        }
        more = {"baseline_resolution": self.baseline_resolution, "final": self.final}
        return {
            **given,
            **more,
            "recipe": self.make_recipe().to_document(),
            "proxy": asdict(self.make_proxy()),
        }

    @property
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""
        task = "the full training" if self.final else "the proxy task"
        return f"of held-out images, after the last epoch of {task}"
