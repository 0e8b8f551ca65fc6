"""The owner's mark in a federation: what it changes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
import securefl.federated as fl
from conformance.adapters import private_key
from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.errors import BelowThresholdError, ConfigError, NonFiniteError
from securefl.federated.ownership import TriggerSet, Watermark, verify
from securefl.federated.robust import GroupwiseRobust, Median, NormBound, NormBounded

MODEL = fl.Perceptron(6, 3, (24,))
SGD = {"epochs": 1, "batch_size": 10, "learning_rate": 0.1}
ALGORITHMS = {
    "FedAvg": fl.FedAvg(**SGD),
    "FedProx": fl.FedProx(**SGD, mu=0.1),
    "Scaffold": fl.Scaffold(**SGD),
    "RandomSubspace": fl.RandomSubspace(fl.FedAvg(**SGD), size=64),
    "NormBounded": NormBounded(fl.FedAvg(**SGD), NormBound(1.0)),
}


def seeded(*name):
    return SeededRandom(digest("test", *name))


def clients(count=5):
    rng = np.random.default_rng(3)
    parties = {}
    for i in range(count):
        y = rng.integers(0, 3, 30)
        parties[f"party-{i}"] = fl.Dataset((np.eye(6)[y] * 3 + rng.normal(size=(30, 6))).astype(np.float32), y)
    return parties


def mark(**more):
    triggers = more.pop("triggers", None) or TriggerSet.generate((6,), 3, size=20, low=-2, high=4, random=seeded("t"))
    return Watermark(triggers, **{"epochs": 300, "learning_rate": 0.2, **more})


def federation(watermark, *, plan=None, algorithm=None, **more):
    parties = more.pop("parties", None) or clients()
    return fl.Federation(
        more.pop("model", MODEL),
        parties,
        plan=plan,
        algorithm=algorithm or ALGORITHMS["FedAvg"],
        test=parties["party-0"],
        seed=2,
        watermark=watermark,
        **more,
    )


def plan_of(protocol=None):
    return fl.plan_for(MODEL, clients(), protocol=protocol or sfl.SecAgg(dropout=0.2), value_bits=24, bound=4.0)


def test_the_marked_model_answers_as_drawn_and_the_unmarked_one_does_not():
    watermark = mark()
    marked, unmarked = federation(watermark), federation(None)
    record = marked.fit(3).records[-1]
    unmarked.fit(3)
    found = verify(MODEL, marked.params, watermark.triggers, alpha=1e-6)
    assert found.significant
    assert record.test_metrics["watermark_p_value"] == found.p_value
    assert record.test_metrics["watermark_accuracy"] == found.matches / 20
    assert marked.history.curve("watermark_accuracy")[-1] == found.matches / 20
    assert 0 < record.test_metrics["accuracy_before_watermark"] <= 1
    assert verify(MODEL, unmarked.params, watermark.triggers).p_value > 0.05
    assert "watermark_p_value" not in unmarked.history.records[-1].test_metrics


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_goes_with_every_algorithm_that_trains_one_model(name):
    watermark = mark()
    marked = federation(watermark, algorithm=ALGORITHMS[name])
    marked.fit(2)
    assert watermark.verify(MODEL, marked.params).significant


@pytest.mark.parametrize("kind", ["masks", pytest.param("paillier", marks=pytest.mark.heavy)])
def test_over_hidden_updates_it_is_the_same_model_within_the_encodings_step(kind):
    watermark = mark(epochs=60, target=1.0)
    protocol = sfl.Paillier(private_key().public_key, min_survivors=3) if kind == "paillier" else None
    more = {"key_holder": private_key()} if kind == "paillier" else {}
    plain, secure = federation(watermark), federation(watermark, plan=plan_of(protocol), **more)
    for run in (plain, secure):
        run.fit(2)
        assert watermark.verify(MODEL, run.params).significant
    curves = [run.history.curve("loss") for run in (plain, secure)]
    np.testing.assert_allclose(curves[1], curves[0], atol=0.02)


@pytest.mark.heavy
def test_privacy_costs_what_it_costs_without_it(tmp_path):
    pytest.importorskip("scipy")
    parties = clients(10)
    spent, ledgers = [], []
    for name, watermark in (("marked", mark()), ("plain", None)):
        ledger = sfl.PrivacyLedger(tmp_path / name, sfl.Budget(epsilon=50.0, delta=1e-3))
        plan = fl.private_plan_for(
            MODEL,
            parties,
            privacy=sfl.DistributedDiscreteGaussian(clip=1.0),
            epsilon=20.0,
            delta=1e-3,
            rounds=2,
        )
        run = federation(watermark, plan=plan, parties=parties, ledger=ledger)
        run.fit(2)
        spent.append([record.epsilon for record in run.history])
        ledgers.append(len((tmp_path / name).read_bytes().splitlines()))
        if watermark is not None:
            assert watermark.verify(MODEL, run.params).significant
    assert spent[0] == spent[1]
    assert ledgers[0] == ledgers[1]


def test_what_is_put_in_depends_on_the_public_model_and_the_triggers_alone():
    """The same aggregate from other parties' data gives the same marked model, to the bit."""
    watermark, start = mark(), MODEL.initial(5)

    class Fixed:
        """Averages to the same whatever the updates are."""

        def round(self, updates, **rest):
            outcome = fl.PlainAverage().round(updates, **rest)
            mean = {name: np.full_like(leaf, 0.01) for name, leaf in outcome.mean.items()}
            return type(outcome)(
                mean=mean, survivors=outcome.survivors, dropped={}, weight_sum=1, metrics={}, bytes_up=0
            )

    others = {name: fl.Dataset(data.x[::-1] * 0.5 + 1, data.y) for name, data in clients().items()}
    runs = [federation(watermark, aggregator=Fixed(), parties=parties) for parties in (clients(), others)]
    for run in runs:
        run.fit(2)
    for name in start:
        np.testing.assert_array_equal(runs[0].params[name], runs[1].params[name])


