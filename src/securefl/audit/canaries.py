"""Canary parties: some of a session's parties send a known vector or nothing, by a coin, through everything real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from securefl.audit.one_run import OneRunAudit, guesses_for, one_run_epsilon, right_guesses
from securefl.audit.trials import OVERLONG, claimed_mu, clipped_values, directions, flattened, name_of, unflattened
from securefl.crypto.random import OS, RandomSource
from securefl.dp.ledger import PrivacyLedger
from securefl.encoding.layout import Layout
from securefl.engines.memory import MemorySession
from securefl.errors import ConfigError
from securefl.pipeline.calibrate import privacy_of
from securefl.pipeline.private import release_of
from securefl.plan import Plan
from securefl.session import RoundResult
from securefl.types import Step, Tree

Floats = npt.NDArray[np.float64]


class CanaryParties:
    """A session some of whose parties are canaries. It takes the place of the session, or of a federation's aggregator.

        session = MemorySession(plan, tuple(clients), ledger=ledger)
        federation.aggregator = audited = CanaryParties(session, ["clinic-7", "clinic-8"])
        federation.fit(rounds=30)
        print(audited.audit())

    A canary's update is a random direction, far longer than the clip allows, or zero, whatever its party trained. The
    auditor is an adversary that knows all other updates: it takes them off the released sum, as they were clipped.

    Args:
        session: of a private plan.
        canaries: names of parties.
        fresh_coins: a coin for each canary and round, which audits what one round costs; else one for the whole session, which
            audits all its rounds together, with as few guesses as there are canaries.
        random: the source of directions and coins.

    Attributes:
        session: what it wraps.

    Raises:
        ConfigError: no canaries, or others than the session's parties.
        LocalProtocolError: the plan has no noise.
    """

    def __init__(
        self, session: MemorySession, canaries: Sequence[str], *, fresh_coins: bool = True, random: RandomSource = OS
    ) -> None:
        if not canaries or set(canaries) - set(session.parties) or len(set(canaries)) != len(canaries):
            raise ConfigError(
                f"the canaries are {', '.join(canaries[:8]) or 'nobody'}, the parties {', '.join(session.parties[:8])}",
                remedy="name some of the parties, each once",
            )
        release_of(session.plan)
        self.session = session
        self._canaries = tuple(canaries)
        self._fresh = fresh_coins
        self._random = random
        self._coins = _coins(len(canaries), random)
        self._rounds = 0
        self._scores: list[tuple[str, bool, float]] = []

    def round(
        self,
        updates: Mapping[str, Tree],
        *,
        weights: Mapping[str, int] | None = None,
        metrics: Mapping[str, Mapping[str, float]] | None = None,
        model: Tree | None = None,
        drop: Mapping[str, Step] | None = None,
    ) -> RoundResult:
        """Run one round with the canaries' updates replaced; arguments and errors as of `MemorySession.round`.

        A plan without weights counts all parties alike, and metrics that it does not declare stay with the party.
        """
        plan = self.session.plan
        ways = directions(len(self._canaries), plan.layout.size, self._random)
        if self._fresh:
            self._coins = _coins(len(self._canaries), self._random)
        length = OVERLONG * release_of(plan).mechanism.clipping().sensitivity.clip
        sent = dict(updates)
        for name, way, coin in zip(self._canaries, ways, self._coins, strict=True):
            sent[name] = unflattened(plan.layout, length * way * coin)
        weighed = {name: 1 if weights is None or plan.max_weight == 1 else weights[name] for name in sent}
        weighed |= dict.fromkeys(self._canaries, 1)
        told = {name: {key: metrics[name][key] for key in plan.metrics} if metrics is not None else {} for name in sent}
        result = self.session.round(sent, weights=weighed, metrics=told, model=model, drop=drop)
        self._note(result, sent, weighed, ways)
        return result

    def _note(self, result: RoundResult, sent: Mapping[str, Tree], weights: Mapping[str, int], ways: Floats) -> None:
        plan = result.plan
        release = release_of(plan)
        unknown = flattened(Layout.of(result.sum), result.sum)
        for name in result.survivors:
            if name not in self._canaries:
                unknown -= clipped_values(release, weights[name] * flattened(plan.layout, sent[name]), plan.layout)
        clip = release.mechanism.clipping().sensitivity.clip
        self._rounds += 1
        for name, way, coin in zip(self._canaries, ways, self._coins, strict=True):
            if name in result.survivors:
                self._scores.append((name, bool(coin), float(unknown @ way) / clip))

    def audit(self, *, delta: float = 1e-5, confidence: float = 0.95) -> OneRunAudit:
        """Guess the coins of all rounds so far, and hold the bound against what the accountant says.

        How many guesses are made depends on the claim alone.

        Args:
            delta: of the epsilons, in (0, 1).
            confidence: in (0, 1).

        Raises:
            ConfigError: there was no round yet, or the `dp` extra is not installed.
            UnsafePlanError: delta out of range.
        """
        if not self._scores:
            raise ConfigError("no canary has been in a round", remedy="run some first")
        plan = self.session.plan
        release = release_of(plan)
        included, scores = self._observed()
        rounds = 1 if self._fresh else self._rounds
        mu = claimed_mu(release) * rounds**0.5
        guesses = guesses_for(len(scores), mu, delta=delta, confidence=confidence)
        correct = right_guesses(scores, included, guesses)
        return OneRunAudit(
            name=name_of(release),
            unit="each a party in one round" if self._fresh else f"each a party in all {rounds} rounds",
            canaries=len(scores),
            guesses=guesses,
            correct=correct,
            claimed_epsilon=privacy_of(plan, delta=delta, rounds=rounds)[1].epsilon,
            lower_epsilon=one_run_epsilon(len(scores), guesses, correct, delta=delta, confidence=confidence),
            delta=delta,
            confidence=confidence,
        )

    def _observed(self) -> tuple[npt.NDArray[np.bool_], Floats]:
        if self._fresh:
            return np.array([coin for _, coin, _ in self._scores]), np.array([score for _, _, score in self._scores])
        own: dict[str, list[float]] = {}
        for name, _, score in self._scores:
            own.setdefault(name, []).append(score)
        coins = {name: coin for name, coin, _ in self._scores}
        return np.array([coins[name] for name in own]), np.array([np.mean(scores) for scores in own.values()])


def audit_one_run(
    plan: Plan,
    *,
    ledger: PrivacyLedger,
    rounds: int = 1,
    delta: float = 1e-5,
    confidence: float = 0.95,
    random: RandomSource = OS,
) -> OneRunAudit:
    """Let every party of a plan be a canary, for so many rounds of real secure aggregation in memory, and guess.

    m is parties times rounds; a thousand of them show an epsilon of about 1.6 where 4.4 is claimed. All parties stay, so the bound is best
    held against a plan with `min_survivors` equal to its parties and no colluders.

    Args:
        plan: private, with at least as many values as parties, so that canaries do not hide each other.
        ledger: where the releases are entered.
        rounds: at least 1.
        delta: of the epsilons.
        confidence: in (0, 1).
        random: the source of everything, keys, masks and noise included.

    Raises:
        ConfigError: fewer values than parties, no rounds, or the `dp` extra is not installed.
        PrivacyBudgetError: the ledger's budget is too small for these rounds.
    """
    count = plan.parameters.parties
    if plan.layout.size < count or rounds < 1:
        raise ConfigError(
            f"{count} canaries in {plan.layout.size} values, for {rounds} rounds",
            remedy="give at least as many values as parties, and at least one round",
        )
    names = tuple(f"canary-{number}" for number in range(count))
    nothing = unflattened(plan.layout, np.zeros(plan.layout.size))
    parties = CanaryParties(MemorySession(plan, names, ledger=ledger, random=random), names, random=random)
    for _ in range(rounds):
        parties.round(dict.fromkeys(names, nothing))
    return parties.audit(delta=delta, confidence=confidence)


def _coins(count: int, random: RandomSource) -> npt.NDArray[np.bool_]:
    return np.array([random.below(2) == 1 for _ in range(count)])
