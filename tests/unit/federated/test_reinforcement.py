"""REINFORCE over environments that the parties keep: episodes, policies, the one training loop, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import securefl as sfl
import securefl.federated as fl
from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.algorithms.base import LocalTask
from securefl.federated.reinforcement import (
    Box,
    CartPole,
    Discrete,
    Episodes,
    PerceptronPolicy,
    Reinforce,
    advantages,
    mean_return,
    play,
    weight_of,
)
from securefl.federated.robust import NormBound, NormBounded

POLICY = PerceptronPolicy(hidden=(8,))
FAST = Reinforce(epochs=1, learning_rate=0.5, decay=0.9)


def clients(copies=3):
    return {
        f"party-{i}": CartPole(copies, gravity=g, max_episode_steps=60) for i, g in enumerate((3.0, 6.0, 9.8, 15.0))
    }


def federation(plan=None, policy=POLICY, parties=None, algorithm=FAST, **more):
    more = {"test": CartPole(4, gravity=12.0, max_episode_steps=60), "seed": 1, **more}
    return fl.Federation(policy, parties or clients(), plan=plan, algorithm=algorithm, **more)


class Odd:
    """An environment of two copies whose episodes have 3 steps, that answers wrongly where it is told to."""

    def __init__(self, wrong=None, *, at=2, num_envs=2, width=4, actions=2):
        self.num_envs = num_envs
        self.single_observation_space = Box(-np.ones(width, np.float32), np.ones(width, np.float32))
        self.single_action_space = Discrete(actions)
        self.wrong, self.at, self.width, self.steps = wrong, at, width, 0

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._seen() if self.wrong == "old reset" else (self._seen(), {})

    def _seen(self):
        n = self.num_envs
        if self.steps == self.at:
            if self.wrong == "nan":
                return np.full((n, self.width), np.nan, np.float32)
            if self.wrong == "shape":
                return np.zeros((n, self.width + 1), np.float32)
            if self.wrong == "text":
                return np.full((n, self.width), "left")
            if self.wrong == "fewer copies":
                return np.zeros((n - 1, self.width), np.float32)
            if self.wrong == "object":
                return np.zeros((n, self.width), object)
            if self.wrong == "ragged":
                return [[0.0] * self.width, [0.0]]
            if self.wrong == "huge":
                return np.full((n, self.width), 1e300)
        return np.full((n, self.width), 0.1, np.float32)

    def step(self, actions):
        self.steps += 1
        n, here = self.num_envs, self.steps == self.at
        rewards = np.ones(n)
        if here and self.wrong == "reward":
            rewards[1] = math.inf
        ended = np.full(n, self.steps >= 3 and self.wrong != "endless")
        if here and self.wrong == "flat":
            rewards = 1.0
        if here and self.wrong == "none":
            ended = np.array([None] * n)
        if here and self.wrong == "nan end":
            ended = np.full(n, np.nan)
        if here and self.wrong == "large reward":
            rewards = np.full(n, 1e200)
        if self.wrong == "negative":
            rewards = -rewards
        if here and self.wrong == "old step":
            return self._seen(), rewards, ended, {}
        return self._seen(), rewards, ended, np.zeros(n, bool), {}


def test_an_episode_counts_until_its_copy_ends_and_not_after():
    episodes = play(POLICY, POLICY.initial(0), CartPole(16), seed=3, rng=np.random.default_rng(0))
    assert episodes.observations.shape == (*episodes.actions.shape, 4)
    lengths = episodes.alive.sum(axis=0)
    assert lengths.max() == len(episodes.alive)
    assert lengths.min() < lengths.max()
    for copy, length in enumerate(lengths):
        assert episodes.alive[:length, copy].all()
        assert not episodes.rewards[length:, copy].any()
    np.testing.assert_array_equal(episodes.returns, lengths)


def test_returns_to_go_are_discounted_sums_of_what_follows():
    rewards = np.array([[1.0, 2.0], [0.0, 1.0], [4.0, 0.0]])
    episodes = Episodes(np.zeros((3, 2, 4), np.float32), np.zeros((3, 2), np.int64), rewards, np.ones((3, 2), bool))
    np.testing.assert_allclose(episodes.returns_to_go(0.5), [[2.0, 2.5], [2.0, 1.0], [4.0, 0.0]])
    np.testing.assert_allclose(episodes.returns, [5.0, 3.0])


def test_advantages_have_mean_zero_at_each_time_and_deviation_one():
    episodes = play(POLICY, POLICY.initial(0), CartPole(8), seed=3, rng=np.random.default_rng(0))
    found = advantages(episodes, 0.99)
    np.testing.assert_allclose(found.sum(axis=1), 0.0, atol=1e-9)
    assert found[episodes.alive].std() == pytest.approx(1.0)
    assert not found[~episodes.alive].any()


def test_episodes_that_are_all_alike_teach_nothing():
    episodes = play(POLICY, POLICY.initial(0), Odd(), seed=0, rng=np.random.default_rng(0))
    assert not advantages(episodes, 0.99).any()
    update = Reinforce().local_update(task(Odd()))
    assert not any(leaf.any() for leaf in update.delta.values())
    assert update.metrics == {"return": 3.0}


def task(environment, policy=POLICY, **more):
    more = {"params": policy.initial(0), "rng": np.random.default_rng(0), "party": "north", "round": 4, **more}
    return LocalTask(model=policy, dataset=environment, **more)


def test_the_likeliest_action_is_evaluated_from_starts_that_do_not_change():
    params = POLICY.initial(0)
    first, second = (mean_return(POLICY, params, CartPole(8)) for _ in range(2))
    assert first == second
    assert POLICY.evaluate(params, CartPole(8)) == {"return": first}


def test_the_learning_rate_falls_with_the_rounds_number_and_with_nothing_else():
    steady, falling = Reinforce(epochs=1), Reinforce(epochs=1, decay=0.5)
    for number in (1, 2, 4):
        one, other = (way.local_update(task(CartPole(4), round=number)).delta for way in (steady, falling))
        for name, leaf in one.items():
            np.testing.assert_allclose(other[name], leaf * 0.5 ** (number - 1), atol=2e-7)


def test_a_straggler_plays_its_share_of_the_batches():
    whole = Reinforce(epochs=1).local_update(task(CartPole(4)))
    part = Reinforce(epochs=4).local_update(task(CartPole(4), work=0.25))
    more = Reinforce(epochs=4).local_update(task(CartPole(4), work=0.5))
    np.testing.assert_array_equal(whole.delta["head.weight"], part.delta["head.weight"])
    assert not np.array_equal(more.delta["head.weight"], part.delta["head.weight"])
    assert whole.examples == 4


def test_a_policy_learns_to_balance():
    # Of this seed the mean of the first ten rounds is 23; a policy that does not learn stays there.
    fed = fl.Federation(
        PerceptronPolicy(hidden=()),
        {"only": CartPole(16, max_episode_steps=100)},
        plan=None,
        algorithm=Reinforce(epochs=1, learning_rate=4.0),
        seed=0,
    )
    curve = fed.fit(25).curve("return", train=True)
    assert np.mean(curve[:3]) < 35
    assert np.mean(curve[-3:]) > 60


def test_one_loop_serves_policies_too_and_its_records_say_return():
    fed = federation()
    history = fed.fit(2)
    assert history.curve("return")[-1] == fed.evaluate()["return"]
    assert "return" in str(history)
    assert "accuracy" not in str(history)
    assert history.records[0].weight_sum == 12
    assert set(fed.evaluate_parties()) == set(clients())
    again = federation().fit(2)
    assert again.curve("return", train=True) == history.curve("return", train=True)
    with pytest.raises(ConfigError, match="return"):
        _ = history.accuracy


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path):
    whole = federation()
    whole.fit(3)
    first = federation()
    first.fit(2, checkpoint=tmp_path / "c")
    again = federation().resume(tmp_path / "c")
    rest = again.fit(1)
    assert rest.curve("return") == whole.history.curve("return")
    for name, leaf in whole.params.items():
        np.testing.assert_array_equal(leaf, again.params[name])


def test_a_plan_declares_the_return_and_its_range():
    policy = PerceptronPolicy(returns=(-1.0, 60.0))
    plan = fl.plan_for(policy, clients(5))
    assert {name: (r.low, r.high) for name, r in plan.metrics.items()} == {"return": (-1.0, 60.0)}
    assert plan.max_weight == 5


def test_wrappers_of_an_algorithm_pass_environments_on():
    for wrapped in (fl.RandomSubspace(FAST, 16), fl.TopK(FAST, 0.5), NormBounded(FAST, NormBound(0.1))):
        assert federation(algorithm=wrapped).fit(1).curve("return")


@pytest.mark.parametrize(
    ("wrong", "error", "complaint"),
    [
        ("nan", NonFiniteError, r"party 'party-1', round 1: Odd, step 2: the observation of copy 0 is nan"),
        ("reward", NonFiniteError, r"party 'party-1', round 1: Odd, step 2: the reward of copy 1 is inf"),
        ("shape", ConfigError, r"party 'party-1', round 1: Odd, step 2: got observations of shape \(2, 5\)"),
        ("text", ConfigError, "step 2: got observations .* needs"),
        ("flat", ConfigError, r"step 2: got rewards of shape \(\)"),
        ("none", ConfigError, "step 2: got terminated .*object"),
        ("fewer copies", ConfigError, r"party 'party-1', round 1: Odd, step 2: got observations of shape \(1, 4\)"),
        ("object", ConfigError, "step 2: got observations .*object"),
        ("ragged", ConfigError, "step 2: got observations .*object"),
        ("huge", NonFiniteError, r"step 2: the observation of copy 0 is 1e\+300"),
        ("large reward", NonFiniteError, r"step 2: the reward of copy 0 is 1e\+200"),
        ("nan end", ConfigError, "step 2: got terminated .*needs 2 truth values"),
        (
            "old reset",
            ConfigError,
            "party 'party-1', round 1: Odd, reset: got a ndarray, needs 2: observations and info",
        ),
        ("old step", ConfigError, "party 'party-1', round 1: Odd, step 2: got 4 values, needs 5"),
        ("negative", ConfigError, "party 'party-1', round 1: got a mean return of -3, the policy declares 0 to 500"),
        ("endless", ConfigError, "2 of 2 episodes did not end"),
    ],
)
def test_an_environment_that_answers_wrongly_is_refused_by_party_and_step(wrong, error, complaint, monkeypatch):
    monkeypatch.setattr("securefl.federated.reinforcement.rollout.LONGEST", 50)
    fed = federation(parties={**clients(), "party-1": Odd(wrong)})
    with pytest.raises(error, match=complaint):
        fed.fit(1)
    assert not len(fed.history)


def test_a_range_that_is_declared_may_be_below_zero():
    policy = PerceptronPolicy(hidden=(8,), returns=(-3.0, 0.0))
    fed = federation(policy=policy, parties={"a": Odd("negative"), "b": Odd("negative")}, test=None)
    assert fed.fit(1).curve("return", train=True) == [-3.0]


@pytest.mark.parametrize("mode", ["Disabled", type("AutoresetMode", (), {"value": "Disabled"})()])
def test_copies_that_must_not_be_stepped_after_their_end_are_refused(mode):
    odd = Odd()
    odd.metadata = {"autoreset_mode": mode}
    with pytest.raises(ConfigError, match="round 1: Odd: its autoreset mode is disabled"):
        federation(parties={"a": odd}).fit(1)


def test_actions_that_are_not_numbered_from_zero_are_refused():
    odd = Odd()
    odd.single_action_space = type("Discrete", (), {"n": 2, "start": -1})()
    with pytest.raises(ConfigError, match="party 'a': Odd needs vectors to see and numbered actions"):
        federation(parties={"a": odd})


def test_nan_at_the_start_and_in_the_held_out_environment_are_refused():
    with pytest.raises(NonFiniteError, match=r"party-1.*reset: the observation"):
        federation(parties={**clients(), "party-1": Odd("nan", at=0)}).fit(1)
    fed = federation(test=Odd("nan"))
    with pytest.raises(NonFiniteError, match="evaluation: Odd, step 2"):
        fed.fit(1)
    assert not len(fed.history)


EXAMPLES = fl.Dataset(np.zeros((4, 4), np.float32), np.array([0, 1, 0, 1]))


class Single:
    """gymnasium's plain environment: no copies."""

    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 1.0, False, False, {}


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"parties": {"a": EXAMPLES}}, "party 'a': got a Dataset, and Reinforce learns from vector environments"),
        ({"parties": {"a": Single()}}, r"party 'a': got a Single, .*Remedy: .*make_vec"),
        ({"algorithm": fl.FedAvg()}, "party 'party-0': got an environment, CartPole, and FedAvg learns from labelled"),
        ({"algorithm": None}, "use algorithm=Reinforce"),
        ({"test": EXAMPLES}, "test: got a Dataset"),
        ({"policy": fl.SoftmaxRegression(4, 2)}, "model: got a SoftmaxRegression, and Reinforce trains policies"),
        ({"parties": {"a": Odd(num_envs=0)}}, "num_envs = 0, needs at least 1"),
        (
            {"parties": {"a": Odd(width=5)}},
            "party 'a': Odd has 5 values to see and 2 actions, the policy is made for 4 and 2",
        ),
        ({"parties": {"a": Odd(actions=3)}}, "3 actions"),
        ({"test": Odd(width=5)}, "test: Odd has 5 values"),
        ({"parties": {}}, "clients: got none"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_round(changed, complaint):
    parties = changed.pop("parties", None)
    with pytest.raises(ConfigError, match=complaint):
        fl.Federation(
            changed.pop("policy", POLICY),
            clients() if parties is None else parties,
            plan=None,
            algorithm=changed.pop("algorithm", FAST),
            **changed,
        )


def test_spaces_that_a_policy_cannot_see_or_act_in_are_refused():
    odd = Odd()
    odd.single_action_space = Box(np.zeros(1, np.float32), np.ones(1, np.float32))
    with pytest.raises(ConfigError, match="needs vectors to see and numbered actions"):
        federation(parties={"a": odd})


def test_a_policy_for_labelled_examples_is_refused():
    with pytest.raises(ConfigError, match="model: got a PerceptronPolicy, and FedAvg trains models"):
        fl.Federation(POLICY, {"a": EXAMPLES}, plan=None)
    with pytest.raises(ConfigError, match="Reinforce: got a SoftmaxRegression"):
        FAST.local_update(LocalTask(model=fl.SoftmaxRegression(4, 2), params={}, dataset=EXAMPLES, rng=None))
    with pytest.raises(ConfigError, match="test: got a Dataset"):
        federation().evaluate(EXAMPLES)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"epochs": True},
        {"learning_rate": 0},
        {"learning_rate": math.nan},
        {"discount": 0},
        {"discount": 1.01},
        {"discount": math.nan},
        {"discount": "long"},
        {"decay": 0.0},
        {"decay": 1.5},
        {"decay": True},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(settings):
    with pytest.raises(ConfigError, match=f"^{next(iter(settings))}: got"):
        Reinforce(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"observations": 0},
        {"actions": 1},
        {"hidden": (0,)},
        {"hidden": (True,)},
        {"returns": (1.0, 1.0)},
        {"returns": (0, math.inf)},
    ],
)
def test_a_policy_out_of_range_is_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        PerceptronPolicy(**settings)


def test_a_party_weighs_as_many_episodes_as_a_batch_has():
    assert weight_of(CartPole(7)) == 7
    assert weight_of(EXAMPLES) == 4
    assert sfl.Reinforce is Reinforce
    assert sfl.PerceptronPolicy is PerceptronPolicy
