"""Reinforcement learning over real secure aggregation, with and without noise, and its benchmark in small."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import securefl as sfl
import securefl.federated as fl
from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.errors import ConfigError
from securefl.federated.reinforcement import Box, CartPole, PerceptronPolicy, Reinforce
from securefl.report import Experiment, ExperimentConfig

ROOT = Path(__file__).parents[2]
POLICY = PerceptronPolicy(hidden=(8,))
ALGORITHM = Reinforce(epochs=1, learning_rate=1.0)


def clients():
    places = [(3.0, 0.3), (6.0, 2.0), (10.0, 0.3), (15.0, 2.0)]
    return {f"party-{i}": CartPole(3 + i, gravity=g, length=p, max_episode_steps=80) for i, (g, p) in enumerate(places)}


def federation(plan, **more):
    return fl.Federation(
        POLICY,
        clients(),
        plan=plan,
        algorithm=ALGORITHM,
        test=CartPole(4, gravity=8.0, max_episode_steps=80),
        seed=3,
        **more,
    )


def fine(bits=24):
    return fl.plan_for(POLICY, clients(), algorithm=ALGORITHM, value_bits=bits, bound=2.0)


def test_one_secure_round_differs_by_no_more_than_the_encodings_error_bound():
    plan = fine(16)
    plain, secure = federation(None), federation(plan)
    one, other = plain.fit(1).records[0], secure.fit(1).records[0]
    for name, leaf in plain.params.items():
        assert np.abs(leaf - secure.params[name]).max() <= plan.fixed_point.error_bound + 1e-6
    assert any((plain.params[name] != secure.params[name]).any() for name in plain.params)
    assert one.weight_sum == other.weight_sum == 3 + 4 + 5 + 6
    # The return travels masked, in its declared range.
    step = 500 / (2 * plan.fixed_point.max_value)
    assert other.train_metrics["return"] == pytest.approx(one.train_metrics["return"], abs=step)
    assert other.train_metrics["return"] != one.train_metrics["return"]


def test_some_secure_rounds_have_the_curve_of_those_in_the_clear():
    # Seeded: a rounding that falls otherwise could, rarely, change an action, and with it an episode.
    plain, secure = federation(None), federation(fine(), random_for=lambda number: SeededRandom(digest("test", number)))
    one, other = plain.fit(4), secure.fit(4)
    assert other.curve("return") == one.curve("return")
    assert other.curve("return", train=True) == pytest.approx(one.curve("return", train=True), abs=1e-3)


def test_under_noise_the_clip_holds_the_ledger_is_written_and_no_return_is_told(tmp_path):
    plan = fl.private_plan_for(
        POLICY,
        clients(),
        privacy=sfl.DistributedDiscreteGaussian(clip=0.5),
        epsilon=8.0,
        delta=1e-3,
        rounds=2,
        algorithm=ALGORITHM,
        protocol=sfl.SecAgg(server="semi-honest", dropout=0.1),
    )
    ledger = sfl.PrivacyLedger(tmp_path / "ledger.jsonl", sfl.Budget(epsilon=8.0, delta=1e-3))
    fed = federation(plan, ledger=ledger)
    history = fed.fit(2)
    assert history.records[-1].epsilon["observer"] <= 8.0
    assert not history.records[-1].train_metrics
    # Every party weighs the same under noise, however many episodes it plays.
    assert (plan.max_weight, dict(plan.metrics), history.records[-1].weight_sum) == (1, {}, 4)
    assert history.curve("return")
    assert all(np.isfinite(leaf).all() for leaf in fed.params.values())


def test_a_party_with_a_larger_batch_or_another_environment_than_the_plan_is_for_is_refused_by_name():
    plan = fine()
    for odd, complaint in (
        (CartPole(50), "party 'party-2': got weight 50, .* needs at most 6"),
        (Wider(3), "party 'party-2': Wider has 6 values to see and 2 actions, the policy is made for 4 and 2"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            fl.Federation(POLICY, {**clients(), "party-2": odd}, plan=plan, algorithm=ALGORITHM, seed=3).fit(1)


class Wider(CartPole):
    """Says that it has more to see."""

    def __init__(self, copies):
        super().__init__(copies)
        self.single_observation_space = Box(np.zeros(6, np.float32), np.ones(6, np.float32))


def test_a_secure_training_goes_on_from_a_checkpoint_but_for_the_rounding_which_is_random(tmp_path):
    plan = fine()
    whole, first, again = (falling(plan) for _ in range(3))
    whole.fit(2)
    first.fit(1, checkpoint=tmp_path / "c")
    again.resume(tmp_path / "c").fit(1)
    for name, leaf in whole.params.items():
        np.testing.assert_allclose(leaf, again.params[name], atol=1e-5)
        assert np.abs(leaf - first.params[name]).max() > 1e-3


def falling(plan):
    """Whose rate falls, and whose server remembers."""
    algorithm = Reinforce(epochs=1, learning_rate=1.0, decay=0.5)
    return fl.Federation(POLICY, clients(), plan=plan, algorithm=algorithm, server=fl.FedAdam(lr=0.05), seed=3)


def test_a_batch_of_examples_is_refused_where_there_are_none():
    text = '[data]\ndataset = "cartpole"\npartition = "natural"\n[training]\nalgorithm = "reinforce"\nbatch_size = 16'
    with pytest.raises(ConfigError, match=r"training\.batch_size is set, .*data\.episodes"):
        Experiment.prepare(ExperimentConfig.from_toml(text))


@pytest.fixture
def bench():
    """The benchmark's module; what it brings does not stay behind for other tests."""
    before, paths = set(sys.modules), [str(ROOT / "benchmarks" / "utility"), str(ROOT / "benchmarks")]
    sys.path[:0] = paths
    yield importlib.import_module("reinforcement")
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(ROOT / "benchmarks"):
            del sys.modules[name]


@pytest.mark.heavy
def test_the_benchmark_runs_in_small(bench, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    files = ["--json", str(tmp_path / "b.json"), "--plot", str(tmp_path / "b.png")]
    monkeypatch.setattr(sys, "argv", [bench.__file__, "--quick", "--workers", "1", "--draws", "2", *files])
    bench.main()
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((tmp_path / "b.json").read_text())
    assert [row["unit"] for row in data["rows"]] == ["return"] * 3
    found = {line["who"]: line for line in data["trainings"]}
    assert len(found) == 2 + 8
    assert len(data["trainings"]) == 2 + 8 + 1
    assert found[bench.TOGETHER]["held_out"] == found[bench.SECURE]["held_out"]


@pytest.mark.heavy
@pytest.mark.timeout(3000)
@pytest.mark.usefixtures("from_a_seed")
def test_together_they_balance_where_nobody_trained_and_the_best_alone_does_worse(bench):
    """Each seed for itself; from a seed, since where rounding falls a training may end in one of the dips that curves have."""
    for seed in range(3):
        secure = bench.train(bench.Task(seed, bench.ROUNDS, bench.SECURE))
        clear = bench.train(bench.Task(seed, 5, bench.TOGETHER))  # the same until rounding changes an action
        alone = [bench.train(bench.Task(seed, bench.ROUNDS, who))["return"] for who in bench.environments()]
        assert secure["return"] >= bench.LEAST
        # The best alone is chosen with hindsight, on the held-out places themselves, anew for each seed.
        assert max(alone) < secure["return"]
        assert secure["held_out"][:5] == clear["held_out"]
        assert secure["training"][:5] == pytest.approx(clear["training"], abs=1e-3)
