"""The training loop: parties train, their updates are averaged, the server steps."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.aggregators import Aggregator, PlainAverage, RoundOutcome, SecureAverage
from securefl.federated.algorithms import Algorithm, FedAvg, LocalUpdate
from securefl.federated.datasets import Dataset
from securefl.federated.dropouts import DropoutSchedule
from securefl.federated.history import History, RoundRecord
from securefl.federated.models import Model, Params
from securefl.federated.optimizers import Averaging, ServerOptimizer
from securefl.federated.progress import progress_bar
from securefl.federated.seeds import Use, checked, generator
from securefl.types import SERVER

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger
    from securefl.plan import Plan


class Federation:
    """Federated training of one model over parties that keep their data, simulated in this process.

    The same seed gives the same batches and dropouts whatever the plan, so a plain and a secure run can be compared. A
    round that fails leaves parameters, history and round number as they were, and can be tried again.

    Args:
        model: what is trained.
        clients: each party's own examples, by name; a party's number of examples is its weight.
        plan: how updates are aggregated, see `plan_for`. **None is plain federated averaging: the server sees every
            party's update.**
        algorithm: what a party does with the model.
        server: what the server does with the mean update.
        test: examples to evaluate each round's model on.
        seed: of everything that is no secret, 0 or more.
        dropouts: who fails when; None for nobody.
        ledger: where releases are entered, under a private plan; all parties weigh the same then.

    Attributes:
        parties: the names, in order.
        aggregator: what averages a round; given by `plan`, may be replaced by a transport of your own.

    Raises:
        ConfigError: a party, its data or the plan does not fit the rest; the message names it.
    """

    def __init__(
        self,
        model: Model,
        clients: Mapping[str, Dataset],
        *,
        plan: Plan | None,
        algorithm: Algorithm | None = None,
        server: ServerOptimizer | None = None,
        test: Dataset | None = None,
        seed: int = 0,
        dropouts: DropoutSchedule | None = None,
        ledger: PrivacyLedger | None = None,
    ) -> None:
        _check_clients(clients)
        if test is not None and not len(test):
            raise ConfigError("test: got an empty data set, needs at least 1 example", remedy="leave out test=")
        if plan is not None:
            _check_plan(plan, clients)
        self.parties = tuple(clients)
        self.aggregator: Aggregator = PlainAverage() if plan is None else SecureAverage(plan, self.parties, ledger)
        self._model, self._clients, self._test = model, dict(clients), test
        self._algorithm: Algorithm = algorithm or FedAvg()
        self._server: ServerOptimizer = server or Averaging()
        self._seed, self._dropouts = checked(seed), dropouts
        self._params = model.initial(seed)
        self._server_state = self._server.initial(self._params)
        self._history = History()

    @property
    def params(self) -> Params:
        """The shared model's parameters after the last finished round."""
        return self._params

    @property
    def history(self) -> History:
        """The finished rounds."""
        return self._history

    def evaluate(self, dataset: Dataset | None = None) -> dict[str, float]:
        """Return the shared model's metrics on `dataset`, or on the test set.

        Raises:
            ConfigError: there is neither.
        """
        examples = self._test if dataset is None else dataset
        if examples is None:
            raise ConfigError("evaluate: there is no test set", remedy="pass test= to Federation, or a data set here")
        return self._model.evaluate(self._params, examples)

    def fit(self, rounds: int, progress: bool | Callable[[RoundRecord], None] = False) -> History:
        """Train for `rounds` more rounds and return the whole history; call it again to go on.

        Args:
            rounds: at least 1.
            progress: True for a live bar, or a function that is called after each round.

        Raises:
            ConfigError: `rounds` is not positive, or rich is missing for the bar.
            NonFiniteError: a party's training diverged; nothing was sent.
            SecureFLError: the round ended without a mean.
        """
        if rounds < 1:
            raise ConfigError(f"rounds: got {rounds}, needs at least 1", remedy="use rounds=20")
        with contextlib.ExitStack() as stack:
            report = stack.enter_context(progress_bar(rounds)) if progress is True else progress
            for _ in range(rounds):
                record = self._round()
                if report:
                    report(record)
        return self._history

    def _round(self) -> RoundRecord:
        """Run one round; the federation changes only after everything that can fail has succeeded."""
        started = time.perf_counter()
        number = len(self._history) + 1
        local = {party: self._train(number, index, party) for index, party in enumerate(self.parties)}
        trained = time.perf_counter()
        outcome = self.aggregator.round(
            {party: update.delta for party, update in local.items()},
            weights={party: update.examples for party, update in local.items()},
            metrics={party: update.metrics for party, update in local.items()},
            model=self._params,
            drop=self._dropouts.for_round(number, self.parties) if self._dropouts else {},
        )
        params, server_state = self._server.step(self._params, outcome.mean, self._server_state)
        test_metrics = {} if self._test is None else self._model.evaluate(params, self._test)
        record = RoundRecord(
            round=number,
            survivors=outcome.survivors,
            dropped={party: step.value for party, step in outcome.dropped.items()},
            weight_sum=outcome.weight_sum,
            train_metrics=dict(outcome.metrics),
            test_metrics=test_metrics,
            bytes_up=outcome.bytes_up,
            bytes_down=outcome.bytes_down,
            bytes_by_step={step.value: both for step, both in outcome.bytes_by_step.items()},
            seconds_by_step={step.value: both for step, both in outcome.seconds_by_step.items()},
            train_seconds=trained - started,
            epsilon=_spent(outcome),
            seconds=time.perf_counter() - started,
        )
        self._history.append(record)
        self._params, self._server_state = params, server_state
        return record

    def _train(self, number: int, index: int, party: str) -> LocalUpdate:
        rng = generator(self._seed, Use.TRAINING, number, index)
        update = self._algorithm.local_update(self._model, self._params, self._clients[party], rng)
        for tensor, leaf in update.delta.items():
            if bad := int(leaf.size - np.isfinite(leaf).sum()):
                raise NonFiniteError(
                    f"party {party!r}, round {number}, tensor {tensor!r}: {bad} of {leaf.size} values are not finite",
                    tensor=tensor,
                    remedy="lower the learning rate, or look for NaN in this party's data",
                )
        return update


