"""Masks generated and added: ours against bare AES-256-CTR, against Flower's SecAgg+, and the memory that it takes.

    securefl bench masking        or        python benchmarks/speed/masking.py

The floor is OpenSSL's AES-256-CTR writing into a buffer that it reuses, without adding anything. Rates count each mask as words of
4 bytes. Memory is that of one client masking through securefl's ClientRound.mask, beyond its input and what it hands out.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from securefl.crypto.prg import apply_masks

sys.path.insert(0, str(Path(__file__).parents[1]))
import masking_memory
from floors import generate
from harness import FLOWER, GET_FLOWER, Row, medians, parser, publish, row
from progress import Progress, shown

BITS = 23
MEMORY_TARGET = 10.0
"""Per cent of the vector."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is measured.

    Args:
        main: (d, number of masks): one thread, two threads, Flower.
        sweep: d, with as many masks as come to about the same work.
        sweep_words: that work, in words.
        memory: d.
        memory_masks: masks of that client.
        meters: by which memory is measured.
    """

    main: tuple[tuple[int, int], ...] = ((1_000_000, 20), (1_000_000, 40))
    sweep: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    sweep_words: int = 40_000_000
    memory: int = 10_000_000
    memory_masks: int = 20
    meters: tuple[str, ...] = masking_memory.METERS


QUICK = Sizes(
    main=((10_000, 3),),
    sweep=(1_000, 10_000),
    sweep_words=30_000,
    memory=10_000,
    memory_masks=3,
    meters=("tracemalloc",),
)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "", quick=True).parse_args()
    sizes, flower = QUICK if options.quick else Sizes(), importlib.util.find_spec(FLOWER) is not None
    with shown() as progress:
        rows = [
            *(line for length, masks in sizes.main for line in speed(length, masks, options.repeats, progress, flower)),
            *(line for length in sizes.sweep for line in sweep(length, sizes, options.repeats, progress)),
            *memory(sizes, progress, flower),
        ]
    publish(rows, options.json, notes=[] if flower else [GET_FLOWER])


def speed(length: int, masks: int, repeats: int, progress: Progress, flower: bool) -> Iterator[Row]:
    """One thread and two against the floor, and against Flower."""
    progress.case(f"{masks} masks of {length:,} words")
    keys = [os.urandom(32) for _ in range(masks)]
    cases = _cases(keys, length, threads=(1, 2))
    if flower:
        import flower_secagg

        cases["flower"] = lambda: flower_secagg.generate_and_add(length, keys, BITS)
    rate = _rates(cases, repeats, masks * length)
    what = f"{masks} masks of {length:,} words"
    yield _against(f"{what}, one thread", rate["ours 1"], rate["bare 1"], "AES-256-CTR alone, one thread")
    yield _against(f"{what}, two threads", rate["ours 2"], rate["bare 2"], "AES-256-CTR alone, two threads")
    yield _against(f"{what}, two threads", rate["ours 2"], rate["ours 1"], "ours, one thread")
    if flower:
        yield _against(f"{what}, one thread", rate["ours 1"], rate["flower"], "Flower SecAgg+")
        yield _against(f"{what}, two threads", rate["ours 2"], rate["flower"], "Flower SecAgg+, which has one")


def sweep(length: int, sizes: Sizes, repeats: int, progress: Progress) -> Iterator[Row]:
    """The rate at another length, by threads."""
    masks = max(2, min(1000, sizes.sweep_words // length))
    progress.case(f"sweep: {masks} masks of {length:,} words")
    threads = sorted({1, os.cpu_count() or 1})
    cases = _cases([os.urandom(32) for _ in range(masks)], length, threads)
    rate = _rates(cases, repeats, masks * length)
    for count in threads:
        yield _against(
            f"sweep: {masks} masks of {length:,} words, {count} thread{'s' if count > 1 else ''}",
            rate[f"ours {count}"],
            rate[f"bare {count}"],
            "AES-256-CTR alone, as many threads",
        )


def memory(sizes: Sizes, progress: Progress, flower: bool) -> Iterator[Row]:
    """Peak memory of one client's masking beyond input and output, as a share of the vector, by two meters."""
    length, masks = sizes.memory, sizes.memory_masks
    for meter in sizes.meters:
        what = f"memory, {length:,} words, {masks} masks, {meter}"
        progress.case(what)
        for held in ("dropped", "kept"):
            ours = masking_memory.share("ours", length=length, masks=masks, held=held, meter=meter)
            yield row(
                f"{what}, messages {held}",
                ours,
                MEMORY_TARGET,
                unit="% of d",
                peer_name="the most it may be",
                target=1.0,
            )
        if flower:
            theirs = masking_memory.share("flower", length=length, masks=masks, held="kept", meter=meter)
            yield row(f"{what}, messages kept", ours, theirs, unit="% of d", peer_name="Flower SecAgg+")


def _cases(keys: list[bytes], length: int, threads: tuple[int, ...] | list[int]) -> dict[str, Callable[[], object]]:
    vector = np.zeros(length, dtype=np.uint32)
    masks = [(key, 1) for key in keys]
    cases: dict[str, Callable[[], object]] = {}
    for count in threads:
        cases[f"bare {count}"] = lambda count=count: generate(keys, vector.nbytes, threads=count)
        cases[f"ours {count}"] = lambda count=count: apply_masks(vector, masks, bits=BITS, threads=count)
    return cases


def _rates(cases: dict[str, Callable[[], object]], repeats: int, words: int) -> dict[str, float]:
    return {name: 4 * words / seconds / 1e9 for name, seconds in medians(cases, repeats=repeats).items()}


def _against(case: str, ours: float, peer: float, peer_name: str) -> Row:
    return row(case, ours, peer, unit="GB/s", peer_name=peer_name, better="more")


if __name__ == "__main__":
    main()
