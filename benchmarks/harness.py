"""Measure cases against each other: in turn, in one process, medians and ratios; print a table, write JSON.

A ratio above 1 means that ours is better. Machines are noisy: only ratios of cases measured in the same run are compared.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

FLOWER = "flwr"
GET_FLOWER = "Flower is not installed, its rows are missing: run `make bench`, or pip install 'flwr==1.41.0'"


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
        "libraries": {name: version(name) for name in ("securefl", "numpy", "cryptography", FLOWER) if version(name)},
    }


def version(library: str) -> str:
    """The version that is installed, or nothing."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def row(
    case: str,
    ours: float,
    peer: float,
    *,
    unit: str,
    peer_name: str,
    better: str = "less",
    target: float | None = None,
) -> Row:
    """One comparison.

    Args:
        case: what was measured.
        ours: our figure.
        peer: the figure it is held against.
        unit: of both.
        peer_name: whose figure that is.
        better: whether "less" or "more" of the unit is better.
        target: the ratio that is aimed at.
    """
    ratio = peer / ours if better == "less" else ours / peer
    line: Row = {
        "case": case,
        "ours": ours,
        "peer": peer,
        "peer_name": peer_name,
        "unit": unit,
        "better": better,
        "ratio": ratio,
    }
    if target is not None:
        line |= {"target": target, "met": ratio >= target}
    return line


def parser(
    description: str,
    *,
    repeats: int = 9,
    quick: bool = False,
    plot: bool = False,
    repeated: str = "runs of which the median is given",
) -> argparse.ArgumentParser:
    """The options that every benchmark takes; `--quick` and `--plot` where it knows what to do with them."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=_file, metavar="FILE", help="write the rows here, too; - for stdout")
    made.add_argument("--repeats", type=_positive, default=repeats, help=f"{repeated} (%(default)s)")
    if quick:
        made.add_argument("--quick", action="store_true", help="small sizes, to see that it works; no figures to quote")
    if plot:
        made.add_argument("--plot", type=_figure, metavar="FILE", help="draw it: FILE ends in .png, .svg or .pdf")
    return made


def arguments(description: str) -> argparse.Namespace:
    """The options of a benchmark that has none of its own."""
    return parser(description).parse_args()


def publish(rows: Sequence[Row], path: Path | None, *, notes: Sequence[str] = (), **details: object) -> None:
    """Print rows and notes, and write them as JSON, with `details` beside them; "-" writes JSON alone to stdout."""
    alone = str(path) == "-"
    screen = sys.stderr if alone else sys.stdout
    widest = max((len(line["case"]) for line in rows), default=4)
    print(f"{'case':{widest}} {'ours':>10} {'peer':>10} {'unit':9} {'ratio':>8}  peer", file=screen)
    for line in rows:
        target = ""
        if "target" in line:
            target = f"  (target {line['target']:.3g}{'' if line['met'] else ': missed'})"
        print(
            f"{line['case']:{widest}} {line['ours']:10.4g} {line['peer']:10.4g} {line['unit']:9} "
            f"{line['ratio']:8.3g}  {line['peer_name']}{target}",
            file=screen,
        )
    for note in notes:
        print(note, file=screen)
    text = json.dumps({"machine": machine(), "rows": list(rows), "notes": list(notes), **details}, indent=1) + "\n"
    if alone:
        sys.stdout.write(text)
    elif path is not None:
        path.write_text(text, encoding="utf-8")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _file(text: str) -> Path:
    """A file that can be written when everything has been measured."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: there is no such directory")
    return path


def _figure(text: str) -> Path:
    path = _file(text)
    if path.suffix not in {".png", ".svg", ".pdf"}:
        raise argparse.ArgumentTypeError(f"{path}: its name ends in none of .png, .svg, .pdf")
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError("matplotlib is not installed: pip install 'securefl[cli]'")
    return path
