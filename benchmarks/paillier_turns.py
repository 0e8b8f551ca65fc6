"""Cases of the Paillier benchmark take turns: processor time of those on one core, wall-clock time of those on more.

Other programs on the machine slow a core down as seen from the clock, and hardly as seen from the processor time spent. So what
runs on one core is given by the latter, and on an idle machine both are alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self, TypeAlias

Case: TypeAlias = Callable[[], float]
"""Runs once and returns the seconds it took."""

Tell: TypeAlias = Callable[[str, int, int], None]
"""Told of progress: of what, how much is done, and of how much."""


@dataclasses.dataclass(frozen=True)
class Work:
    """A case, and how many operations it does at a call."""

    count: int
    run: Case

    def rate(self, seconds: float) -> float:
        """Operations a second."""
        return self.count / seconds


def one_core(work: Callable[[], object]) -> Case:
    """The case on one core, pinned to it: processor seconds of this thread."""

    def run() -> float:
        with pinned():
            started = time.thread_time()
            work()
            return time.thread_time() - started

    return run


def by_the_clock(work: Callable[[], object]) -> Case:
    """The case on the cores it takes: seconds that pass."""

    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return run


def in_turn(cases: Mapping[str, Work], *, repeats: int, tell: Tell, least: bool = False) -> dict[str, float]:
    """Operations a second of each case; the cases take turns.

    Args:
        cases: by name. What is made once, such as tables, is made.
        repeats: turns.
        tell: told the name of the case that has run, and how many of how many have.
        least: give the fastest turn, not the median: for what all cores do, whom other programs keep waiting.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats):
        for place, (name, case) in enumerate(cases.items(), 1):
            seconds[name].append(case.run())
            tell(name, turn * len(cases) + place, repeats * len(cases))
    choose: Callable[[list[float]], float] = min if least else statistics.median
    return {name: case.rate(choose(seconds[name])) for name, case in cases.items()}


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """This thread on the last of its cores, the one that `pin` chooses; where the system cannot pin, on any."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    pin()
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin() -> None:
    """Leave this thread, and those that it will start, one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class Elsewhere:
    """How busy other programs kept the machine while this context was open; measured on Linux only.

    Attributes:
        share: of all cores' time, 0 to 1; None where it is not known.
    """

    share: float | None = None

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        (wall, own, busy), (wall_after, own_after, busy_after) = self._before, self._now()
        if busy is not None and busy_after is not None:
            others = busy_after - busy - (own_after - own)
            self.share = max(0.0, others / ((wall_after - wall) * (os.cpu_count() or 1)))

    @staticmethod
    def _now() -> tuple[float, float, float | None]:
        """Seconds: by the clock, of this process, of all processes on all cores."""
        stat, busy = Path("/proc/stat"), None
        if stat.exists():
            # user, nice, system, idle, iowait, irq, softirq, steal
            ticks = [int(word) for word in stat.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
            busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), time.process_time(), busy
