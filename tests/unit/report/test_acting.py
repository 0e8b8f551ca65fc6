"""Environments from a configuration: what each party gets, and what is refused by name."""

from __future__ import annotations

import pytest

from securefl.errors import ConfigError
from securefl.federated import CartPole, PerceptronPolicy
from securefl.report import Experiment, ExperimentConfig
from securefl.report.measure import ACCURACY, RETURN, measure_of

DATA = 'dataset = "cartpole"\nparties = 4\npartition = "natural"\n'
TRAINING = 'algorithm = "reinforce"\nrounds = 1\nepochs = 1\n'


def config(data=DATA, training=TRAINING, more=""):
    return ExperimentConfig.from_toml(f"[data]\n{data}\n[training]\n{training}\n{more}")


def test_each_party_gets_its_own_gravity_and_pole_and_the_test_all_held_out_ones():
    made = Experiment.prepare(
        config(
            DATA + "gravity = [3, 6, 10, 15]\npole = [0.3]\nepisodes = 5\ntest_gravity = [4, 8]\ntest_pole = [0.4, 0.6]"
        )
    )
    assert [float(own.gravity[0]) for own in made.clients.values()] == [3, 6, 10, 15]
    assert {float(own.length[0]) for own in made.clients.values()} == {0.3}
    assert {own.num_envs for own in made.clients.values()} == {5}
    assert isinstance(made.dealt.test, CartPole)
    assert made.dealt.test.num_envs == 20
    assert sorted(set(zip(made.dealt.test.gravity, made.dealt.test.length, strict=True))) == [(4.0, 0.4), (8.0, 0.6)]
    assert isinstance(made.model, PerceptronPolicy)
    assert made.model.hidden == ()  # "softmax" is linear
    assert measure_of(made.config) is RETURN
    assert measure_of(None) is ACCURACY


@pytest.mark.parametrize(
    ("data", "training", "more", "complaint"),
    [
        (DATA + "gravity = [3, 6]", TRAINING, "", "gravity: got 2 values, needs 1 or 4"),
        (
            DATA + "test_gravity = [1, 2]\ntest_pole = [1, 2, 3]",
            TRAINING,
            "",
            "test_gravity: got 2 values, needs 1 or 3",
        ),
        (DATA + "gravity = [-1]", TRAINING, "", "data.gravity"),
        (DATA + "episodes = 1", TRAINING, "", "data.episodes is 1"),
        (DATA, "rounds = 1", "", "a policy learns by acting"),
        ("parties = 4", TRAINING, "", "a policy learns by acting"),
        ("gravity = [3]", "rounds = 1", "", "data.gravity is .* has no use for it"),
        (DATA.replace("natural", "iid"), TRAINING, "", "comes by party"),
        (DATA, TRAINING + 'early_stop = "accuracy"', "", "what is measured is the return"),
        ("parties = 4", 'early_stop = "return"', "", "what is measured is the accuracy and the loss"),
        (DATA, TRAINING, "[watermark]\nsize = 10", "watermark is set"),
        (DATA, TRAINING, "[adversarial]\nepsilon = 0.1", "adversarial.epsilon is set"),
        (DATA, TRAINING, '[model]\nkind = "torch-mlp"\nbatch_norm = true', "model.batch_norm is set"),
    ],
)
def test_what_cannot_be_is_refused_by_name(data, training, more, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Experiment.prepare(config(data, training, more))
