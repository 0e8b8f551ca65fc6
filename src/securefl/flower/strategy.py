"""`SecureAggregation`: any Flower strategy that averages, with averages that nobody sees the parts of."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedProx, FedYogi, Strategy

from securefl.dp.ledger.errors import PrivacyBudgetError
from securefl.errors import ConfigError, RoundAbortedError, SecureFLError
from securefl.flower.arrays import completed, learnt_of, moved, template_of, to_numpy
from securefl.flower.exchange import Exchange, Failure
from securefl.flower.records import RECORD, WEIGHT, question
from securefl.plan import Plan, Roster
from securefl.plan.paillier import Paillier
from securefl.session.result import RoundResult
from securefl.session.server import SecAggServer
from securefl.session.serving import ServerSession

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger
    from securefl.records.used_file import UsedFile

_AVERAGING = (FedAvg, FedProx, FedAvgM, FedAdam, FedAdagrad, FedYogi)
_LOOK_AGAIN = 0.5
"""Seconds between two looks at who is connected."""
_log = logging.getLogger("flwr")


class SecureAggregation(Strategy):
    """A strategy whose train replies are summed under a plan, and which hands the inner one a single reply: the mean.

        strategy = SecureAggregation(FedAdam(fraction_evaluate=0.0), plan=plan, roster=Roster.load("roster.toml"))
        result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=10)
        strategy.results[-1].report()

    A round that too few nodes are left for ends without a mean, by name in the log and in `results`; the model stays as it was, and
    the next round starts clean.

    Args:
        strategy: FedAvg, FedProx, FedAvgM, FedAdam, FedAdagrad or FedYogi, with fraction_train=1.0 and fraction_evaluate=0.0.
        plan: the agreement; its template is `template_of(initial_arrays)`.
        roster: the parties; needed under an active plan. Without one the nodes are called party-0, party-1, ... as in a simulation.
        ledger: the server's, under a private plan.
        used: the record of what the server decided.
        phase_timeout: seconds that a phase other than training waits for answers, and a round for nodes to connect; who is late is
            left out.

    Attributes:
        results: of each round a `RoundResult`, or the error that ended it.
        failures: by round, the nodes that answered with an error, and what they said.

    Raises:
        ConfigError: a strategy that needs single updates, that evaluates in clear, samples, or waits for more nodes than a round
            needs; or a plan that does not fit.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        plan: Plan,
        roster: Roster | None = None,
        ledger: PrivacyLedger | None = None,
        used: UsedFile | None = None,
        phase_timeout: float = 120.0,
    ) -> None:
        self.inner = _checked(strategy, plan)
        self.results: list[RoundResult | SecureFLError] = []
        self.failures: dict[int, tuple[Failure, ...]] = {}
        self.seconds: dict[int, dict[str, float]] = {}
        self.exchanges: dict[int, int] = {}
        chosen = roster or Roster.unsigned(f"party-{i}" for i in range(int(plan.parameters.parties)))
        self._server = _server_of(plan, chosen, ledger, used)
        self._phase_timeout = phase_timeout
        self._nodes: dict[str, int] = {}
        self._exchange: Exchange | None = None
        self._before: ArrayRecord | None = None

    @property
    def plan(self) -> Plan:
        """The agreement of the latest round."""
        return self._server.plan

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Run the phases before training, and return the train messages, each with the server's question for its node."""
        self._check_model(arrays)
        self._before = arrays
        self._await_nodes(grid)
        inner = list(self.inner.configure_train(server_round, learnt_of(arrays), config, grid))
        contents = {message.metadata.dst_node_id: message.content for message in inner}
        self._exchange = Exchange(
            self._server,
            grid,
            nodes=self._nodes,
            reachable=list(contents),
            group=str(server_round),
            timeout=self._phase_timeout,
        )
        try:
            questions = self._exchange.until_training(self._server.start_round(to_numpy(arrays)))
        except (RoundAbortedError, PrivacyBudgetError) as ended:
            self._ended(server_round, ended)
            self._exchange = None
            return []
        return [
            Message(
                content=RecordDict({**contents[node], self._arrays: arrays, RECORD: question(messages)}),
                dst_node_id=node,
                message_type="train",
                group_id=str(server_round),
            )
            for node, messages in questions.items()
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Sum what came, have it opened, and let the inner strategy step on the mean."""
        exchange, before = self._exchange, self._before
        if exchange is None or before is None or self._server.done:
            return None, None  # the round ended before training
        try:
            exchange.finish(list(replies))
            result = self._server.result()
        except RoundAbortedError as aborted:
            self._ended(server_round, aborted)
            return None, None
        self.results.append(result)
        self._note(server_round)
        mean = Message(
            content=RecordDict(
                {
                    self._arrays: moved(before, _flat(result.mean)),
                    "metrics": MetricRecord(
                        {
                            **{name: float(value) for name, value in result.metrics.items()},
                            self.inner.weighted_by_key: int(result.weight_sum),
                        }
                    ),
                }
            ),
            dst_node_id=0,
            message_type="train",
        )
        stepped, metrics = self.inner.aggregate_train(server_round, [mean])
        return None if stepped is None else completed(stepped, before), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nothing: loss and numbers of examples would travel in clear. Metrics of the plan ride in the sum instead."""
        del server_round, arrays, config, grid
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing."""
        del server_round, replies
        return None

    def summary(self) -> None:
        """Log the plan, then what the inner strategy says."""
        for line in str(self.plan).splitlines():
            _log.info("\t%s", line)
        self.inner.summary()

    def report(self) -> str:
        """The last round that ended well, as text: what was computed, and who learned what; with the nodes that refused.

        Raises:
            ConfigError: no round has ended well.
        """
        done = [result for result in self.results if isinstance(result, RoundResult)]
        if not done:
            raise ConfigError("no round has ended with a sum", remedy="see `results` and `failures`")
        refused = [
            f"Refused in round {number}: {failure}" for number, found in self.failures.items() for failure in found
        ]
        return "\n".join([done[-1].report(), *refused])

    @property
    def _arrays(self) -> str:
        return self.inner.arrayrecord_key

    def _await_nodes(self, grid: Grid) -> None:
        """Wait for all nodes before the first round, and later for as many as a round needs, for the length of a phase.

        Flower begins with the first two, and who is not asked is missing.
        """
        chosen = self.plan.parameters
        wanted = (chosen.quorum if self._nodes else chosen.parties) + isinstance(self.plan.protocol, Paillier)
        deadline = time.monotonic() + self._phase_timeout
        told = False
        while (there := len(list(grid.get_node_ids()))) < wanted and time.monotonic() < deadline:
            if not told:
                _log.info("secure aggregation: %s of %s nodes are connected, waiting for the others", there, wanted)
                told = True
            time.sleep(_LOOK_AGAIN)

    def _check_model(self, arrays: ArrayRecord) -> None:
        wanted = template_of(arrays)
        planned = {leaf.name: (tuple(leaf.shape), leaf.dtype) for leaf in self.plan.layout.leaves}
        from securefl.encoding.layout import Layout

        fitting = {leaf.name: (tuple(leaf.shape), leaf.dtype) for leaf in Layout.from_template(wanted).leaves}
        if planned != fitting:
            odd = sorted(name for name in {*planned, *fitting} if planned.get(name) != fitting.get(name))
            raise ConfigError(
                f"the plan is for another model: {odd[0]!r} is {planned.get(odd[0], 'missing')} in it, "
                f"{fitting.get(odd[0], 'missing')} in the model",
                remedy="make it with template=securefl.flower.template_of(initial_arrays)",
            )

    def _ended(self, server_round: int, aborted: SecureFLError) -> None:
        for failure in self._exchange.failures if self._exchange is not None else ():
            aborted.add_note(str(failure))
        self.results.append(aborted)
        self._note(server_round)
        _log.error("secure aggregation: round %s ended without a sum: %s", server_round, aborted)

    def _note(self, server_round: int) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self.failures[server_round] = tuple(exchange.failures)
        self.seconds[server_round] = dict(exchange.seconds)
        self.exchanges[server_round] = exchange.count
        for failure in exchange.failures:
            _log.warning("secure aggregation: %s", failure)


def _server_of(plan: Plan, roster: Roster, ledger: PrivacyLedger | None, used: UsedFile | None) -> ServerSession:
    if isinstance(plan.protocol, Paillier):
        from securefl.session.paillier_server import PaillierServer

        if str(plan.protocol.holder) != "separate":
            raise ConfigError(
                f"a key held {plan.protocol.holder} on Flower: parties keep no decryption between exchanges",
                remedy='plan with Paillier(key), whose holder is "separate", or with SecAgg',
            )
        return PaillierServer(plan, roster=roster, ledger=ledger, used=used)
    return SecAggServer(plan, roster=roster, ledger=ledger, used=used)


def _checked(strategy: Strategy, plan: Plan) -> FedAvg:
    if not isinstance(strategy, _AVERAGING) or type(strategy).aggregate_train not in {
        kind.aggregate_train for kind in _AVERAGING
    }:
        raise ConfigError(
            f"{type(strategy).__name__} needs single updates, or averages in a way of its own, and here nobody sees one",
            remedy=f"use one of {', '.join(kind.__name__ for kind in _AVERAGING)}; a robust rule over groups is "
            "securefl.federated.robust.GroupwiseRobust",
        )
    if strategy.fraction_evaluate > 0:
        raise ConfigError(
            f"fraction_evaluate is {strategy.fraction_evaluate}: replies would carry losses and numbers of examples in clear",
            remedy="set fraction_evaluate=0.0; evaluate on the server by evaluate_fn, or declare metrics in the plan",
        )
    if strategy.fraction_train < 1:
        raise ConfigError(
            f"fraction_train is {strategy.fraction_train}: the plan is for all parties of its roster, and who is not asked is missing",
            remedy="set fraction_train=1.0; for rounds of some parties make a roster of them",
        )
    for name in ("min_available_nodes", "min_train_nodes"):
        if getattr(strategy, name) > plan.parameters.quorum:
            raise ConfigError(
                f"{name} is {getattr(strategy, name)}: Flower would wait without end for a node that is lost, and a round needs "
                f"{plan.parameters.quorum} of {plan.parameters.parties}",
                remedy=f"leave {name} out: SecureAggregation waits for all nodes before the first round",
            )
    if plan.max_weight > 1 and strategy.weighted_by_key != WEIGHT:
        raise ConfigError(
            f"weighted_by_key is {strategy.weighted_by_key!r}: secure_mod on the nodes weighs by {WEIGHT!r}",
            remedy=f"call it {WEIGHT!r}, or plan with max_weight=1",
        )
    return strategy


def _flat(mean: Any) -> Mapping[str, Any]:
    return mean if isinstance(mean, Mapping) else {}
