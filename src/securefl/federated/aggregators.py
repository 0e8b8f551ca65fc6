"""Two ways to average the updates of one round: in the clear, and without anybody seeing one."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from securefl.crypto.random import OS, RandomSource
from securefl.errors import RoundAbortedError
from securefl.federated.dropouts import counted
from securefl.federated.models import Params
from securefl.types import Step, Tree

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger
    from securefl.engines.actors import KeyHolder
    from securefl.engines.memory import MemorySession
    from securefl.plan import Plan
    from securefl.policy import ModelFloors


class RoundOutcome(Protocol):
    """What training needs to know of a round; `securefl.engines` returns it, and so does plain averaging."""

    @property
    def mean(self) -> Tree:
        """The weighted mean of the survivors' updates."""

    @property
    def survivors(self) -> tuple[str, ...]:
        """The parties whose vectors are in the sum."""

    @property
    def dropped(self) -> Mapping[str, Step]:
        """The step that each dropped party did not complete."""

    @property
    def weight_sum(self) -> int:
        """The sum of the survivors' weights."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Weighted means of the survivors' metrics."""

    @property
    def bytes_up(self) -> int:
        """Bytes that all parties sent."""

    @property
    def bytes_down(self) -> int:
        """Bytes that the server sent."""

    @property
    def bytes_by_step(self) -> Mapping[Step, tuple[int, int]]:
        """(up, down) by step."""

    @property
    def seconds_by_step(self) -> Mapping[Step, tuple[float, float]]:
        """(sum over clients, server) by step."""


class Aggregator(Protocol):
    """A way to average one round."""

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> RoundOutcome:
        """Average one round.

        Args:
            updates: each party's update, all of one layout.
            weights: each party's weight, a positive integer.
            metrics: each party's metrics.
            model: the parameters that the round starts from, to which it is bound.
            drop: the step that each dropping party fails to complete.

        Raises:
            SecureFLError: there is no mean.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class PlainOutcome:
    """The outcome of plain averaging; see `RoundOutcome`."""

    mean: Params
    survivors: tuple[str, ...]
    dropped: dict[str, Step]
    weight_sum: int
    metrics: dict[str, float]
    bytes_up: int
    bytes_down: int = 0
    bytes_by_step: dict[Step, tuple[int, int]] = dataclasses.field(default_factory=dict)
    seconds_by_step: dict[Step, tuple[float, float]] = dataclasses.field(default_factory=dict)


class PlainAverage:
    """The weighted mean in float64, **without any protection**: the server sees every update. For comparison only.

    Bytes are those of each arrived update in float32. Like those of a secure round they leave out the model that the
    server hands to the parties, which costs the same either way.
    """

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> PlainOutcome:
        """Average one round in the clear; a party that drops after its vector arrived is counted, as in a secure round.

        Raises:
            RoundAbortedError: no update arrived.
        """
        del model  # which nothing is bound to in the clear
        survivors = counted(drop, tuple(updates))
        if not survivors:
            raise RoundAbortedError(f"all {len(updates)} parties dropped before their update arrived")
        share = [weights[party] for party in survivors]
        values_up = sum(leaf.size for party in survivors for leaf in updates[party].values())
        return PlainOutcome(
            mean={
                name: np.average([updates[p][name].astype(np.float64) for p in survivors], axis=0, weights=share)
                for name in updates[survivors[0]]
            },
            survivors=survivors,
            dropped=dict(drop),
            weight_sum=sum(share),
            metrics={
                name: math.fsum(weights[p] * metrics[p][name] for p in survivors) / sum(share)
                for name in metrics[survivors[0]]
            },
            bytes_up=values_up * np.dtype(np.float32).itemsize,
        )


class SecureAverage:
    """The weighted mean by the plan's protocol: real cryptography and real bytes, every party in this process.

    Args:
        plan: what the parties agreed on.
        parties: their names, in order.
        ledger: needed under a private plan, in which all parties weigh the same.
        key_holder: under a Paillier plan the private key; or the dealing whose shares the parties have.
        random_for: the source of a round's secrets by its number, for tests that repeat a run to the bit.
        floors: what the parties demand of the model; the default floors unless given.

    Attributes:
        rounds: how many were begun, those before a resumption included.

    Raises:
        SecureFLError: the plan is not one for these parties, or private and without a ledger.
    """

    def __init__(
        self,
        plan: Plan,
        parties: Sequence[str],
        ledger: PrivacyLedger | None = None,
        key_holder: KeyHolder | None = None,
        *,
        random_for: Callable[[int], RandomSource] | None = None,
        floors: ModelFloors | None = None,
    ) -> None:
        # The engine brings the cryptography with it, which plain training does not need.
        from securefl.engines.memory import MemorySession

        self._declared = tuple(plan.metrics)
        self._weighted = not plan.private
        self._plan = plan
        self._parties = tuple(parties)
        self._new_session = functools.partial(MemorySession, ledger=ledger, key_holder=key_holder, floors=floors)
        self._random_for = random_for
        self.rounds = 0
        # One session for all rounds where the same parties meet in each: keys can ride ahead, and a clip can adapt.
        self._session = (
            self._new_session(plan, self._parties) if plan.parties == len(parties) and random_for is None else None
        )

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> RoundOutcome:
        """Run one round of the protocol; metrics that the plan does not declare stay with the party."""
        told = {party: {name: own[name] for name in self._declared} for party, own in metrics.items()}
        shares = weights if self._weighted else None
        self.rounds += 1
        session = self._session or self._session_of(tuple(updates))
        outcome: RoundOutcome = session.round(updates, weights=shares, metrics=told, model=model, drop=drop)
        return outcome

    def _session_of(self, parties: tuple[str, ...]) -> MemorySession:
        """A session for one round: of those who were sampled, or under a source of randomness that repeats."""
        random = OS if self._random_for is None else self._random_for(self.rounds)
        return self._new_session(self._plan, parties, random=random)
