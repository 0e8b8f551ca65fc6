"""An experiment: the same training with and without protection, on the same seeds and dropouts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from securefl.dp.ledger import Budget, PrivacyLedger
from securefl.errors import ConfigError, SecureFLError, UnsafePlanError
from securefl.federated import Dataset, DropoutSchedule, Federation, History, Model, Params, RoundRecord, Watermark
from securefl.federated.reinforcement import weight_of
from securefl.federated.robust import GroupwiseRobust
from securefl.plan import Plan
from securefl.report import combinations
from securefl.report.attendance import Attendance, attendance
from securefl.report.checkpoints import Checkpoints
from securefl.report.config import ExperimentConfig
from securefl.report.dealing import Dealt, deal
from securefl.report.learning import Learning, learning, placed, robust_rule
from securefl.report.measure import Measure, measure_of
from securefl.report.ownership import Owned, kept, owned, watermark
from securefl.report.paillier_key import RehearsalKey, rehearsal_key
from securefl.report.personal import amended, metrics
from securefl.report.pretraining import pretrained
from securefl.report.protocols import bearable_colluders, in_a_round, private_plan, secure_plan, table_of
from securefl.report.recall import balanced_accuracy
from securefl.report.traffic import Traffic, traffic
from securefl.report.watch import Refusal, Watch
from securefl.session.result import Spent, spent_of
from securefl.types import Step

if TYPE_CHECKING:
    from securefl.paillier.threshold.safe_primes import Search

__all__ = ["Experiment", "ExperimentResult", "Observer", "PrivateRun", "Refusal", "bearable_colluders"]

Observer: TypeAlias = Callable[[str, RoundRecord], None]
"""Called after each round with "plain", "secure" or "private" and what happened."""


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
        counts: examples by class, one row a party; empty where nobody counted.
        attendance: who was in which round, and who was slow; empty where all always were.
        traffic: what an update has on the wire, beside one of the whole model; None where nobody counted.
        balanced: mean share of each class that the shared model finds, after the last round, by training; empty where nobody counted.
        personal: whether accuracy is that of the parties' own models.
        pretrained: the shared model's accuracy before the first round; None where nothing was trained before.
        resumed: rounds of the secure training that an earlier run made; refusals and clamped values are those since.
        owned: the owner's watermark; None where there is none.
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
    counts: tuple[tuple[int, ...], ...] = ()
    attendance: tuple[Attendance, ...] = ()
    traffic: Traffic | None = None
    balanced: Mapping[str, float] = dataclasses.field(default_factory=dict)
    personal: bool = False
    pretrained: float | None = None
    resumed: int = 0
    owned: Owned | None = None

    @property
    def taking_part(self) -> int:
        """How many parties are in a round."""
        return len(self.parties) if self.config is None else in_a_round(self.config)

    @property
    def difference(self) -> float | None:
        """Secure minus plain accuracy, or return, after the last round; None without a comparison."""
        return None if self.plain is None else self.measure.last(self.secure) - self.measure.last(self.plain)

    @property
    def measure(self) -> Measure:
        """What trainings are judged by."""
        return measure_of(self.config)

    @property
    def robust(self) -> dict[str, float]:
        """Accuracy under attack after the last round, in [0, 1], by training; empty where nothing was attacked."""
        private = None if self.private is None else self.private.history
        arms = {"secure": self.secure, "plain": self.plain, "private": private}
        last = {
            arm: rounds.records[-1].test_metrics for arm, rounds in arms.items() if rounds is not None and len(rounds)
        }
        return {arm: metrics["robust_accuracy"] for arm, metrics in last.items() if "robust_accuracy" in metrics}

    @property
    def saturated_share(self) -> float:
        """The share of all encoded values that lay outside the bound, in [0, 1]."""
        rounds = len(self.secure) - self.resumed
        return self.saturated / (self.plan.layout.size * self.taking_part * rounds) if rounds else 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment that is ready to run: data dealt out, plan agreed.

    result = Experiment.prepare(ExperimentConfig.load("examples/digits.toml")).run()
    write_report("securefl-report", result)
    """

    config: ExperimentConfig
    dealt: Dealt
    learning: Learning
    plan: Plan
    private_plan: Plan | None = None
    key: RehearsalKey | None = None
    watermark: Watermark | None = None

    @property
    def model(self) -> Model:
        """What is trained."""
        return self.learning.model

    @property
    def clients(self) -> Mapping[str, Dataset]:
        """What each party holds."""
        return self.dealt.clients

    @classmethod
    def prepare(cls, config: ExperimentConfig, search: Search | None = None) -> Experiment:
        """Load the data, deal it out, and make the plan; under Paillier encryption load the key, or make one.

        Where a base is trained on public examples, that happens here.

        Args:
            config: the experiment.
            search: told of the search for safe primes, which a new threshold key needs and which takes some ten seconds.

        Raises:
            ConfigError: settings that contradict each other, a library is missing, the data cannot be dealt out so, or the key cannot
                be used.
            UnsafePlanError: no safe plan satisfies the configuration; a ConfigError that names the file, where there is one.
        """
        combinations.check(config)
        with placed(config, "data"):
            dealt = deal(config.data)
        parts = learning(config, dealt)
        key = rehearsal_key(config, tuple(dealt.clients), search)
        if dealt.public is not None:
            base = pretrained(parts.model, dealt.public, dealt.classes, config.training, config.data.seed)
            parts = dataclasses.replace(parts, model=base)
        try:
            plan = secure_plan(config, parts.model, dealt.clients, key, parts.algorithm)
            if (rule := robust_rule(config)) is not None:
                with placed(config, "robust"):  # too few groups, or a group too small for the plan
                    GroupwiseRobust(plan, tuple(dealt.clients), rule, group_size=config.robust.group_size)
            noisy = private_plan(config, parts.model, dealt.clients, key, parts.algorithm)
        except UnsafePlanError as error:
            if not config.source:
                raise
            raise ConfigError(f"{config.source}: {table_of(error)} {error.message}", remedy=error.remedy) from error
        with placed(config, "watermark"):
            mark = watermark(config, parts.model, parts.algorithm, dealt.clients, dealt.classes)
        return cls(config=config, dealt=dealt, learning=parts, plan=plan, private_plan=noisy, key=key, watermark=mark)

    def run(self, observe: Observer | None = None, *, checkpoints: Checkpoints | None = None) -> ExperimentResult:
        """Train, first in the clear where a comparison is wanted, then securely, then privately where that is asked for.

        Args:
            observe: called after each round.
            checkpoints: where to write them after each round, and whether to go on from there.

        Raises:
            NonFiniteError: a party's training diverged.
            RoundAbortedError: too few parties were left; the message names the round.
            ConfigError: there is only a public key, or the checkpoints are another run's.
        """
        if self.key is not None and self.key.holder is None:
            raise ConfigError(
                f"{self.config.source or 'config'}: paillier.key is public, and nothing can be decrypted",
                remedy="name a private key, or leave key out for a fresh one; real parties train without this program",
            )
        if checkpoints is not None:
            checkpoints.begin(self.config)
        if self.watermark is None:
            return self._trained(observe, checkpoints, None)[0]
        mark, path = kept(self.watermark, self.config, checkpoints)  # on disk before the first round
        result, trained = self._trained(observe, checkpoints, mark)
        final = trained.get("private", trained["secure"])
        return dataclasses.replace(
            result, owned=owned(mark, path, self.config.report.output, self.model, trained, final)
        )

    def _trained(
        self, observe: Observer | None, checkpoints: Checkpoints | None, mark: Watermark | None
    ) -> tuple[ExperimentResult, dict[str, Params]]:
        """All trainings, and the model that each ended with, by "plain", "secure" and "private"."""
        trained: dict[str, Params] = {}
        plain, plain_seconds, balanced = None, 0.0, {}
        if self.config.report.compare_plain:
            federation = self._federation(None, mark)
            plain, plain_seconds, _ = self._fit(federation, "plain", observe, checkpoints)
            balanced["plain"] = self._balanced(federation)
            trained["plain"] = federation.params
        federation = self._federation(self.plan, mark)
        base = federation.evaluate()["accuracy"] if self.dealt.public is not None else None
        watch = federation.aggregator = Watch(federation.aggregator)
        secure, secure_seconds, resumed = self._fit(federation, "secure", observe, checkpoints)
        balanced["secure"] = self._balanced(federation)
        trained["secure"] = federation.params
        private = None
        if self.private_plan is not None:
            private, trained["private"] = self._run_privately(self.private_plan, observe, checkpoints, mark)
        learnt = self.learning
        result = ExperimentResult(
            plan=self.plan,
            parties={name: weight_of(dataset) for name, dataset in self.clients.items()},
            secure=secure,
            plain=plain,
            private=private,
            secure_seconds=secure_seconds,
            plain_seconds=plain_seconds,
            refusals=tuple(watch.refusals),
            saturated=watch.saturated,
            config=self.config,
            counts=() if self.dealt.acting else tuple(tuple(row) for row in self.dealt.counts().tolist()),
            attendance=attendance(self.config, learnt, tuple(self.clients), len(secure)),
            traffic=traffic(self.config, self.model, self.clients, self.plan, self.key),
            balanced={} if learnt.personal or self.dealt.acting else balanced,
            personal=learnt.personal,
            pretrained=base,
            resumed=resumed,
        )
        return result, trained

    def _balanced(self, federation: Federation) -> float:
        """Balanced accuracy of the shared model; a policy has none."""
        return 0.0 if self.dealt.acting else balanced_accuracy(self.model, federation.params, self.dealt.test)

    def _run_privately(
        self, plan: Plan, observe: Observer | None, checkpoints: Checkpoints | None, mark: Watermark | None
    ) -> tuple[PrivateRun, Params]:
        wanted = self.config.privacy
        # A ledger of its own for each rehearsal, and the same one when it is resumed: a real party has one for life.
        path = _new_ledger(Path(self.config.report.output)) if checkpoints is None else checkpoints.ledger
        ledger = PrivacyLedger(path, Budget(epsilon=wanted.epsilon, delta=wanted.delta))
        federation = self._federation(plan, mark, ledger)
        watch = federation.aggregator = Watch(federation.aggregator)
        history, seconds, _ = self._fit(federation, "private", observe, checkpoints)
        run = PrivateRun(
            plan=watch.plan or plan,
            history=history,
            seconds=seconds,
            spent=watch.spent or spent_of(ledger),
            ledger=ledger.path,
            clipped=watch.saturated,
            refusals=tuple(watch.refusals),
        )
        return run, federation.params

    def _federation(self, plan: Plan | None, mark: Watermark | None, ledger: PrivacyLedger | None = None) -> Federation:
        faults, seed, parts = self.config.faults, self.config.data.seed, self.learning
        rule = robust_rule(self.config) if plan is not None else None
        grouped = None
        if rule is not None and plan is not None:
            wanted = self.config.robust
            grouped = GroupwiseRobust(
                plan, tuple(self.clients), rule, group_size=wanted.group_size, max_norm=wanted.max_norm
            )
        return Federation(
            self.model,
            self.clients,
            plan=plan if grouped is None else None,
            aggregator=grouped,
            algorithm=parts.algorithm,
            server=parts.server,
            sampler=parts.sampler,
            stragglers=parts.stragglers,
            watermark=mark,
            test=self.dealt.test,
            evaluators=parts.evaluators,
            seed=seed,
            dropouts=DropoutSchedule(
                faults.dropout,
                steps=tuple(Step(step) for step in faults.steps),
                seed=seed if faults.seed is None else faults.seed,
            ),
            ledger=ledger,
            key_holder=self.key.holder if self.key is not None and plan is not None else None,
        )

    def _fit(
        self, federation: Federation, arm: str, observe: Observer | None, checkpoints: Checkpoints | None
    ) -> tuple[History, float, int]:
        """Train to the last round, or to where it stops; returns the history, its seconds, and the rounds that were there already."""
        rounds, stop = self.config.training.rounds, self.learning.stop
        path = None if checkpoints is None else checkpoints.of(arm)
        if checkpoints is not None and path is not None and checkpoints.resume and path.exists():
            federation.resume(path)
            self._amend(federation)  # the checkpoint was written before the last round was
        history = federation.history
        before = len(history)
        earlier = sum(record.seconds for record in history)

        def told(record: RoundRecord) -> None:
            changed = self._amend(federation)
            if observe is not None:
                observe(arm, changed or record)

        started = time.perf_counter()
        try:
            if before < rounds and not (before and stop is not None and stop(history)):
                federation.fit(rounds - before, progress=told, checkpoint=path, stop=stop)
        except SecureFLError as error:
            error.add_note(f"in round {len(federation.history) + 1} of {rounds} of the {arm} training")
            raise
        return federation.history, earlier + time.perf_counter() - started, before

    def _amend(self, federation: Federation) -> RoundRecord | None:
        """Put the parties' own models' metrics into the last record, where they have own models."""
        records = federation.history.records
        if not self.learning.personal or not records:
            return None
        records[-1] = amended(records[-1], metrics(federation, self.model, self.dealt.tests))
        return records[-1]


def _new_ledger(directory: Path) -> Path:
    """A file that is not there yet, named after the time."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    directory.mkdir(parents=True, exist_ok=True)
    return next(
        path for number in range(1, 1_000_000) if not (path := directory / f"ledger-{stamp}-{number}.jsonl").exists()
    )
