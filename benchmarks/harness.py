"""Measure cases against each other: in turn, in one process, medians and ratios; print a table, write JSON.

A ratio above 1 means that ours is better. Machines are noisy: only ratios of cases measured in the same run are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def medians(cases: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Median seconds of each case; the cases take turns, so that a slow moment of the machine hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()
    for _ in range(repeats):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = [line for line in _cpuinfo() if line.startswith("model name")]
    return {
        "cpu": model[0].partition(":")[2].strip() if model else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def row(case: str, ours: float, peer: float, *, unit: str, peer_name: str, better: str = "less") -> dict[str, object]:
    """One comparison; `better` says whether less or more of the unit is better."""
    ratio = peer / ours if better == "less" else ours / peer
    return {"case": case, "ours": ours, "peer": peer, "peer_name": peer_name, "unit": unit, "ratio": ratio}


def arguments(description: str) -> argparse.Namespace:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows here, too")
    parser.add_argument("--repeats", type=int, default=9)
    return parser.parse_args()


def publish(rows: list[dict[str, object]], path: Path | None) -> None:
    """Print the rows as a table and write them as JSON."""
    print(f"{'case':58} {'ours':>10} {'peer':>10} {'unit':6} {'ratio':>7}  peer")
    for line in rows:
        print(
            f"{line['case']!s:58} {line['ours']:10.4g} {line['peer']:10.4g} {line['unit']!s:6} "
            f"{line['ratio']:7.3g}  {line['peer_name']}"
        )
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