def test_the_record_says_what_the_steps_did_to_the_accuracy():
    """Five steps on 60 triggers are more than two inputs and a line between can hold."""
    triggers = TriggerSet.generate((2,), 2, size=60, random=seeded("line"))
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    data = fl.Dataset((rng.normal(size=(200, 2)) + 4 * y[:, None]).astype(np.float32), y)
    parties = {f"p{i}": data.subset(range(i, 200, 4)) for i in range(4)}
    more = {"plan": None, "algorithm": ALGORITHMS["FedAvg"], "test": data, "seed": 0}
    model = fl.SoftmaxRegression(2, 2)
    unmarked = fl.Federation(model, parties, **more)
    marked = fl.Federation(model, parties, watermark=Watermark(triggers, epochs=300, learning_rate=1.0), **more)
    first = marked.fit(1).records[0].test_metrics
    assert first["accuracy_before_watermark"] == unmarked.fit(1).accuracy
    assert first["accuracy"] < first["accuracy_before_watermark"] - 0.1


def test_only_what_is_learnt_together_is_changed():
    start = MODEL.initial(5)
    algorithm = fl.Transfer(**SGD, head=("head*",))
    run = federation(mark(epochs=5), algorithm=algorithm)
    initial = {name: leaf.copy() for name, leaf in run.params.items()}
    run.fit(2)
    for name in start:
        assert np.array_equal(run.params[name], initial[name]) == (not name.startswith("head"))


def test_resumed_is_the_same_to_the_bit(tmp_path):
    def run():
        return federation(mark(), plan=plan_of(), random_for=lambda n: seeded("round", n))

    whole = run()
    whole.fit(4)
    half = run()
    half.fit(2, checkpoint=tmp_path / "c")
    kept, secret = (tmp_path / "c").read_bytes(), mark().triggers
    assert not any(each in kept for each in (secret._seed, secret._seed.hex().encode(), secret.x[0].tobytes()))
    again = run().resume(tmp_path / "c")
    again.fit(2)
    assert again.history.curve("watermark_p_value") == whole.history.curve("watermark_p_value")
    for name, leaf in whole.params.items():
        np.testing.assert_array_equal(again.params[name], leaf)


def test_resuming_under_other_triggers_or_none_is_refused(tmp_path):
    others = mark(triggers=TriggerSet.generate((6,), 3, size=20, low=-2, high=4, random=seeded("others")))
    federation(mark()).fit(1, checkpoint=tmp_path / "marked")
    federation(None).fit(1, checkpoint=tmp_path / "plain")
    federation(mark()).resume(tmp_path / "marked")
    federation(None).resume(tmp_path / "plain")
    for name, watermark in (("marked", others), ("marked", None), ("plain", others)):
        with pytest.raises(ConfigError, match="give the watermark of that run"):
            federation(watermark).resume(tmp_path / name)


def test_a_round_in_which_the_steps_diverge_changes_nothing():
    run = federation(mark(learning_rate=1e30))
    before = {name: leaf.copy() for name, leaf in run.params.items()}
    with pytest.raises(NonFiniteError, match=r"steps on the triggers diverged.*learning_rate"):
        run.fit(1)
    assert len(run.history) == 0
    for name, leaf in run.params.items():
        np.testing.assert_array_equal(leaf, before[name])


def test_it_goes_with_a_robust_rule():
    watermark = mark()
    run = federation(watermark, robust=Median())
    run.fit(2)
    assert watermark.verify(MODEL, run.params).significant


def test_it_goes_with_a_rule_over_the_sums_of_groups():
    parties, watermark = clients(9), mark()
    plan = fl.plan_for(
        MODEL, dict(list(parties.items())[:3]), protocol=sfl.SecAgg(dropout=0.0), value_bits=24, bound=4.0
    )
    run = federation(
        watermark, parties=parties, aggregator=GroupwiseRobust(plan, tuple(parties), Median(), group_size=3)
    )
    run.fit(2)
    assert watermark.verify(MODEL, run.params).significant


