"""The process in which the peers of the Paillier benchmark run, seen from the benchmark."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from paillier_peers import sample
from paillier_turns import Work


class PeerProcess:
    """The libraries that are installed, under keys of one size, in a process that has one core; a context manager.

    Args:
        bits: of the keys.
        share: of the peers' samples that are worked on.
        seed: of the values.

    Making the peers' keys takes from seconds to half a minute; it goes on in the background until something is asked.
    """

    def __init__(self, bits: int, *, share: float = 1.0, seed: int = 1) -> None:
        script = Path(__file__).with_name("paillier_peers.py")
        command = [sys.executable, str(script), str(bits), str(share), str(seed)]
        # In a file: a pipe that nobody reads fills up, and its writer stops.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("no pipes to the process of the peers")
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self.share = share

    @functools.cached_property
    def _first(self) -> tuple[Mapping[str, float], list[str]]:
        sizes, notes = json.loads(self._answer())
        return sizes, notes

    @property
    def bits_a_value(self) -> Mapping[str, float]:
        """By name."""
        return self._first[0]

    @property
    def notes(self) -> list[str]:
        """What was noticed about them."""
        return self._first[1]

    def work(self, operation: str) -> dict[str, Work]:
        """The cases of an operation, a peer each; waits for their keys."""

        def ask(name: str) -> float:
            print(json.dumps([name, operation]), file=self._questions, flush=True)
            return float(self._answer())

        return {
            name: Work(sample(name, operation, self.share), functools.partial(ask, name)) for name in self.bits_a_value
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> str:
        line = self._answers.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise SystemExit(f"the process of the peers ended:\n{self._errors.read()}")
        return line
