"""Training over the real engine: close to plain averaging round by round, and untouched by a round that fails."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import securefl as sfl
from securefl import federated as fl
from securefl.types import Step


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 40)
    centres = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return fl.Dataset((centres[y] + 0.5 * rng.standard_normal((120, 2))).astype(np.float32), y)


@pytest.fixture(scope="module")
def clients(blobs):
    sizes = fl.iid(blobs.y, 8, seed=1)
    parts = {f"party-{i}": blobs.subset(part) for i, part in enumerate(sizes)}
    parts["party-0"] = parts["party-0"].subset(range(4))  # weights that differ
    return parts


MODEL = fl.SoftmaxRegression(2, 3)


def federation(clients, plan, **options):
    algorithm = fl.FedAvg(epochs=1, batch_size=5, learning_rate=0.2)
    return fl.Federation(MODEL, clients, plan=plan, algorithm=algorithm, seed=3, **options)


def plan_of(clients, server="semi-honest"):
    threshold = 5 if server == "active" else 4
    return sfl.plan_for(MODEL, clients, protocol=sfl.SecAgg(server=server, threshold=threshold, max_colluders=1))


@pytest.mark.parametrize("server", list(sfl.ServerModel))
def test_a_secure_round_is_plain_averaging_within_the_stated_bound_in_every_round(clients, blobs, server):
    """From the same parameters: both federations are set to the secure one's before each round."""
    plan = plan_of(clients, server)
    schedule = fl.DropoutSchedule(0.13, seed=5)
    secure = federation(clients, plan, test=blobs, dropouts=schedule)
    plain = federation(clients, None, test=blobs, dropouts=schedule)
    for number in range(1, 6):
        plain._params = copy.deepcopy(secure.params)
        before = copy.deepcopy(secure.params)
        secure.fit(1)
        plain.fit(1)
        ours, theirs = secure.history.records[-1], plain.history.records[-1]
        assert ours.round == theirs.round == number
        assert ours.survivors == theirs.survivors
        assert ours.weight_sum == theirs.weight_sum
        for name, leaf in plain.params.items():
            # One half unit in the last place for the mean's dtype, one for adding it to the parameters, on each side.
            largest = max(abs(before[name]).max() + plan.encoding.bound, 1.0)
            rounding = 4 * largest * np.finfo(leaf.dtype).eps
            difference = abs(secure.params[name].astype(np.float64) - leaf.astype(np.float64)).max()
            assert difference < plan.encoding.error_bound + rounding
        for name in fl.planning.METRICS:
            low, high = fl.planning.METRICS[name]
            step = (high - low) / (2 * plan.encoding.max_value)
            assert abs(ours.train_metrics[name] - theirs.train_metrics[name]) < step * (1 + 1e-6)
        assert ours.bytes_up > 0
        assert sum(up for up, _ in ours.bytes_by_step.values()) == ours.bytes_up
    assert secure.history.accuracy > 0.8


def test_a_round_that_fails_leaves_model_history_and_session_as_they_were(clients, blobs):
    plan = plan_of(clients)

    class FailsInRound2(fl.DropoutSchedule):
        def for_round(self, number, parties):
            return dict.fromkeys(parties[:5], Step.MASKED_INPUT) if number == 2 and not self.healed else {}

    FailsInRound2.healed = False
    broken = federation(clients, plan, test=blobs, dropouts=FailsInRound2())
    broken.fit(1)
    params, records = copy.deepcopy(broken.params), broken.history.to_dict()
    for _ in range(2):
        with pytest.raises(sfl.BelowThresholdError, match="party-0, party-1, party-2, party-3, party-4"):
            broken.fit(3)
        assert broken.history.to_dict() == records
        assert len(broken.history) == 1
        for name, leaf in params.items():
            np.testing.assert_array_equal(broken.params[name], leaf)
    FailsInRound2.healed = True
    broken.fit(2)
    assert [record.round for record in broken.history.records] == [1, 2, 3]

    undisturbed = federation(clients, plan, test=blobs)
    undisturbed.fit(3)
    for name, leaf in undisturbed.params.items():
        # Rounding is random, so that two secure runs agree only within the bound of each of their rounds.
        assert abs(broken.params[name] - leaf).max() < 2 * 3 * 3 * plan.encoding.error_bound


def test_a_diverging_party_sends_nothing_and_is_named(clients):
    bad = {**clients, "party-3": fl.Dataset(np.full((5, 2), np.inf, np.float32), np.zeros(5, np.int64))}
    secure = federation(bad, plan_of(bad))
    before = copy.deepcopy(secure.params)
    with np.errstate(all="ignore"), pytest.raises(sfl.NonFiniteError, match="party-3"):
        secure.fit(1)
    assert len(secure.history) == 0
    for name, leaf in before.items():
        np.testing.assert_array_equal(secure.params[name], leaf)
    assert secure.aggregator._session._actors.server.step is None


def test_each_round_is_bound_to_the_parameters_that_it_starts_from(clients):
    secure = federation(clients, plan_of(clients))
    bound = []
    for _ in range(2):
        before = secure.aggregator._session.plan.model_digest(secure.params)
        secure.fit(1)
        server = secure.aggregator._session._actors.server
        assert server._round.context.model_digest == before
        bound.append(before)
    assert bound[0] != bound[1]


def test_parties_that_train_from_another_model_get_no_sum(clients):
    """What binds a round to its model, over the whole engine."""
    plan = plan_of(clients)
    session = sfl.MemorySession(plan, tuple(clients))
    params = MODEL.initial(0)
    update = {name: np.zeros_like(leaf) for name, leaf in params.items()}
    updates = dict.fromkeys(clients, update)
    metrics = {name: {"loss": 1.0, "accuracy": 0.5} for name in clients}
    assert session.round(updates, metrics=metrics, model=params).survivors == tuple(clients)
    start_round = session._actors.server.start_round
    session._actors.server.start_round = lambda _: start_round({**params, "bias": params["bias"] + 1e-7})
    with pytest.raises(sfl.BelowThresholdError):
        session.round(updates, metrics=metrics, model=params)