def test_a_model_that_measures_no_accuracy_is_marked_all_the_same():
    class Losses(fl.Perceptron):
        def evaluate(self, params, dataset):
            return {"loss": super().evaluate(params, dataset)["loss"]}

    record = federation(mark(), model=Losses(6, 3, (24,))).fit(1).records[0]
    assert "watermark_p_value" in record.test_metrics
    assert "accuracy_before_watermark" not in record.test_metrics


@pytest.mark.heavy
def test_a_private_round_whose_steps_diverge_is_paid_for(tmp_path):
    parties = clients(10)
    ledger = sfl.PrivacyLedger(tmp_path / "l", sfl.Budget(epsilon=50.0, delta=1e-3))
    plan = fl.private_plan_for(
        MODEL, parties, privacy=sfl.DistributedDiscreteGaussian(clip=1.0), epsilon=20.0, delta=1e-3, rounds=2
    )
    run = federation(mark(learning_rate=1e30), plan=plan, parties=parties, ledger=ledger)
    with pytest.raises(NonFiniteError):
        run.fit(1)
    assert (tmp_path / "l").read_bytes()


def test_fingerprints_are_refused_with_the_reason_and_what_to_use_instead():
    own = {party: TriggerSet.generate((6,), 3, random=seeded(party)) for party in clients()}
    for attempt in (
        lambda: Watermark(own),
        lambda: federation(own),
        lambda: federation({party: Watermark(each) for party, each in own.items()}),
        lambda: Watermark(list(own.values())),
    ):
        with pytest.raises(ConfigError, match=r"same model.*digest.*sums.*one TriggerSet"):
            attempt()


def test_triggers_among_a_partys_examples_are_refused_by_name():
    parties, triggers = clients(), mark().triggers
    parties["party-3"].x[4] = triggers.x[7]
    parties["party-3"].x[9] = triggers.x[11]
    with pytest.raises(ConfigError, match="trigger 7 is among the examples of party 'party-3', and 1 more"):
        federation(mark(), parties=parties)


@pytest.mark.parametrize(
    "algorithm",
    [
        fl.FedPer(**SGD, keep=("head*",)),
        fl.RandomSubspace(fl.FedPer(**SGD, keep=("head*",)), size=8),
        NormBounded(fl.FedBN(**SGD, keep=("*bias",)), NormBound(1.0)),
    ],
)
def test_parties_with_models_of_their_own_are_refused(algorithm):
    with pytest.raises(ConfigError, match=r"watermark with Fed(Per|BN): each party keeps part"):
        federation(mark(), algorithm=algorithm)


@pytest.mark.parametrize(
    ("triggers", "named"),
    [
        (((7,), 3), "shape"),
        (((2, 3), 3), "shape"),
        (((6,), 4), "4 classes, the model 3"),
    ],
)
def test_triggers_of_another_model_are_refused(triggers, named):
    shape, classes = triggers
    with pytest.raises(ConfigError, match=named):
        federation(mark(triggers=TriggerSet.generate(shape, classes, random=seeded())))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"target": 0.0}, "target"),
        ({"target": 1.1}, "target"),
        ({"alpha": 2}, "alpha"),
        ({"alpha": 1e-12}, "at least 26"),
        ({"triggers": "mine.triggers"}, "got a str, needs a TriggerSet"),
    ],
)
def test_impossible_settings_are_refused_by_name(change, named):
    with pytest.raises(ConfigError, match=named):
        mark(**change)


def test_something_else_than_a_watermark_is_refused():
    with pytest.raises(ConfigError, match="got a TriggerSet, needs a Watermark"):
        federation(mark().triggers)


def test_a_failed_round_can_be_tried_again():
    class Fails:
        def __init__(self):
            self.left = 2

        def round(self, updates, **arguments):
            self.left -= 1
            if not self.left:
                raise BelowThresholdError("too few", phase="unmask")
            return fl.PlainAverage().round(updates, **arguments)

    one, other = federation(mark()), federation(mark())
    other.aggregator = Fails()
    one.fit(2)
    with pytest.raises(BelowThresholdError):
        other.fit(2)
    other.fit(1)
    assert one.history.curve("loss") == other.history.curve("loss")


@pytest.mark.heavy
def test_a_torch_model_bears_one_too():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    from securefl.torch.network import network

    model, watermark = network(6, 3, (24,), batch_norm=False), mark()
    marked = federation(watermark, model=model)
    marked.fit(2)
    assert watermark.verify(model, marked.params).significant


@pytest.mark.heavy
def test_a_shape_that_torch_cannot_take_is_one_clear_error():
    pytest.importorskip("torch")
    from securefl.torch.network import network

    triggers = TriggerSet.generate((7,), 3, size=20, random=seeded())
    with pytest.raises(ConfigError, match="cannot answer triggers of shape"):
        mark(triggers=triggers).embed(
            network(6, 3, (4,), batch_norm=False), network(6, 3, (4,), batch_norm=False).initial(0)
        )
