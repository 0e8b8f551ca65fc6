"""The search for safe primes, in sight of the user: it takes some ten seconds, sometimes a minute."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from securefl.cli.screen import Screen
from securefl.report import Experiment, ExperimentConfig

if TYPE_CHECKING:
    from securefl.paillier.threshold.safe_primes import Search

_SEARCHING = "Looking for two safe primes for the threshold key: some ten seconds, sometimes a minute"


@contextlib.contextmanager
def told(screen: Screen) -> Iterator[Search]:
    """What a search reports to: a line that counts on a terminal, one plain line elsewhere, nothing where there is no search."""
    if not screen.live:
        said: list[bool] = []

        def once(_found: int, _tried: int) -> None:
            if not said:
                screen.line(f"{_SEARCHING} ...")
                said.append(True)

        yield once
        return
    status = screen.console.status(_SEARCHING)
    try:

        def count(found: int, tried: int) -> None:
            status.start()
            status.update(f"{_SEARCHING}: {found} found, {tried} candidates")

        yield count
    finally:
        status.stop()


def prepared(config: ExperimentConfig, screen: Screen) -> Experiment:
    """The experiment, ready to run.

    Raises:
        ConfigError, UnsafePlanError: as `Experiment.prepare`.
    """
    with told(screen) as search:
        return Experiment.prepare(config, search)
