"""Work on many large integers, shared out among the cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias, TypeVar

from securefl.paillier.arithmetic import releasing_the_interpreter

T = TypeVar("T")
R = TypeVar("R")

Progress: TypeAlias = Callable[[int, int], None]
"""Told after each chunk how many are done, and of how many."""

CHUNK: Final = 1024
"""Integers worked on between two calls of `Progress`; at 3072 bits their ciphertexts take 800 kB."""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_out(work: Callable[[Sequence[T]], list[R]], items: Sequence[T], threads: int | None = None) -> list[R]:
    """Return what `work` makes of the items, in their order; each thread has one run of neighbours.

    Args:
        work: makes one result of each item.
        items: what to work on.
        threads: how many threads; None means one a core.

    Raises:
        ValueError: fewer than one thread.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"the number of threads is {threads}, needs 1 or more")
    threads = min(threads or cores(), len(items))
    if threads <= 1:
        return work(items)

    def apart(run: Sequence[T]) -> list[R]:
        with releasing_the_interpreter():
            return work(run)

    length = -(-len(items) // threads)
    runs = [items[start : start + length] for start in range(0, len(items), length)]
    with ThreadPoolExecutor(len(runs), thread_name_prefix="securefl-paillier") as pool:
        return [result for results in pool.map(apart, runs) for result in results]


def in_chunks(
    work: Callable[[Sequence[T]], list[R]],
    items: Sequence[T],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[list[R]]:
    """Yield the results chunk by chunk, each worked on by all threads; between chunks an interrupt gets through."""
    for start in range(0, len(items), CHUNK):
        results = share_out(work, items[start : start + CHUNK], threads)
        yield results
        if progress is not None:
            progress(start + len(results), len(items))
