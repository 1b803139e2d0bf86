"""Where and how a latency is measured: what must be equal for two latencies to compare."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.errors import InputError, shown, unknown
from search_spaces.quoting import printable

RUNTIMES = ("torch", "onnxruntime")
CLOCKS = ("wall", "cpu")


@dataclass(frozen=True)
class Setting:
    """How latencies are measured; inference in single precision.

    Attributes:
        device: `cpu`, `cuda` or `cuda:N`.
        runtime: `torch` (eager, channels_last) or `onnxruntime`.
        batch: images at once.
        threads: of the CPU that one inference uses; 0: as many as the runtime takes by itself.
        hardware: the processor's name, filled in by `nas.latency.runtimes.prepare`.
        version: of the runtime, filled in likewise.
        clock: `wall`, or `cpu`: the time that the processor spent on it, the least of all runs. Where others
            use the machine too, it is what repeats; it is known of one thread of the CPU alone.

    Raises:
        InputError: an unknown runtime, clock or device, a batch or a number of threads out of range, or CPU
            time of several threads or another device.
    """

    device: str = "cpu"
    runtime: str = "torch"
    batch: int = 1
    threads: int = 0
    hardware: str = ""
    version: str = ""
    clock: str = "wall"

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise unknown("runtime", self.runtime, RUNTIMES)
        if self.clock not in CLOCKS:
            raise unknown("clock", self.clock, CLOCKS)
        kind, _, index = str(self.device).partition(":")
        if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
            raise InputError(f"device {shown(self.device)}: expected cpu, cuda or cuda:N")
        for name, low, high in (("batch", 1, 1 << 16), ("threads", 0, 1 << 12)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} {shown(value)}: expected an integer from {low} to {high}")

        if self.clock == "cpu" and (kind != "cpu" or self.threads != 1):
            raise InputError("clock 'cpu': expected --device cpu and --threads 1, whose time it is")

    def describe(self) -> str:
        """One line for people."""
        threads = f", {self.threads} threads" if self.device == "cpu" else ""
        return (
            f"{self.runtime} {printable(self.version)} on {self.device} ({printable(self.hardware)}), batch "
            f"{self.batch}{threads}, single precision{', CPU time' if self.clock == 'cpu' else ''}"
        )