def _spent(outcome: RoundOutcome) -> dict[str, float] | None:
    """What a private round brought the total to; an infinite epsilon, of central noise against the server, is left out."""
    spent = getattr(outcome, "spent", None)
    if spent is None:
        return None
    both = {"server": spent.server, "observer": spent.observer}
    return {who: epsilon for who, epsilon in both.items() if math.isfinite(epsilon)}


def _check_clients(clients: Mapping[str, Dataset]) -> None:
    if not clients:
        raise ConfigError("clients: got none, needs at least 1", remedy="pass {name: Dataset}")
    for party, dataset in clients.items():
        if not party or party == SERVER:
            raise ConfigError(
                f"party name: got {party!r}, needs a name other than {SERVER!r}", remedy="rename the party"
            )
        if not len(dataset):
            raise ConfigError(f"party {party!r}: got 0 examples, needs at least 1", remedy="leave this party out")


def _check_plan(plan: Plan, clients: Mapping[str, Dataset]) -> None:
    if plan.parties != len(clients):
        raise ConfigError(
            f"plan: got parties={plan.parties}, needs {len(clients)}, the number of clients",
            remedy=f"use Plan(parties={len(clients)})",
        )
    if plan.private:
        return  # all weigh the same: weighted by examples, one party could move the mean by far more than the others
    party, heaviest = max(((party, len(dataset)) for party, dataset in clients.items()), key=lambda pair: pair[1])
    if heaviest > plan.max_weight:
        raise ConfigError(
            f"party {party!r}: got weight {heaviest}, its number of examples, needs at most {plan.max_weight}",
            remedy=f"use Plan(max_weight={heaviest})",
        )
