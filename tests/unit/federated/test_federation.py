from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest

from securefl import federated as fl
from securefl.errors import BelowThresholdError, ConfigError, NonFiniteError
from securefl.policy import ModelFloors
from securefl.types import Step

ALGORITHM = fl.FedAvg(epochs=2, batch_size=4, learning_rate=0.2)


@pytest.fixture
def federation(model, clients, blobs):
    return fl.Federation(model, clients, plan=None, algorithm=ALGORITHM, test=blobs)


class FailsInRound:
    """Averages in the clear, until the round in which it fails."""

    def __init__(self, number):
        self.left = number

    def round(self, updates, **arguments):
        self.left -= 1
        if self.left == 0:
            raise BelowThresholdError("too few parties left", phase="unmask")
        return fl.PlainAverage().round(updates, **arguments)


def timeless(history):
    clocks = {"seconds": 0.0, "train_seconds": 0.0}
    return [{**record, **clocks} for record in history.to_dict()["rounds"]]


def test_training_separates_the_clouds(federation):
    history = federation.fit(rounds=3)
    assert history.accuracy == 1.0
    assert history is federation.history
    assert federation.evaluate() == {k: v[-1] for k, v in ((k, history.curve(k)) for k in ("loss", "accuracy"))}


def test_train_metrics_are_those_of_the_model_that_the_round_started_from(federation, blobs):
    history = federation.fit(rounds=2)
    assert history.curve("loss", train=True)[0] == pytest.approx(np.log(3), rel=1e-6)
    # The parties' examples are the test set here, so that the weighted mean over all of them is the test loss.
    assert history.curve("loss", train=True)[1] == pytest.approx(history.curve("loss")[0], rel=1e-5)


def test_fitting_in_two_calls_is_fitting_in_one(model, clients, blobs):
    def run(*rounds):
        federation = fl.Federation(
            model, clients, plan=None, algorithm=ALGORITHM, test=blobs, dropouts=fl.DropoutSchedule(0.2)
        )
        for count in rounds:
            federation.fit(count)
        return federation

    once, twice = run(5), run(2, 3)
    assert timeless(once.history) == timeless(twice.history)
    np.testing.assert_array_equal(once.params["weight"], twice.params["weight"])


def test_a_failed_round_changes_nothing_and_can_be_tried_again(model, clients, blobs):
    def fresh():
        return fl.Federation(model, clients, plan=None, algorithm=ALGORITHM, test=blobs, seed=7)

    undisturbed, federation = fresh(), fresh()
    undisturbed.fit(4)
    federation.fit(1)
    federation.aggregator = FailsInRound(2)
    with pytest.raises(BelowThresholdError, match="too few parties left"):
        federation.fit(3)
    assert len(federation.history) == 2
    before, records = copy.deepcopy(federation.params), timeless(federation.history)

    federation.aggregator = FailsInRound(1)
    with pytest.raises(BelowThresholdError):
        federation.fit(1)
    np.testing.assert_equal(federation.params, before)
    assert timeless(federation.history) == records

    federation.fit(2)
    assert timeless(federation.history) == timeless(undisturbed.history)
    np.testing.assert_equal(federation.params, undisturbed.params)


def test_a_server_step_that_fails_changes_nothing_either(model, clients, blobs):
    class Breaks(fl.Averaging):
        def step(self, params, mean, state):
            raise ConfigError("no step")

    federation = fl.Federation(model, clients, plan=None, server=Breaks(), test=blobs)
    before = federation.params
    with pytest.raises(ConfigError, match="no step"):
        federation.fit(1)
    assert federation.params is before
    assert len(federation.history) == 0


def test_a_server_optimizer_carries_its_state_from_round_to_round(model, clients):
    class Counts(fl.Averaging):
        def initial(self, params):
            return 0

        def step(self, params, mean, state):
            seen.append(state)
            return params, state + 1

    seen = []
    fl.Federation(model, clients, plan=None, server=Counts()).fit(3)
    assert seen == [0, 1, 2]


def test_not_a_number_is_reported_by_party_and_tensor_before_anything_is_sent(model, clients):
    poisoned = clients["party-3"]
    clients["party-3"] = fl.Dataset(np.where(poisoned.x > 1, np.nan, poisoned.x), poisoned.y)
    federation = fl.Federation(model, clients, plan=None)
    federation.aggregator = FailsInRound(1)
    with pytest.raises(NonFiniteError, match=r"party 'party-3', round 1, tensor 'weight'.*Remedy") as caught:
        federation.fit(1)
    assert caught.value.tensor == "weight"
    assert federation.aggregator.left == 1


