"""A process with everything imported but the library; it forks a child for each run of attacks, most of whose time would be imports.

It reads jobs as lines of JSON and answers each with the exit code of its child, a line; `Nursery` is its owner's side.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Never, Self

HERE = Path(__file__).parent
KILLED = -1
"""The answer for a child that did not end in its time."""
FOREIGN = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "cryptography.hazmat.primitives.kdf.scrypt",
    "cryptography.x509",
    "dp_accounting.pld.privacy_loss_distribution",
    "dp_accounting.rdp",
    "gmpy2",
    "hypothesis.strategies",
    "msgspec",
    "numpy",
    "pytest",
    "scipy.stats",
)


class Nursery:
    """The process, from its owner's side; a context manager."""

    def __init__(self) -> None:
        # A child that took itself for its owner's xdist worker would report to nobody.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes its input, at which it ends
            pass

    def attack(self, copy: Path, tests: Sequence[str], *, seconds: float) -> tuple[int, str]:
        """Run attack files against a copy of the library; returns pytest's exit code, or `KILLED`, and what it printed."""
        output = copy / "attack.log"
        files = [str(HERE / f"test_{name}.py") for name in tests]
        job = {"copy": str(copy), "files": files, "output": str(output), "seconds": seconds}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        return int(answer), output.read_text(errors="replace")


def serve() -> None:
    """Take jobs until there are no more."""
    for name in FOREIGN:
        importlib.import_module(name)
    assert not any(name.partition(".")[0] == "securefl" for name in sys.modules)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            run(**job)
        print(waited(child, job["seconds"]), flush=True)


def run(copy: str, files: list[str], output: str, seconds: float) -> Never:
    """The child: attack, and end."""
    del seconds  # its parent's affair
    code = KILLED
    try:
        os.setpgid(0, 0)
        written = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for stream, to in ((0, os.open(os.devnull, os.O_RDONLY)), (1, written), (2, written)):
            os.dup2(to, stream)
        sys.path.insert(0, copy)
        os.environ |= {"PYTHONPATH": copy, "SECUREFL_COPY": copy}
        sys.dont_write_bytecode = False
        import pytest

        early = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"  # as is meant here
        own = (f"--basetemp={copy}/attack", "-p", "no:cacheprovider", "-p", "no:xdist")
        code = int(pytest.main(["-x", "-q", "--no-header", "-W", early, *own, *files]))
    except BaseException:  # noqa: BLE001 - it must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code & 0xFF)


def waited(child: int, seconds: float) -> int:
    """The child's exit code; it and what it started are killed when their time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return KILLED


if __name__ == "__main__":
    serve()
