"""An experiment: the same training with and without protection, on the same seeds and dropouts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from securefl.dp.ledger import Budget, PrivacyLedger
from securefl.dp.mechanisms import DistributedSkellam, QuantileClip
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.errors import ConfigError, SecureFLError, UnsafePlanError
from securefl.federated import (
    DATASETS,
    Aggregator,
    Averaging,
    Dataset,
    DropoutSchedule,
    FedAvg,
    Federation,
    History,
    Params,
    RoundOutcome,
    RoundRecord,
    SoftmaxRegression,
    dirichlet,
    iid,
    plan_for,
    private_plan_for,
)
from securefl.plan import Plan, SecAgg
from securefl.report.config import ExperimentConfig
from securefl.report.paillier_key import RehearsalKey, paillier, rehearsal_key
from securefl.session import RoundResult
from securefl.session.result import Spent
from securefl.types import Step

if TYPE_CHECKING:
    from securefl.paillier.threshold.safe_primes import Search

Observer: TypeAlias = Callable[[str, RoundRecord], None]
"""Called after each round with "plain", "secure" or "private" and what happened."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that a session refused on the way.

    Args:
        round: number of the round.
        message: the error, with its suspects.
    """

    round: int
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrivateRun:
    """The training under differential privacy.

    Args:
        plan: the agreement of its last round.
        history: its rounds.
        seconds: the training, as this machine took it.
        spent: what all rounds cost, against the server and against observers.
        ledger: the file that says so.
        clipped: vectors that were longer than their clip, all rounds together.
        refusals: what clients and server refused, by round.
    """

    plan: Plan
    history: History
    seconds: float
    spent: Spent
    ledger: Path
    clipped: int = 0
    refusals: tuple[Refusal, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentResult:
    """What came of an experiment.

    Args:
        plan: the agreement.
        parties: names and numbers of examples, in order.
        secure: the rounds under secure aggregation.
        plain: the rounds without protection; None where there was no comparison.
        private: the rounds under secure aggregation and differential privacy; None where none was asked for.
        secure_seconds: the secure training, as this machine took it.
        plain_seconds: the plain one.
        refusals: what clients and server refused, by round.
        saturated: encoded values outside the bound, all parties and rounds together.
        config: the experiment; None for a training that was set up by hand.
    """

    plan: Plan
    parties: Mapping[str, int]
    secure: History
    plain: History | None = None
    private: PrivateRun | None = None
    secure_seconds: float = 0.0
    plain_seconds: float = 0.0
    refusals: tuple[Refusal, ...] = ()
    saturated: int = 0
    config: ExperimentConfig | None = None

    @property
    def difference(self) -> float | None:
        """Secure minus plain accuracy after the last round, in [-1, 1]; None without a comparison."""
        return None if self.plain is None else self.secure.accuracy - self.plain.accuracy

    @property
    def saturated_share(self) -> float:
        """The share of all encoded values that lay outside the bound, in [0, 1]."""
        return self.saturated / (self.plan.layout.size * len(self.parties) * len(self.secure))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment that is ready to run: data dealt out, plan agreed.

    result = Experiment.prepare(ExperimentConfig.load("examples/digits.toml")).run()
    write_report("securefl-report", result)
    """

    config: ExperimentConfig
    model: SoftmaxRegression
    clients: Mapping[str, Dataset]
    test: Dataset
    plan: Plan
    private_plan: Plan | None = None
    key: RehearsalKey | None = None

    @classmethod
    def prepare(cls, config: ExperimentConfig, search: Search | None = None) -> Experiment:
        """Load the data, deal it out, and make the plan; under Paillier encryption load the key, or make one.

        Args:
            config: the experiment.
            search: told of the search for safe primes, which a new threshold key needs and which takes some ten seconds.

        Raises:
            ConfigError: scikit-learn or gmpy2 is missing, the data cannot be dealt out so, or the key cannot be used.
            UnsafePlanError: no safe plan satisfies the configuration; a ConfigError that names the file, where there is one.
        """
        data = config.data
        train, test = DATASETS[data.dataset](data.seed, data.test_fraction)
        if data.partition == "iid":
            parts = iid(train.y, data.parties, data.seed)
        else:
            parts = dirichlet(train.y, data.parties, data.alpha, data.seed)
        digits = len(str(data.parties))
        clients = {f"party-{number:0{digits}}": train.subset(part) for number, part in enumerate(parts, 1)}
        model = SoftmaxRegression(features=train.x[0].size, classes=int(train.y.max()) + 1)
        wanted = config.plan
        key = rehearsal_key(config, tuple(clients), search)
        try:
            plan = plan_for(
                model, clients, protocol=_protocol(config, key), bound=wanted.bound, value_bits=wanted.value_bits
            ).replace(purpose=wanted.purpose)
            private_plan = _private_plan(config, model, clients, key)
        except UnsafePlanError as error:
            if not config.source:
                raise
            raise ConfigError(f"{config.source}: {_table_of(error)} {error.message}", remedy=error.remedy) from error
        return cls(
            config=config, model=model, clients=clients, test=test, plan=plan, private_plan=private_plan, key=key
        )

    def run(self, observe: Observer | None = None) -> ExperimentResult:
        """Train, first in the clear where a comparison is wanted, then securely, then privately where that is asked for.

        Args:
            observe: called after each round.

        Raises:
            NonFiniteError: a party's training diverged.
            RoundAbortedError: too few parties were left; the message names the round.
            ConfigError: there is only a public key.
        """
        if self.key is not None and self.key.holder is None:
            raise ConfigError(
                f"{self.config.source or 'config'}: paillier.key is public, and nothing can be decrypted",
                remedy="name a private key, or leave key out for a fresh one; real parties train without this program",
            )
        plain, plain_seconds = None, 0.0
        if self.config.report.compare_plain:
            plain, plain_seconds = _fit(self._federation(None), "plain", self.config.training.rounds, observe)
        federation = self._federation(self.plan)
        watch = federation.aggregator = _Watch(federation.aggregator)
        secure, secure_seconds = _fit(federation, "secure", self.config.training.rounds, observe)
        private = None if self.private_plan is None else self._run_privately(self.private_plan, observe)
        return ExperimentResult(
            plan=self.plan,
            parties={name: len(dataset) for name, dataset in self.clients.items()},
            secure=secure,
            plain=plain,
            private=private,
            secure_seconds=secure_seconds,
            plain_seconds=plain_seconds,
            refusals=tuple(watch.refusals),
            saturated=watch.saturated,
            config=self.config,
        )

    def _run_privately(self, plan: Plan, observe: Observer | None) -> PrivateRun:
        wanted = self.config.privacy
        # A ledger of its own for each rehearsal: a real party has one for life.
        ledger = PrivacyLedger(
            _new_ledger(Path(self.config.report.output)), Budget(epsilon=wanted.epsilon, delta=wanted.delta)
        )
        federation = self._federation(plan, ledger)
        watch = federation.aggregator = _Watch(federation.aggregator)
        history, seconds = _fit(federation, "private", self.config.training.rounds, observe)
        if watch.spent is None or watch.plan is None:
            raise ConfigError("the private training released nothing", remedy="give it at least one round")
        return PrivateRun(
            plan=watch.plan,
            history=history,
            seconds=seconds,
            spent=watch.spent,
            ledger=ledger.path,
            clipped=watch.saturated,
            refusals=tuple(watch.refusals),
        )

    def _federation(self, plan: Plan | None, ledger: PrivacyLedger | None = None) -> Federation:
        training, faults, seed = self.config.training, self.config.faults, self.config.data.seed
        return Federation(
            self.model,
            self.clients,
            plan=plan,
            algorithm=FedAvg(training.epochs, training.batch_size, training.learning_rate),
            server=Averaging(training.server_learning_rate),
            test=self.test,
            seed=seed,
            dropouts=DropoutSchedule(
                faults.dropout,
                steps=tuple(Step(step) for step in faults.steps),
                seed=seed if faults.seed is None else faults.seed,
            ),
            ledger=ledger,
            key_holder=self.key.holder if self.key is not None and plan is not None else None,
        )


