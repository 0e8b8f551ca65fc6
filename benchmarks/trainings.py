"""Many trainings, some at a time, and what several seeds say together."""

from __future__ import annotations

import argparse
import concurrent.futures
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from progress import Progress

Task = TypeVar("Task")
Found = TypeVar("Found")


def add_workers(made: argparse.ArgumentParser) -> None:
    """The option of how many trainings run at a time."""
    made.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that train (%(default)s)")


def train_all(
    train: Callable[[Task], Found], tasks: Sequence[Task], workers: int, progress: Progress, what: str = "trainings"
) -> list[Found]:
    """Run each task, and return what they found in the order of `tasks`."""
    progress.case(f"{len(tasks)} {what}")

    def collected(results: Iterable[Found]) -> list[Found]:
        found = []
        for number, one in enumerate(results, 1):
            found.append(one)
            progress.step("training", number, len(tasks))
        return found

    if workers == 1:
        return collected(map(train, tasks))
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        return collected(pool.map(train, tasks))


def spread(values: Sequence[float]) -> str:
    """Mean and standard error as text, such as "0.912 ± 0.004"; the mean alone of one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3f}"
    return f"{mean:.3f} ± {float(np.std(values, ddof=1)) / math.sqrt(len(values)):.3f}"
