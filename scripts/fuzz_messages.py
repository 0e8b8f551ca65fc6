#!/usr/bin/env python3
"""Fuzz every message in every state, guided by coverage.

    .venv/bin/pip install atheris==3.0.0
    .venv/bin/python scripts/fuzz_messages.py --corpus /tmp/corpus
    .venv/bin/python scripts/fuzz_messages.py --reproduce crashes/KeyError-0f3a

Mutator, states and law are those of `tests/properties/test_hostile_messages.py`. Without atheris, or with `--plain`, messages are
mutated at random. A file is the number of a scene in two bytes, and a message.
"""
# ruff: noqa: T201 - a script prints

from __future__ import annotations

import argparse
import atexit
import contextlib
import functools
import hashlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
if TYPE_CHECKING:
    from hostile.attempts import HarmError, Tally

INSTRUMENTED = ["securefl.wire", "securefl.secagg", "securefl.session", "securefl.plan"]
LONGEST = 1 << 17
"""Bytes of the longest guided message; longer ones are mutated in plain mode."""
SPARE = 256 << 20
"""Address space beyond that at the start: 64 MiB and what allocators reserve and do not touch."""
PLAIN_BATCH = 500


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000, help="attempts (default: 1 000 000)")
    parser.add_argument(
        "--corpus", type=Path, help="folder that keeps what reached new code; made and filled where it is missing"
    )
    parser.add_argument(
        "--crashes", type=Path, default=Path("crashes"), help="folder for messages that did harm (default: crashes)"
    )
    parser.add_argument("--seed", type=int, default=0, help="0 (the default) for another one each time")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="hand in one message from a file")
    parser.add_argument("--plain", action="store_true", help="random mutation, no guide")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run what was asked for; 1 where a message did harm."""
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.reproduce:
        return reproduce(options.reproduce)
    if options.worker:
        guided(options)
        return 0
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    print(f"seed {seed}")
    if not options.plain and not _has_atheris():
        print(
            "atheris is not installed: plain random mutation without coverage; `pip install atheris==3.0.0` for the guide"
        )
        options.plain = True
    return plain(options, seed) if options.plain else guide(options, seed)


def _has_atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def limit_memory() -> None:
    """Let an allocation far beyond the bound fail at once."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE,) * 2)


# A message and its scene in a file.


def filed(number: int, message: bytes) -> bytes:
    """What stands in a file."""
    return number.to_bytes(2, "big") + message


def read(data: bytes) -> tuple[int, bytes]:
    """The scene and the message in a file."""
    from hostile.worlds import scenes

    return int.from_bytes(data[:2], "big") % len(scenes()), data[2:]