def bearable_colluders(parties: int, dropout: float) -> int:
    """A fifth of the parties, or as many as still let an active plan lose a fraction `dropout` of them.

    With t = floor((n + c) / 2) + 1 and t + 1 parties needed to the end, s stayers bear c <= 2s - n - 3.
    """
    staying = parties - math.floor(Fraction(str(dropout)) * parties)
    return max(0, min(parties // 5, 2 * staying - parties - 3))


def _protocol(config: ExperimentConfig, key: RehearsalKey | None) -> Any:
    """A SecAgg or a Paillier."""
    wanted, dropout, colluders = config.plan, _dropout(config), config.plan.max_colluders
    if key is not None:
        return paillier(config, key, max_colluders=colluders, dropout=dropout)
    if wanted.threshold is None and colluders is None:
        colluders = bearable_colluders(config.data.parties, dropout)
    return SecAgg(
        threshold=wanted.threshold,
        server=wanted.server,
        max_colluders=colluders,
        dropout=dropout,
        min_survivors=wanted.min_survivors,
    )


def _private_protocol(config: ExperimentConfig, key: RehearsalKey | None) -> Any:
    """The same for the private training, whose colluders are chosen apart."""
    wanted, dropout, colluders = config.plan, _dropout(config), config.privacy.max_colluders
    if key is not None:
        return paillier(config, key, max_colluders=colluders, dropout=dropout)
    return SecAgg(
        threshold=wanted.threshold,
        server=wanted.server,
        max_colluders=colluders,
        dropout=dropout,
        min_survivors=wanted.min_survivors,
    )


def _dropout(config: ExperimentConfig) -> float:
    return config.faults.dropout if config.plan.dropout is None else config.plan.dropout


def _private_plan(
    config: ExperimentConfig, model: SoftmaxRegression, clients: Mapping[str, Dataset], key: RehearsalKey | None
) -> Plan | None:
    """The plan with as much noise as the target epsilon needs; None where no mechanism is named."""
    wanted = config.privacy
    if wanted.mechanism == "none":
        return None
    kind = MECHANISMS[wanted.mechanism]
    extra: dict[str, Any] = {"max_dropouts": wanted.max_dropouts} if wanted.max_dropouts else {}
    if extra and kind is not DistributedSkellam:
        raise ConfigError(
            f"{config.source or 'config'}: privacy.max_dropouts is for distributed-skellam, the mechanism is {wanted.mechanism}",
            remedy="leave it out, or name distributed-skellam",
        )
    return private_plan_for(
        model,
        clients,
        privacy=kind(clip=QuantileClip(wanted.clip) if wanted.adaptive else wanted.clip, unit=wanted.unit, **extra),
        epsilon=wanted.epsilon,
        delta=wanted.delta,
        rounds=config.training.rounds,
        protocol=_private_protocol(config, key),
        ring_bits=wanted.ring_bits,
    ).replace(purpose=config.plan.purpose)


def _table_of(error: UnsafePlanError) -> str:
    if "noise" in error.rule or "sigma" in error.rule:
        return "[privacy]"
    return "[paillier]" if any(word in error.rule for word in ("key", "share-holders", "fixed base")) else "[plan]"


def _new_ledger(directory: Path) -> Path:
    """A file that is not there yet, named after the time."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    directory.mkdir(parents=True, exist_ok=True)
    return next(
        path for number in range(1, 1_000_000) if not (path := directory / f"ledger-{stamp}-{number}.jsonl").exists()
    )


def _fit(federation: Federation, arm: str, rounds: int, observe: Observer | None) -> tuple[History, float]:
    started = time.perf_counter()
    try:
        federation.fit(rounds, progress=(lambda record: observe(arm, record)) if observe else False)
    except SecureFLError as error:
        error.add_note(f"in round {len(federation.history) + 1} of {rounds} of the {arm} training")
        raise
    return federation.history, time.perf_counter() - started


class _Watch:
    """An aggregator that keeps what training itself does not need: refusals, and values that were clamped."""

    def __init__(self, inner: Aggregator) -> None:
        self._inner = inner
        self._rounds = 0
        self.refusals: list[Refusal] = []
        self.saturated = 0
        self.spent: Spent | None = None
        self.plan: Plan | None = None

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> RoundOutcome:
        """As the aggregator within."""
        self._rounds += 1
        outcome = self._inner.round(updates, weights=weights, metrics=metrics, model=model, drop=drop)
        if isinstance(outcome, RoundResult):
            self.refusals += [Refusal(round=self._rounds, message=str(refusal)) for refusal in outcome.refusals]
            self.saturated += sum(outcome.saturated.values())
            self.spent, self.plan = outcome.spent, outcome.plan
        return outcome
