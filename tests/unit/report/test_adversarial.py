"""`[adversarial]`: what is refused before anything is trained, and what a report says."""

from __future__ import annotations

import json

import pytest

from securefl.errors import ConfigError
from securefl.federated import AdversarialTraining
from securefl.report import Experiment, ExperimentConfig, write_report

SMALL = """
[data]
parties = 4
partition = "iid"
[model]
kind = "perceptron"
hidden = [8]
[training]
rounds = 1
epochs = 1
learning_rate = 0.1
[faults]
dropout = 0.0
"""


def config(table, rest=SMALL):
    return ExperimentConfig.from_toml(f"{rest}\n[adversarial]\n{table}\n", source="a.toml")


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ("epsilon = 0", "adversarial.epsilon is 0"),
        ("epsilon = -0.1", "adversarial.epsilon is -0.1"),
        ("epsilon = nan", "adversarial.epsilon is nan"),
        ("epsilon = inf", "adversarial.epsilon is inf"),
        ('epsilon = "much"', "adversarial.epsilon is 'much'"),
        ("epsilon = 0.1\nsteps = 0", "adversarial.steps is 0"),
        ("epsilon = 0.1\nlow = nan", "adversarial.low is nan"),
        ("epsilon = 0.1\nepsilom = 3", "unknown key adversarial.epsilom"),
        ("steps = 5", "adversarial.epsilon is not given"),
        ("train = false", "adversarial.epsilon is not given"),
        ("epsilon = 0.1\ntrain = false\nsteps = 3", "adversarial.train is false"),
        ("epsilon = 1.0", "[adversarial] epsilon: got 1, needs less than 1"),
        ("epsilon = 0.1\nlow = 1.0\nhigh = 0.5", "[adversarial] low and high: got 1 and 0.5"),
        ("epsilon = 0.1\nhigh = 0.5", "[adversarial] party 'party-"),
        ("epsilon = 0.1\nlow = 0.5", "the perturbation keeps inputs within [0.5, 1]"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_key(table, part):
    with pytest.raises(ConfigError) as error:
        Experiment.prepare(config(table))
    assert part in error.value.message
    assert "a.toml" in error.value.message


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("rounds = 1", 'rounds = 1\nalgorithm = "fedper"', "training.algorithm is 'fedper'"),
        ("rounds = 1", "rounds = 1\npretrain_rounds = 2", "training.pretrain_rounds are set"),
    ],
)
def test_combinations_without_sense_are_refused(old, new, part):
    rest = SMALL.replace(old, new)
    if "pretrain" in new:
        rest = rest.replace("parties = 4", "parties = 4\npublic_fraction = 0.2")
    with pytest.raises(ConfigError) as error:
        Experiment.prepare(config("epsilon = 0.1", rest))
    assert part in error.value.message


def test_standardised_data_need_their_own_range():
    rest = SMALL.replace("parties = 4", 'dataset = "breast_cancer"\nparties = 4')
    with pytest.raises(ConfigError, match="give low and high the range of the data"):
        Experiment.prepare(config("epsilon = 0.1", rest))
    Experiment.prepare(config("epsilon = 0.1\nlow = -20.0\nhigh = 20.0", rest))


def test_the_report_has_both_accuracies_of_both_trainings(tmp_path):
    result = Experiment.prepare(config("epsilon = 0.15\nsteps = 2\ntest_steps = 3\nrestarts = 1")).run()
    robust = result.robust
    assert robust.keys() == {"secure", "plain"}
    assert 0 <= robust["secure"] <= result.secure.accuracy
    files = write_report(tmp_path, result)
    page, data = files.html.read_text(), json.loads(files.json.read_text())
    assert "on inputs that PGD moved by up to 0.15 in 2 steps" in page
    assert "under PGD within ±0.15 (3 steps, 1 starts)" in page
    assert "secure, under attack" in page
    assert data["robust_accuracy"] == {**robust, "epsilon": 0.15, "steps": 3, "restarts": 1}
    assert data["rounds"][0]["test_metrics"]["robust_accuracy"] == robust["secure"]


def test_measuring_alone_trains_as_ever():
    attacked = Experiment.prepare(config("epsilon = 0.15"))
    measured = Experiment.prepare(config("epsilon = 0.15\ntrain = false"))
    assert isinstance(attacked.learning.algorithm, AdversarialTraining)
    assert not isinstance(measured.learning.algorithm, AdversarialTraining)
    assert len(measured.learning.evaluators) == 1
    plain = Experiment.prepare(ExperimentConfig.from_toml(SMALL))
    assert plain.learning.evaluators == ()
