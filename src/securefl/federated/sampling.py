"""Which parties take part in a round, and what that is worth to privacy: by default nothing.

A sample amplifies privacy only against somebody who cannot tell who was in it. The server always can: it sends the
invitations, and secure aggregation hides vectors, not names. So no sampler amplifies anything against the server. An
observer of the models can tell too, as long as the sample follows from the experiment's seed, or cohort sizes, survivors
or aborts are shown. What is left is a Poisson sample drawn from the operating system's entropy, under noise whose
variance does not depend on who took part; `Poisson(rate, secret=True)` is how to say so, and even then `guarantees`
wants to hear that the cohort stays hidden. Samples of a fixed size have another, weaker amplification than Poisson's, and
for one relation and continuous noise only: none is claimed.

Under differential privacy the sum is divided by a fixed public number (rate * parties for Poisson), not by the sample's
size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Protocol

from securefl.crypto.random import OS
from securefl.dp.accounting.composition import sample_of
from securefl.dp.accounting.events import Event
from securefl.errors import ConfigError
from securefl.federated.partition.requests import between, checked_seed, whole
from securefl.federated.seeds import Use, generator

_WORD = 1 << 64


class Sampler(Protocol):
    """A rule for who takes part; its text names it in a `Guarantee`."""

    def for_round(self, seed: int, number: int, parties: Sequence[str]) -> tuple[str, ...]:
        """Return who takes part in round `number` (1, 2, ...), in the parties' order."""

    def event(self, release: Event) -> Event:
        """Return what a round releases, given what the sum over the sample releases."""


@dataclasses.dataclass(frozen=True, slots=True)
class Everybody:
    """All parties, in every round: the default, and with few parties the only choice that makes sense."""

    def for_round(self, seed: int, number: int, parties: Sequence[str]) -> tuple[str, ...]:
        """Return all parties.

        Raises:
            ConfigError: seed, number or names are not what they should be.
        """
        _check_round(seed, number)
        return _names(parties)

    def event(self, release: Event) -> Event:
        """Return the release as it is."""
        return release

    def __str__(self) -> str:
        return "none"


@dataclasses.dataclass(frozen=True, slots=True)
class FixedSize:
    """The same number of parties in each round, without replacement.

    Args:
        size: m, at least 1.

    Raises:
        ConfigError: it is not.

    Source: McMahan et al. 2017 (arXiv:1602.05629), algorithm 1: m = max(C K, 1) of K clients.
    """

    size: int

    def __post_init__(self) -> None:
        whole("size", self.size, 1, "use size=10")

    def for_round(self, seed: int, number: int, parties: Sequence[str]) -> tuple[str, ...]:
        """Return m of the parties, every m of them equally likely.

        Raises:
            ConfigError: there are fewer parties than m, or an argument is not what it should be.
        """
        _check_round(seed, number)
        names = _names(parties)
        if len(names) < self.size:
            raise ConfigError(
                f"size: got {self.size}, needs at most {len(names)}, the number of parties",
                remedy=f"use FixedSize({len(names)}), or Everybody()",
            )
        chosen = generator(seed, Use.SAMPLING, number).choice(len(names), size=self.size, replace=False)
        return _in_order(names, chosen.tolist())

    def event(self, release: Event) -> Event:
        """Return the release as it is: no amplification is claimed, see above."""
        return release

    def __str__(self) -> str:
        return f"{self.size} parties, not amplified"


@dataclasses.dataclass(frozen=True, slots=True)
class Poisson:
    """Each party with the same probability, independently of the others: the size varies, and may be 0.

    A sample below a plan's floor makes no sum; that the round aborted is seen, and so the cohort is not hidden.

    Args:
        rate: q, in (0, 1].
        secret: draw from the operating system's entropy instead of the experiment's seed. Then samples cannot be repeated,
            and whoever draws must neither log nor send them, nor their sizes.

    Raises:
        ConfigError: the rate is out of range.
    """

    rate: float
    secret: bool = False

    def __post_init__(self) -> None:
        between("rate", self.rate, 0, 1, "use rate=0.1; 1 is everybody", low_open=True)

    def for_round(self, seed: int, number: int, parties: Sequence[str]) -> tuple[str, ...]:
        """Return each party with probability q; if `secret`, seed and number have no part in it.

        Raises:
            ConfigError: an argument is not what it should be.
        """
        _check_round(seed, number)
        names = _names(parties)
        if self.secret:
            # Rounded down, so that nobody is sampled more often than is accounted for.
            below = int(Fraction(float(self.rate)) * _WORD)
            return tuple(name for name in names if OS.below(_WORD) < below)
        draws = generator(seed, Use.SAMPLING, number).random(len(names))
        return tuple(name for name, draw in zip(names, draws.tolist(), strict=True) if draw < self.rate)

    def event(self, release: Event) -> Event:
        """Return the release as it is; if the sample is secret, as one on a Poisson sample.

        What comes of that is the accountants' to say: nothing against the server, and something against an observer
        if `guarantees` is told that the cohort stays hidden.

        Raises:
            UnsafePlanError: the sample is secret, and the noise is the parties' own: its variance tells who took part.
        """
        return sample_of(float(self.rate), release) if self.secret else release

    def __str__(self) -> str:
        return f"Poisson, rate {self.rate:g}" + ("" if self.secret else ", not amplified")


def _check_round(seed: object, number: object) -> None:
    checked_seed(seed)
    whole("round", number, 0, "count the rounds from 1")


def _names(parties: Sequence[str]) -> tuple[str, ...]:
    if isinstance(parties, str):
        raise ConfigError(f"parties: got the text {parties!r}, needs names", remedy=f"pass [{parties!r}]")
    names = tuple(parties)
    if not names:
        raise ConfigError("parties: got none, needs at least 1", remedy="pass the names of the parties")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"parties: got {twice!r} more than once, needs different names", remedy="rename a party")
    return names


def _in_order(names: Sequence[str], chosen: Iterable[int]) -> tuple[str, ...]:
    return tuple(names[index] for index in sorted(chosen))