class Crashes:
    """Where harmful messages are kept, one for each cause."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, set[str]()

    def keep(self, harm: HarmError) -> None:
        """Write the message down, unless another of the same cause is there."""
        if harm.cause in self.seen:
            return
        self.seen.add(harm.cause)
        self.folder.mkdir(parents=True, exist_ok=True)
        data = filed(harm.scene, harm.data)
        kind = re.sub(r"\W+", "-", harm.cause)[:40]
        file = self.folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:8]}"
        file.write_bytes(data)
        notes = "\n  ".join(getattr(harm, "__notes__", ()))
        print(f"\nHARM: {harm}\n  {notes}\n  reproduce: {sys.executable} {sys.argv[0]} --reproduce {file}", flush=True)


def reproduce(file: Path) -> int:
    """Hand in the message of a file, and say what came of it."""
    from hostile.attempts import HarmError, Tally, Target, arena
    from hostile.worlds import scenes

    number, message = read(file.read_bytes())
    print(f"scene {number}: {scenes()[number].name}; a message of {len(message)} bytes")
    tally = Tally()
    with arena():
        for weigh in (False, True):
            try:
                Target(number, tally).attempt(message, follow=True, weigh=weigh)
            except HarmError as harm:
                print(f"HARM: {harm}")
                if harm.__cause__ is not None:
                    raise harm from harm.__cause__
                return 1
    print(tally)
    print("\n".join(tally.ways))
    return 0


# Without a guide.


def plain(options: argparse.Namespace, seed: int) -> int:
    """Random mutations from a seed."""
    from hostile.attempts import HarmError, Tally, arena, settle
    from hostile.batches import run, targets
    from hostile.worlds import scenes

    tally, crashes, drawn = Tally(), Crashes(options.crashes), random.Random(seed)
    attacked = targets(range(len(scenes())), tally)
    settle()
    limit_memory()
    started, shown = time.monotonic(), 0.0
    with arena():
        while tally.attempts < options.runs:
            try:
                run(
                    attacked,
                    drawn.getrandbits(63),
                    min(PLAIN_BATCH, options.runs - tally.attempts),
                    tally,
                    known=crashes.seen,
                )
            except HarmError as harm:
                crashes.keep(harm)
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                print(f"{tally.attempts} attempts, {len(tally.ways)} different refusals", flush=True)
    return summary(tally, time.monotonic() - started, crashes.seen)


def summary(tally: Tally, seconds: float, causes: set[str]) -> int:
    """Print what it all came to."""
    print(f"\n{tally}\n{seconds:.0f} s, {tally.attempts / max(seconds, 1e-9):.0f} attempts a second")
    print(f"{len(causes)} kinds of harm" + "".join(f"\n  {cause}" for cause in sorted(causes)))
    return 1 if causes else 0


# With the guide: libFuzzer never returns, so it runs in a process of its own.


def guide(options: argparse.Namespace, seed: int) -> int:
    """Run the guided worker, show how coverage grows, and sum up what it wrote down."""
    with contextlib.ExitStack() as stack:
        corpus = options.corpus or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        report = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "report.json"
        corpus.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--worker", str(report), "--runs", str(options.runs), "--seed", str(seed)]
        command += ["--corpus", str(corpus), "--crashes", str(options.crashes)]
        started = time.monotonic()
        tail: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as worker:  # noqa: S603
            try:
                relay(worker, tail)
            except KeyboardInterrupt:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                worker.kill()
        print(f"\ncorpus: {len(list(corpus.iterdir()))} messages")
        if not report.exists():
            print("the worker ended without a report:", *tail, sep="\n  ")
            return 1
        found = json.loads(report.read_text())
        print(f"{found['summary']}\n{time.monotonic() - started:.0f} s in all")
        print(f"{len(found['causes'])} kinds of harm" + "".join(f"\n  {cause}" for cause in found["causes"]))
        if worker.returncode or not found["done"]:
            print(f"the worker ended early, with code {worker.returncode}:", *tail, sep="\n  ")
            return 1
        return 1 if found["causes"] else 0


_GROWTH = re.compile(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)")


def relay(worker: subprocess.Popen[str], tail: list[str]) -> None:
    """Pass on what people want to read: harm at once, coverage every now and then; the last lines go into `tail`."""
    shown, least = 0.0, 0
    started = time.monotonic()
    for line in worker.stdout or ():
        tail[:] = [*tail[-30:], line.rstrip()]
        growth = _GROWTH.search(line)
        if growth is None:
            if not line.startswith(("INFO:", "#", "NEW_FUNC")):
                print(line, end="", flush=True)
            continue
        runs, event, coverage, features, corpus = growth.groups()
        now = time.monotonic()
        if event in {"INITED", "DONE"} or (now - shown > 20 and int(runs) >= least):
            shown, least = now, int(runs)
            print(
                f"{now - started:6.0f} s  {runs:>8} runs  coverage {coverage:>5}  features {features:>6}  corpus {corpus}",
                flush=True,
            )


def guided(options: argparse.Namespace) -> None:
    """The worker."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from hostile.attempts import BYTES, HarmError, HighWater, Tally, Target, arena, settle
        from hostile.batches import FOLLOWED, WEIGHED
        from hostile.choices import Choices
        from hostile.mutator import base, mutate
        from hostile.worlds import scenes

    tally, crashes = Tally(), Crashes(options.crashes)
    if not any(options.corpus.iterdir()):
        for number, scene in enumerate(scenes()):
            for place, message in enumerate(scene.due[:3]):
                (options.corpus / f"due-{number:03}-{place}").write_bytes(filed(number, message))

    @functools.cache
    def target(number: int) -> Target:
        return Target(number, tally)

    def one_input(data: bytes) -> None:
        number, message = read(data)
        if not tally.attempts:
            scale.reset()  # the fuzzer's own tables are no message's fault
        try:
            target(number).attempt(message, follow=tally.attempts % FOLLOWED == 0, weigh=tally.attempts % WEIGHED == 1)
        except HarmError as harm:
            crashes.keep(harm)
        if tally.attempts % 500 == 0:
            tally.resident = max(tally.resident, scale.growth())
            if tally.resident > BYTES:
                crashes.keep(HarmError(f"the process grew by {tally.resident >> 20} MiB", number, message, "resident"))
            scale.reset()
            write_down()

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        choices = Choices.seeded(seed)
        number, message = read(data)
        how = choices.below(20)
        if how < 3 or len(message) > LONGEST // 2:
            number = choices.below(len(scenes()))
            message = base(scenes()[number], choices)
        elif how == 3:
            return bytes(atheris.Mutate(data, max_size))
        mutated = filed(number, mutate(scenes()[number], message, choices))
        return mutated if len(mutated) <= max_size else mutated[:max_size]

    started = time.monotonic()

    def write_down(*, done: bool = False) -> None:
        seconds = time.monotonic() - started
        found: dict[str, Any] = {
            "summary": f"{tally}\n{tally.attempts / max(seconds, 1e-9):.0f} attempts a second",
            "causes": sorted(crashes.seen),
            "done": done or tally.attempts >= options.runs,
        }
        part = options.worker.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(options.worker)

    settle()
    limit_memory()
    scale = HighWater()
    flags = [
        f"-runs={options.runs}",
        f"-seed={options.seed}",
        f"-max_len={LONGEST}",
        "-len_control=0",
        "-timeout=300",
        "-rss_limit_mb=0",
    ]
    atheris.Setup([sys.argv[0], *flags, str(options.corpus)], one_input, custom_mutator=mutator)
    atexit.register(write_down, done=True)
    with arena():
        atheris.Fuzz()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main())
