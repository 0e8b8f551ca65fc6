"""Every algorithm under real secure aggregation follows the curve that it has in the clear, within the encoding's step."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
import securefl.federated as fl
from conformance.adapters import private_key
from securefl.federated.models import Perceptron
from securefl.federated.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi

MODEL = Perceptron(6, 3, (5,))
NAMES = [f"party-{i}" for i in range(6)]
SGD = {"epochs": 2, "batch_size": 10, "learning_rate": 0.1}

ALGORITHMS = {
    "FedAvg": fl.FedAvg(**SGD),
    "FedProx": fl.FedProx(**SGD, mu=0.1),
    "Scaffold": fl.Scaffold(**SGD),
    "FedPer": fl.FedPer(**SGD, keep=("head*",)),
    "FedBN": fl.FedBN(**SGD, keep=("*bias",)),
    "Transfer": fl.Transfer(**SGD, head=("head*",)),
    "RandomSubspace": fl.RandomSubspace(fl.FedAvg(**SGD), size=32),
}
SERVERS = {
    "Averaging": fl.Averaging(),
    "FedAvgM": FedAvgM(lr=0.5),
    "FedAdagrad": FedAdagrad(lr=0.1, tau=0.1),
    "FedAdam": FedAdam(lr=0.1, tau=0.1),
    "FedYogi": FedYogi(lr=0.1, tau=0.1),
}


def clients():
    rng = np.random.default_rng(5)
    parties = {}
    for i, name in enumerate(NAMES):
        y = rng.integers(0, 3, 30 + 5 * i)
        x = np.eye(6)[y] * 2 + rng.normal(size=(y.size, 6)) + 0.3 * i
        parties[name] = fl.Dataset(x.astype(np.float32), y.astype(np.int64))
    return parties


def federation(plan, algorithm, server=None, **more):
    parties = clients()
    return fl.Federation(
        MODEL, parties, plan=plan, algorithm=algorithm, server=server, test=parties[NAMES[0]], seed=2, **more
    )


def fine(algorithm, **more):
    """A plan whose encoding has a step of 2^-22: what is left of the difference is that of float32."""
    protocol = more.pop("protocol", sfl.SecAgg(dropout=0.2))
    return fl.plan_for(MODEL, clients(), algorithm=algorithm, protocol=protocol, value_bits=24, bound=2.0, **more)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_one_round_differs_by_no_more_than_the_encodings_error_bound(name):
    algorithm = ALGORITHMS[name]
    plan = fl.plan_for(MODEL, clients(), algorithm=algorithm, protocol=sfl.SecAgg(dropout=0.2), bound=2.0)
    plain, secure = federation(None, algorithm), federation(plan, algorithm)
    plain.fit(1)
    secure.fit(1)
    bound = plan.fixed_point.error_bound + 1e-6  # of the mean, and float32
    if "Subspace" in name:
        bound *= (
            64 / algorithm.size * 8
        )  # a rotation back: at most sqrt(64) of each of the errors in a value, scaled by d/k
    for tensor, leaf in plain.params.items():
        np.testing.assert_allclose(secure.params[tensor], leaf, rtol=0, atol=bound)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_five_rounds_follow_the_same_curve(name):
    algorithm = ALGORITHMS[name]
    runs = [federation(plan, algorithm, dropouts=fl.DropoutSchedule(0.2)) for plan in (None, fine(algorithm))]
    for run in runs:
        run.fit(5)
    plain, secure = (run.history for run in runs)
    assert [r.survivors for r in plain] == [r.survivors for r in secure]
    np.testing.assert_allclose(secure.curve("loss"), plain.curve("loss"), atol=2e-3)
    trained = {party: runs[1].evaluate_parties()[party]["loss"] for party in NAMES}
    for party, loss in runs[0].evaluate_parties().items():
        assert trained[party] == pytest.approx(loss["loss"], abs=2e-3)


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_optimizer_follows_the_same_curve(server):
    algorithm = ALGORITHMS["FedAvg"]
    runs = [federation(plan, algorithm, SERVERS[server]) for plan in (None, fine(algorithm))]
    curves = [run.fit(4).curve("loss") for run in runs]
    np.testing.assert_allclose(curves[1], curves[0], atol=2e-3)


@pytest.mark.parametrize("name", ["FedProx", "Scaffold"])
def test_under_a_paillier_key_it_is_the_same_again(name):
    algorithm = ALGORITHMS[name]
    protocol = sfl.Paillier(private_key().public_key, min_survivors=3)
    runs = [
        federation(None, algorithm),
        federation(fine(algorithm, protocol=protocol), algorithm, key_holder=private_key()),
    ]
    curves = [run.fit(2).curve("loss") for run in runs]
    np.testing.assert_allclose(curves[1], curves[0], atol=1e-3)


def test_a_sample_of_the_parties_meets_in_each_round_and_stragglers_do_part_of_the_work():
    algorithm = fl.FedProx(epochs=4, batch_size=10, learning_rate=0.1)
    plan = fl.plan_for(
        MODEL,
        clients(),
        algorithm=algorithm,
        parties=4,
        protocol=sfl.SecAgg(threshold=2, min_survivors=3),
        value_bits=24,
    )
    more = {"sampler": fl.FixedSize(4), "stragglers": fl.StragglerSchedule(partial=0.5, missing=0.25, seed=1)}
    plain = federation(None, algorithm, **more)
    secure = federation(plan, algorithm, **more)
    for run in (plain, secure):
        run.fit(4)
    for one, other in zip(plain.history, secure.history, strict=True):
        assert one.survivors == other.survivors
        assert len(one.survivors) == 3
        assert list(other.dropped.values()) == ["masked_input"]
    np.testing.assert_allclose(secure.history.curve("loss"), plain.history.curve("loss"), atol=2e-3)


def test_a_plan_that_does_not_fit_sampler_or_algorithm_is_refused_before_training():
    algorithm = ALGORITHMS["FedAvg"]
    with pytest.raises(sfl.ConfigError, match="needs 4, the number of parties in a round"):
        federation(fine(algorithm), algorithm, sampler=fl.FixedSize(4))
    with pytest.raises(sfl.ConfigError, match="varying size"):
        federation(fine(algorithm), algorithm, sampler=fl.Poisson(0.5))
    with pytest.raises(sfl.ConfigError, match="Scaffold sends"):
        federation(fine(algorithm), ALGORITHMS["Scaffold"])


def test_training_stops_early_and_callbacks_see_every_round():
    seen = []
    run = federation(None, fl.FedAvg(epochs=1, learning_rate=1e-9))
    run.fit(30, callbacks=[seen.append], stop=fl.EarlyStop(patience=3, least=1e-3))
    assert len(run.history) == 4
    assert [record.round for record in seen] == [1, 2, 3, 4]


def test_a_robust_rule_stands_in_the_clear_and_is_refused_over_hidden_updates():
    from securefl.federated.robust import GroupwiseRobust, Median

    algorithm = ALGORITHMS["FedAvg"]
    federation(None, algorithm, robust=Median()).fit(1)
    with pytest.raises(sfl.ConfigError, match="GroupwiseRobust"):
        federation(fine(algorithm), algorithm, robust=Median())
    parties = {**clients(), **{f"more-{i}": dataset for i, dataset in enumerate(list(clients().values())[:3])}}
    plan = fl.plan_for(MODEL, parties, algorithm=algorithm, parties=3, protocol=sfl.SecAgg(threshold=2))
    grouped = GroupwiseRobust(plan, tuple(parties), Median(), group_size=3)
    run = fl.Federation(MODEL, parties, plan=None, algorithm=algorithm, aggregator=grouped, test=parties["more-0"])
    untrained = run.evaluate()["loss"]
    # Groups are drawn anew by the system's randomness, so that no two runs are alike.
    assert run.fit(6).records[-1].test_metrics["loss"] < 0.8 * untrained
