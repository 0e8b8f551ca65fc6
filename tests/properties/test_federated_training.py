from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl import federated as fl
from securefl.federated.seeds import Use, generator
from securefl.types import Step

seeds = st.integers(0, 2**32)


@given(seed=seeds, l2=st.floats(0, 2), shape=st.tuples(*[st.integers(1, 5)] * 2, st.integers(2, 5)))
def test_the_gradient_is_the_finite_difference_of_the_loss(seed, l2, shape):
    rows, features, classes = shape
    rng = np.random.default_rng(seed)
    model = fl.SoftmaxRegression(features, classes, l2)
    x, y = rng.standard_normal((rows, features)), rng.integers(0, classes, rows)
    params = {"weight": rng.standard_normal((features, classes)), "bias": rng.standard_normal(classes)}
    direction = {name: rng.standard_normal(leaf.shape) for name, leaf in params.items()}

    def loss(step):
        return model.loss_and_gradient({k: v + step * direction[k] for k, v in params.items()}, x, y)[0]

    slope = sum(np.vdot(leaf, direction[name]) for name, leaf in model.loss_and_gradient(params, x, y)[1].items())
    assert slope == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-5, abs=1e-7)


@given(seed=seeds, weights=st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_the_plain_average_is_numpys_weighted_average(seed, weights):
    vectors = np.random.default_rng(seed).standard_normal((len(weights), 4)).astype(np.float32)
    names = [str(i) for i in range(len(weights))]
    outcome = fl.PlainAverage().round(
        {name: {"w": vector} for name, vector in zip(names, vectors, strict=True)},
        weights=dict(zip(names, weights, strict=True)),
        metrics={name: {"first": float(vector[0])} for name, vector in zip(names, vectors, strict=True)},
        model={"w": vectors[0]},
        drop={},
    )
    expected = np.average(vectors.astype(np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(outcome.mean["w"], expected, rtol=1e-12)
    assert outcome.metrics["first"] == pytest.approx(expected[0], rel=1e-9, abs=1e-12)
    assert outcome.weight_sum == sum(weights)


@given(seed=seeds, number=st.integers(1, 1000), n=st.integers(1, 60), fraction=st.floats(0, 1, exclude_max=True))
def test_a_schedule_is_set_by_its_seed_and_drops_known_parties(seed, number, n, fraction):
    parties = [f"party-{i}" for i in range(n)]
    dropped = fl.DropoutSchedule(fraction, seed=seed).for_round(number, parties)
    assert dropped == fl.DropoutSchedule(fraction, seed=seed).for_round(number, parties)
    assert dropped.keys() <= set(parties)
    assert abs(len(dropped) - fraction * n) < 1 + 1e-9


@given(seed=seeds, first=st.integers(1, 1000), n=st.integers(10, 40))
def test_every_step_occurs_in_five_consecutive_rounds(seed, first, n):
    schedule, parties = fl.DropoutSchedule(0.1, seed=seed), [str(i) for i in range(n)]
    seen = {step for number in range(first, first + 5) for step in schedule.for_round(number, parties).values()}
    assert seen == set(Step)


@given(seed=seeds, indices=st.lists(st.integers(0, 9), max_size=3))
def test_streams_of_other_indices_or_uses_differ_even_by_a_trailing_zero(seed, indices):
    def first(use, *numbers):
        return generator(seed, use, *numbers).integers(2**63)

    assert first(Use.TRAINING, *indices) == first(Use.TRAINING, *indices)
    assert first(Use.TRAINING, *indices) != first(Use.TRAINING, *indices, 0)
    assert first(Use.TRAINING, *indices) != first(Use.DROPOUT, *indices)


@settings(max_examples=20)
@given(seed=seeds, data_seed=seeds, fraction=st.floats(0, 0.5))
def test_the_same_seeds_give_the_same_history(seed, data_seed, fraction):
    rng = np.random.default_rng(data_seed)
    whole = fl.Dataset(rng.standard_normal((24, 3)), rng.integers(0, 2, 24))
    clients = {str(i): whole.subset(part) for i, part in enumerate(fl.iid(whole.y, 4, seed))}

    def run():
        schedule = fl.DropoutSchedule(fraction, steps=(Step.MASKED_INPUT, Step.UNMASK), seed=seed)
        model = fl.SoftmaxRegression(3, 2)
        algorithm = fl.FedAvg(epochs=1, batch_size=4)
        federation = fl.Federation(
            model, clients, plan=None, algorithm=algorithm, test=whole, seed=seed, dropouts=schedule
        )
        rounds = federation.fit(2).to_dict()["rounds"]
        return [{key: value for key, value in record.items() if "seconds" not in key} for record in rounds]

    assert run() == run()
