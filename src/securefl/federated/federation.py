"""The training loop: parties train, their updates are averaged, the server steps."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.aggregators import Aggregator, PlainAverage, RoundOutcome, SecureAverage
from securefl.federated.algorithms import Algorithm, FedAvg, LocalTask, LocalUpdate
from securefl.federated.checkpoint import load, save
from securefl.federated.checks import check_clients, check_plan, check_same, of_one_kind
from securefl.federated.datasets import Dataset
from securefl.federated.dropouts import DropoutSchedule
from securefl.federated.evaluators import Evaluator, measured
from securefl.federated.history import History, RoundRecord
from securefl.federated.models import Model, Params
from securefl.federated.optimizers import Averaging, ServerOptimizer
from securefl.federated.progress import progress_bar
from securefl.federated.reinforcement.environment import PartyData, weight_of
from securefl.federated.reinforcement.policy import Policy
from securefl.federated.sampling import Everybody, Sampler
from securefl.federated.seeds import Use, checked, generator
from securefl.federated.state import TrainingState
from securefl.federated.stragglers import StragglerSchedule
from securefl.federated.stragglers import dropped as missing_deadline

if TYPE_CHECKING:
    from securefl.crypto.random import RandomSource
    from securefl.dp.ledger import PrivacyLedger
    from securefl.engines.actors import KeyHolder
    from securefl.federated.ownership import Watermark
    from securefl.federated.robust import Rule
    from securefl.plan import Plan
    from securefl.policy import ModelFloors


class Federation:
    """Federated training of one model over parties that keep their data, simulated in this process.

    The same seed gives the same batches and dropouts whatever the plan, so a plain and a secure run can be compared. A
    round that fails leaves parameters, history and round number as they were, and can be tried again.

    Args:
        model: what is trained.
        clients: each party's own examples, by name; a party's number of examples is its weight. For a policy its environment, and the
            number of its copies.
        plan: how updates are aggregated, see `plan_for`. **None is plain federated averaging: the server sees every
            party's update.**
        algorithm: what a party does with the model.
        server: what the server does with the mean update.
        test: examples, or an environment, to evaluate each round's model on.
        evaluators: what else is measured on them, such as `RobustAccuracy`.
        seed: of everything that is no secret, 0 or more.
        dropouts: who fails when; None for nobody.
        ledger: where releases are entered, under a private plan; all parties weigh the same then.
        key_holder: under a Paillier plan the private key; or the dealing whose shares the parties have.
        aggregator: another way to average than the plan's, such as a robust one; without a plan.
        robust: a rule in place of the mean, for updates in the clear; over hidden ones `GroupwiseRobust` is an aggregator.
        sampler: who takes part in a round; everybody by default. Under a plan for m parties exactly m.
        stragglers: who gets only part of its work done, or misses the deadline.
        watermark: the owner's, put into the model at the server after each round.
        floors: what the parties demand of the model that they train on, under a plan; the default floors unless given.
        random_for: the source of a round's secrets by its number, for tests that repeat a run to the bit; by default the operating
            system's, and anything else protects nobody.

    Attributes:
        parties: the names, in order.
        aggregator: what averages a round; given by `plan`, may be replaced by a transport of your own.

    Raises:
        ConfigError: a party, its data or the plan does not fit the rest; the message names it.
    """

    def __init__(
        self,
        model: Model | Policy,
        clients: Mapping[str, PartyData],
        *,
        plan: Plan | None,
        algorithm: Algorithm | None = None,
        server: ServerOptimizer | None = None,
        test: PartyData | None = None,
        evaluators: Sequence[Evaluator] = (),
        seed: int = 0,
        dropouts: DropoutSchedule | None = None,
        ledger: PrivacyLedger | None = None,
        key_holder: KeyHolder | None = None,
        aggregator: Aggregator | None = None,
        robust: Rule | None = None,
        sampler: Sampler | None = None,
        stragglers: StragglerSchedule | None = None,
        watermark: Watermark | None = None,
        floors: ModelFloors | None = None,
        random_for: Callable[[int], RandomSource] | None = None,
    ) -> None:
        self._algorithm: Algorithm = algorithm or FedAvg()
        self._server: ServerOptimizer = server or Averaging()
        self._sampler: Sampler = sampler or Everybody()
        self._stragglers = stragglers or StragglerSchedule()
        self._seed, self._dropouts = checked(seed), dropouts
        model, clients, test = of_one_kind(model, clients, test, self._algorithm)
        check_clients(model, clients)
        if test is not None and not weight_of(test):
            raise ConfigError("test: got an empty data set, needs at least 1 example", remedy="leave out test=")
        for party, dataset in clients.items():
            self._algorithm.check_data(model, dataset, f"party {party!r}")
        if test is not None:
            self._algorithm.check_data(model, test, "test")
        self._evaluators = _checked(evaluators, model, test)
        params = model.initial(seed)
        if robust is not None:
            if aggregator is not None:
                raise ConfigError("robust and aggregator exclude each other", remedy="give the rule to the aggregator")
            from securefl.federated.robust import RobustAverage, refuse_over_hidden

            refuse_over_hidden(robust, plan)
            aggregator = RobustAverage(robust)
        if plan is not None:
            if aggregator is not None:
                raise ConfigError("plan and aggregator exclude each other", remedy="give the plan to the aggregator")
            check_plan(plan, self._algorithm, params, clients, self._sampler)
            aggregator = SecureAverage(plan, tuple(clients), ledger, key_holder, random_for=random_for, floors=floors)
        elif floors is not None:
            raise ConfigError(
                "floors without a plan: in the clear there are no parties who would look",
                remedy="pass plan=, or leave floors out",
            )
        self.parties = tuple(clients)
        self.aggregator: Aggregator = aggregator or PlainAverage()
        self._ledger = None if ledger is None else ledger.path
        self._model, self._clients, self._test = model, dict(clients), test
        self._algorithm.sends(params)  # raises where algorithm and model do not fit
        if watermark is not None:
            from securefl.federated.ownership import check_watermark

            check_watermark(watermark, model, self._algorithm, params, clients)
        self._watermark = watermark
        self._commitment = None if watermark is None else watermark.triggers.commitment
        learnt = self._algorithm.learns(params)
        self._state = TrainingState(params, self._server.initial(learnt), self._algorithm.initial_broadcast(params))

    @property
    def params(self) -> Params:
        """The shared model's parameters after the last finished round."""
        return self._state.params

    def params_of(self, party: str) -> Params:
        """One party's own model: the shared parameters, with what it keeps to itself in their place.

        Raises:
            ConfigError: there is no such party.
        """
        if party not in self._clients:
            raise ConfigError(f"no party is called {party!r}", remedy=f"they are {', '.join(self.parties[:8])}")
        return self._algorithm.personal(self._state.params, self._state.memories.get(party, {}))

    @property
    def history(self) -> History:
        """The finished rounds."""
        return self._state.history

    def evaluate(self, dataset: PartyData | None = None) -> dict[str, float]:
        """Return the shared model's metrics on `dataset`, or on the test set.

        Raises:
            ConfigError: there is neither, or the data are not for this model.
        """
        _, _, given = of_one_kind(self._model, {}, dataset, self._algorithm)
        examples = self._test if given is None else given
        if examples is None:
            raise ConfigError("evaluate: there is no test set", remedy="pass test= to Federation, or a data set here")
        return measured(self._evaluators, self._model, self._state.params, examples)

    def evaluate_parties(self) -> dict[str, dict[str, float]]:
        """Return each party's metrics of its own model on its own examples; in a simulation only, for nobody may see them."""
        return {party: self._model.evaluate(self.params_of(party), dataset) for party, dataset in self._clients.items()}

    def fit(
        self,
        rounds: int,
        progress: bool | Callable[[RoundRecord], None] = False,
        *,
        checkpoint: str | Path | None = None,
        callbacks: Iterable[Callable[[RoundRecord], None]] = (),
        stop: Callable[[History], bool] | None = None,
    ) -> History:
        """Train for `rounds` more rounds and return the whole history; call it again to go on.

        Args:
            rounds: at least 1.
            progress: True for a live bar, or a function that is called after each round.
            checkpoint: a file that is written after each round, for `resume`.
            callbacks: called after each round, in order.
            stop: told the history after each round; True ends training, see `EarlyStop`.

        Raises:
            ConfigError: `rounds` is not positive, or rich is missing for the bar.
            NonFiniteError: a party's training diverged; nothing was sent.
            SecureFLError: the round ended without a mean.
        """
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise ConfigError(f"rounds: got {rounds}, needs at least 1", remedy="use rounds=20")
        told = list(callbacks)
        with contextlib.ExitStack() as stack:
            report = stack.enter_context(progress_bar(rounds)) if progress is True else progress
            for _ in range(rounds):
                record = self._round()
                if checkpoint is not None:
                    save(checkpoint, self._state, parties=self.parties, ledger=self._ledger, watermark=self._commitment)
                for callback in (report, *told) if report else told:
                    callback(record)
                if stop is not None and stop(self.history):
                    break
        return self.history

    def resume(self, checkpoint: str | Path) -> Self:
        """Stand where a checkpoint was written; returns itself, to go on with `fit`.

        A round that was under way when the run was killed is run again, with fresh keys and fresh noise: what it had cost before is
        in the ledger, and is not taken back.

        Raises:
            ConfigError: no checkpoint, of other parties, triggers, another model, optimizer or algorithm, or a ledger that lost entries.
        """
        if len(self.history):
            raise ConfigError("resume: this federation has trained already", remedy="make a new one, then resume it")
        state = load(checkpoint, parties=self.parties, ledger=self._ledger, watermark=self._commitment)
        check_same(self._state, state, self._server, self._algorithm, checkpoint)
        self._state = state
        if isinstance(self.aggregator, SecureAverage):
            self.aggregator.rounds = len(state.history)
        return self

    def _round(self) -> RoundRecord:
        """Run one round; the federation changes only after everything that can fail has succeeded."""
        started = time.perf_counter()
        before = self._state
        number = len(before.history) + 1
        sampled = self._sampler.for_round(self._seed, number, self.parties)
        works = self._stragglers.for_round(number, sampled, getattr(self._algorithm, "epochs", 1))
        drop = {**(self._dropouts.for_round(number, sampled) if self._dropouts else {}), **missing_deadline(works)}
        # Who misses the deadline has trained all the same, and is dropped before its vector arrives.
        local = {party: self._train(number, party, works[party].fraction or 1.0) for party in sampled}
        trained = time.perf_counter()
        outcome = self.aggregator.round(
            {party: update.delta for party, update in local.items()},
            weights={party: update.examples if self._algorithm.weighted else 1 for party, update in local.items()},
            metrics={party: update.metrics for party, update in local.items()},
            model=before.params,
            drop=drop,
        )
        mean, broadcast = self._algorithm.received(
            outcome.mean,
            before.params,
            before.broadcast,
            round_number=number,
            participation=len(outcome.survivors) / len(self.parties),
        )
        stepped, server_state = self._step(mean)
        params = stepped
        if self._watermark is not None:  # a function of the aggregate and the owner's triggers: it costs no privacy
            params = self._watermark.embed(self._model, stepped, self._algorithm.learns(stepped))
        memories = {
            **before.memories,
            **{party: local[party].memory for party in outcome.survivors if local[party].memory},
        }
        record = RoundRecord(
            round=number,
            survivors=outcome.survivors,
            dropped={party: step.value for party, step in outcome.dropped.items()},
            weight_sum=outcome.weight_sum,
            train_metrics=dict(outcome.metrics),
            test_metrics={
                **({} if self._test is None else measured(self._evaluators, self._model, params, self._test)),
                **(
                    {} if self._watermark is None else self._watermark.metrics(self._model, params, stepped, self._test)
                ),
            },
            bytes_up=outcome.bytes_up,
            bytes_down=outcome.bytes_down,
            bytes_by_step={step.value: both for step, both in outcome.bytes_by_step.items()},
            seconds_by_step={step.value: both for step, both in outcome.seconds_by_step.items()},
            train_seconds=trained - started,
            epsilon=_spent(outcome),
            seconds=time.perf_counter() - started,
        )
        before.history.append(record)
        self._state = TrainingState(params, server_state, broadcast, memories, before.history)
        return record

    def _step(self, mean: Params) -> tuple[Params, Any]:
        """The server's step on the tensors that were learnt; the others stay as they are."""
        before = self._state
        stepped, server_state = self._server.step(self._algorithm.learns(before.params), mean, before.server)
        return {**before.params, **stepped}, server_state

    def _train(self, number: int, party: str, work: float) -> LocalUpdate:
        index = self.parties.index(party)
        update = self._algorithm.local_update(
            LocalTask(
                model=self._model,
                params=self._state.params,
                dataset=self._clients[party],
                rng=generator(self._seed, Use.TRAINING, number, index),
                round=number,
                work=work,
                broadcast=self._state.broadcast,
                memory=self._state.memories.get(party, {}),
                party=party,
            )
        )
        for tensor, leaf in update.delta.items():
            if bad := int(leaf.size - np.isfinite(leaf).sum()):
                raise NonFiniteError(
                    f"party {party!r}, round {number}, tensor {tensor!r}: {bad} of {leaf.size} values are not finite",
                    tensor=tensor,
                    remedy="lower the learning rate, or look for NaN in this party's data",
                )
        return update


def _checked(evaluators: Sequence[Evaluator], model: Model, test: Dataset | None) -> tuple[Evaluator, ...]:
    """The evaluators, where they can measure this model on these examples."""
    if evaluators and test is None:
        raise ConfigError("evaluators: there is no test set to measure on", remedy="pass test= to Federation")
    if not isinstance(evaluators, Sequence):
        raise ConfigError(f"evaluators: got a {type(evaluators).__name__}, needs a list", remedy="put it into one")
    for evaluator in evaluators:
        if not callable(evaluator) or not callable(getattr(evaluator, "check", None)):
            raise ConfigError(
                f"evaluators: {evaluator!r} measures nothing", remedy="pass an Evaluator, such as RobustAccuracy"
            )
        if test is not None:
            evaluator.check(model, test, "test")
    return tuple(evaluators)


def _spent(outcome: RoundOutcome) -> dict[str, float] | None:
    """What a private round brought the total to; an infinite epsilon, of central noise against the server, is left out."""
    spent = getattr(outcome, "spent", None)
    if spent is None:
        return None
    both = {"server": spent.server, "observer": spent.observer}
    return {who: epsilon for who, epsilon in both.items() if math.isfinite(epsilon)}