def test_every_party_is_weighted_by_its_examples(model, blobs):
    clients = {"a": blobs.subset(range(10)), "b": blobs.subset(range(10, 90))}
    record = fl.Federation(model, clients, plan=None, algorithm=ALGORITHM).fit(1).records[0]
    assert record.weight_sum == 90
    assert record.test_metrics == {}


def test_dropouts_reach_the_aggregator_and_the_record(model, clients):
    schedule = fl.DropoutSchedule(0.3, steps=(Step.SHARE_KEYS, Step.UNMASK))
    federation = fl.Federation(model, clients, plan=None, algorithm=ALGORITHM, dropouts=schedule)
    for record in federation.fit(3):
        expected = schedule.for_round(record.round, federation.parties)
        assert record.dropped == {party: step.value for party, step in expected.items()}
        assert record.survivors == fl.counted(expected, federation.parties)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda clients: clients.clear(), "clients: got none"),
        (lambda clients: clients.update(server=clients["party-0"]), "got 'server'"),
        (lambda clients: clients.update({"": clients["party-0"]}), "got ''"),
        (lambda clients: clients.update(empty=clients["party-0"].subset([])), "party 'empty': got 0 examples"),
    ],
)
def test_parties_that_cannot_take_part_are_named(model, clients, change, complaint):
    change(clients)
    with pytest.raises(ConfigError, match=complaint):
        fl.Federation(model, clients, plan=None)


def test_a_plan_that_does_not_fit_the_parties_is_refused_before_training(model, clients, blobs):
    clients["party-4"] = blobs
    with pytest.raises(ConfigError, match=r"party 'party-4': got weight 90.*at most 64.*Plan\(max_weight=90\)"):
        fl.Federation(model, clients, plan=fl.plan_for(model, clients).replace(max_weight=64))
    with pytest.raises(ConfigError, match=r"got parties=9, needs 10"):
        fl.Federation(model, clients, plan=fl.plan_for(model, clients).replace(parties=9))
    with pytest.raises(ConfigError, match=r"'bias' is .* in its template, FedPer sends nothing"):
        fl.Federation(model, clients, plan=fl.plan_for(model, clients), algorithm=fl.FedPer(keep=("bias",)))


def test_other_misuse_is_refused(model, clients, blobs):
    federation = fl.Federation(model, clients, plan=None)
    with pytest.raises(ConfigError, match="rounds: got 0"):
        federation.fit(0)
    with pytest.raises(ConfigError, match="there is no test set"):
        federation.evaluate()
    assert federation.evaluate(blobs)["accuracy"] == pytest.approx(1 / 3)
    with pytest.raises(ConfigError, match="test: got an empty data set"):
        fl.Federation(model, clients, plan=None, test=blobs.subset([]))
    with pytest.raises(ConfigError, match="seed: got -1"):
        fl.Federation(model, clients, plan=None, seed=-1)


def test_progress_can_be_a_function(federation):
    seen = []
    history = federation.fit(2, progress=seen.append)
    assert seen == history.records


def test_progress_can_be_a_live_bar(federation, capsys):
    federation.fit(2, progress=True)
    shown = capsys.readouterr().out
    assert "2/2" in shown
    assert "accuracy 1.000, 10/10 in the sum" in shown


def test_without_rich_the_error_says_how_to_install_it_and_nothing_is_trained(federation, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ConfigError, match=r"needs rich.*pip install 'securefl\[demo\]'"):
        federation.fit(1, progress=True)
    assert len(federation.history) == 0


def test_importing_the_package_loads_no_heavy_library():
    heavy = "sklearn scipy rich matplotlib cryptography torch"
    code = f"import sys, securefl.federated; print(*(m for m in {heavy.split()} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
    assert loaded == []


def test_plain_training_on_digits_passes_ninety_percent_in_fifteen_rounds():
    train, test = fl.digits(seed=0)
    parts = fl.dirichlet(train.y, 20, alpha=1.0, seed=0)
    clients = {f"party-{i}": train.subset(part) for i, part in enumerate(parts)}
    federation = fl.Federation(
        fl.SoftmaxRegression(64, 10), clients, plan=None, test=test, dropouts=fl.DropoutSchedule(0.1)
    )
    assert federation.fit(15).accuracy > 0.9


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"floors": ModelFloors()}, "floors without a plan"),
        ({"evaluators": [3]}, "3 measures nothing"),
        ({"evaluators": "accuracy"}, "'a' measures nothing"),
        ({"evaluators": 3}, "got a int, needs a list"),
    ],
)
def test_what_would_be_without_effect_or_cannot_measure_is_refused_at_the_start(model, clients, blobs, wrong, reason):
    with pytest.raises(ConfigError, match=reason):
        fl.Federation(model, clients, plan=None, test=blobs, **wrong)
