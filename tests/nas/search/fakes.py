"""Evaluators for tests: instant, deterministic, and some that fail on purpose. Not a test file."""

import contextlib
import os
import signal
import time
from pathlib import Path

from nas.errors import TrialFailedError
from nas.search.evaluator import Evaluation, Evaluator
from search_spaces.mbconv import StagedSpace


class _Fake(Evaluation):
    def __init__(self, evaluator, spec, seed):
        self.evaluator, self.spec, self.seed, self.epoch = evaluator, spec, seed, 0

    def __next__(self):
        if self.finished:
            raise StopIteration
        self.evaluator.hook(self)
        self.epoch += 1
        share = (self.seed % 1000) / 1000
        return {"epoch": self.epoch, "accuracy": share * self.epoch / self.evaluator.epochs}

    @property
    def finished(self):
        return self.epoch >= self.evaluator.epochs

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


class Fake(Evaluator):
    """The accuracy follows from the seed, which follows from the network."""

    name = "fake"
    checkpoints = False  # with them each worker would load torch

    def __init__(self, epochs=2, pause=0.0):
        self.epochs, self.pause = epochs, pause

    def hook(self, evaluation):
        time.sleep(self.pause)

    def start(self, spec, seed):
        return _Fake(self, spec, seed)


class FailsSometimes(Fake):
    """Every third network or so has no result; every other of the rest gives NaN."""

    def hook(self, evaluation):
        if evaluation.seed % 3 == 0:
            raise TrialFailedError("diverged: made up")


class Crashes(Fake):
    def hook(self, evaluation):
        raise RuntimeError("a defect, not a diverged training")


class AlwaysFails(Fake):
    def hook(self, evaluation):
        raise TrialFailedError("no luck")


class NeedsAWholeGpu(Fake):
    """Every third network lacks GPU memory in its second epoch, unless its GPU is its own.

    Args:
        greedy: even then.
    """

    checkpoints = True

    def __init__(self, folder, greedy=False):
        super().__init__(epochs=3)
        self.folder, self.greedy = Path(folder), greedy

    def hook(self, evaluation):
        import ray
        import torch

        assigned = ray.get_runtime_context().get_assigned_resources()
        gpus = max((v for name, v in assigned.items() if name.startswith("GPU")), default=0)
        with (self.folder / str(evaluation.seed)).open("a") as log:
            log.write(f"{evaluation.epoch + 1} {gpus:g}\n")
        if evaluation.seed % 3 == 0 and evaluation.epoch == 1 and (gpus < 1 or self.greedy):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory: made up")


class KillsItsWorker(Fake):
    """Kills its own process, once for each network, in the third epoch; notes each epoch it runs."""

    checkpoints = True

    def __init__(self, folder, epochs=4, always=False):
        super().__init__(epochs)
        self.folder, self.always = str(folder), always

    def hook(self, evaluation):
        with (Path(self.folder) / evaluation.spec.digest).open("a") as log:
            log.write(f"{evaluation.epoch + 1}\n")
        marker = Path(self.folder) / f"{evaluation.spec.digest}.killed"
        if evaluation.epoch == 2 and (self.always or not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Noted(Fake):
    """Writes a line for each epoch that it begins, so that a test sees what was done how often."""

    checkpoints = True

    def __init__(self, folder, epochs=4, pause=0.1):
        super().__init__(epochs, pause)
        self.notes = Path(folder) / "notes"
        self.notes.mkdir(exist_ok=True)

    def hook(self, evaluation):
        with (self.notes / evaluation.spec.digest).open("a") as log:
            log.write(f"{evaluation.epoch + 1}\n")
        time.sleep(self.pause)


class Hangs(Noted):
    """Every third network never ends its second epoch."""

    def hook(self, evaluation):
        super().hook(evaluation)
        if evaluation.seed % 3 == 0 and evaluation.epoch == 1:
            time.sleep(10_000)


class Stalls(Noted):
    """The first worker of all stops, as by SIGSTOP: in its start, or when it is handed its next trial."""

    checkpoints = False  # a worker that loads torch may take longer to start than the tests give it

    def __init__(self, folder, when):
        super().__init__(folder, epochs=2, pause=0)
        self.when, self.marker = when, Path(folder) / "stopped"

    def stop(self):
        with contextlib.suppress(FileExistsError), self.marker.open("x") as file:
            file.write(str(os.getpid()))
            file.flush()
            os.kill(os.getpid(), signal.SIGSTOP)

    def __setstate__(self, state):
        self.__dict__ = state
        if self.when == "start":
            self.stop()
        # a worker that takes a trial on decodes its network; Ray keeps copies of its own methods
        known, calls = StagedSpace.decode, []

        def decode(space, architecture):
            calls.append(architecture)
            if len(calls) == 2:
                self.stop()
            return known(space, architecture)

        StagedSpace.decode = decode


class Eats(Noted):
    """Every third network takes memory until it is killed, or there is none."""

    def hook(self, evaluation):
        super().hook(evaluation)
        if evaluation.seed % 3 == 0:
            held = []
            while True:
                held.append(b"x" * (64 << 20))
                time.sleep(0.01)


class SecondStartsSlowly(Fake):
    """Its second worker takes seconds to start, for many trials of the first."""

    def __init__(self, folder, seconds=4.0):
        super().__init__(epochs=1, pause=0.2)
        self.folder, self.seconds = str(folder), seconds

    def __setstate__(self, state):
        self.__dict__.update(state)
        try:
            (Path(self.folder) / "first").touch(exist_ok=False)
        except FileExistsError:
            time.sleep(self.seconds)
