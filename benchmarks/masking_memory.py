"""What one client's masking takes in memory beyond its input and its output; runs alone in a process of its own.

    python benchmarks/masking_memory.py WHO LENGTH MASKS HELD METER

WHO is ours or flower. HELD says what becomes of ours' messages: dropped, each before the next is made, as by a transport that has
sent it (output is the one at hand), or kept to the end (output is all of them); Flower's client returns one message, so it is kept.
METER is tracemalloc, which counts what numpy and Python allocate, or rss, the high-water mark of the process, which counts
everything (Linux only).
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rounds import OurRound, setting

METERS = ("tracemalloc", "rss") if Path("/proc/self/clear_refs").exists() else ("tracemalloc",)


def share(who: str, *, length: int, masks: int, held: str, meter: str) -> float:
    """Peak memory beyond input and output, in per cent of the uint32 vector, measured in a child process."""
    command = [sys.executable, __file__, who, str(length), str(masks), held, meter]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this very file
    beyond: int = json.loads(done.stdout)["beyond"]
    return 100 * beyond / (4 * length)


def beyond(who: str, length: int, masks: int, held: str, meter: str) -> int:
    """Bytes at the peak, less those of the output that is held; the input exists before the meter starts."""
    work = _ours(length, masks, kept=held == "kept") if who == "ours" else _flowers(length, masks)
    gc.collect()
    if meter == "tracemalloc":
        tracemalloc.start()
        output = work()
        return max(tracemalloc.get_traced_memory()[1] - output, 1)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the high-water mark
    output = work()
    return max(_status("VmHWM") - before - output, 1)


def _ours(length: int, masks: int, *, kept: bool) -> Callable[[], int]:
    """ClientRound.mask of a party with masks - 1 neighbours; returns the most bytes of messages that it held at once."""
    client = OurRound(setting(masks, length, dropout=0.0), lambda *_: None).ready(0)
    vector = np.random.default_rng(0).integers(0, 1 << client.context.ring_bits, length, dtype=np.uint32)

    def mask() -> int:
        if kept:
            return sum(map(len, list(client.mask(vector))))
        return max(map(len, client.mask(vector)))

    return mask


def _flowers(length: int, masks: int) -> Callable[[], int]:
    import flower_secagg

    mask = flower_secagg.ready_to_mask(masks, 2 * masks // 3)
    update = flower_secagg.ndarrays_to_parameters([np.random.default_rng(0).random(length, dtype=np.float32)])

    def run() -> int:
        answer = mask(update)
        return sum(map(len, answer[flower_secagg.Key.MASKED_PARAMETERS]))

    return run


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    _, who, length, masks, held, meter = sys.argv
    print(json.dumps({"beyond": beyond(who, int(length), int(masks), held, meter)}))
