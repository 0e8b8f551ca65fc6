"""What cannot be combined, or would have no effect, is refused by name before anything is loaded."""

import pytest

from securefl.errors import ConfigError
from securefl.report import Experiment, ExperimentConfig, combinations

REFUSED = [
    ("[training]\nmu = 0.5", "training.mu is 0.5, and training.algorithm is 'fedavg'", "'fedprox'"),
    ("[training]\nkeep = ['a']", "training.keep is ['a'], and training.algorithm is 'fedavg'", "'fedbn' or 'fedper'"),
    ("[training]\nmomentum = 0.5", "training.momentum is 0.5, and training.server is 'averaging'", "'fedavgm'"),
    (
        "[training]\nserver = 'fedadagrad'\nbeta_2 = 0.5",
        "training.beta_2 is 0.5, and training.server is 'fedadagrad'",
        "'fedadam'",
    ),
    ("[training]\npatience = 3", "training.patience is 3, and training.early_stop is 'none'", "'accuracy' or 'loss'"),
    ("[data]\nstrength = 0.5", "data.strength is 0.5, and data.partition is 'dirichlet'", "'feature-shift'"),
    ("[data]\nsynthetic_beta = 0.5", "data.synthetic_beta is 0.5, and data.dataset is 'digits'", "'synthetic'"),
    ("[model]\nhidden = [8]", "model.hidden is [8], and model.kind is 'softmax'", "'perceptron' or 'torch-mlp'"),
    (
        "[model]\nkind = 'perceptron'\nbatch_norm = true",
        "model.batch_norm is True, and model.kind is 'perceptron'",
        "'torch-mlp'",
    ),
    ("[robust]\nmax_norm = 1", "robust.max_norm is 1.0, and robust.rule is 'none'", "robust.rule"),
    ("[data]\npartition = 'natural'", "'digits' does not come by party", "dirichlet"),
    ("[data]\ndataset = 'synthetic'", "'synthetic' comes by party", 'partition = "natural"'),
    ("[data]\npublic_fraction = 0.2", "there to pretrain on", "set both, or neither"),
    ("[training]\npretrain_rounds = 2", "there to pretrain on", "set both, or neither"),
    ("[training]\nalgorithm = 'transfer'", "the base that it freezes would be random numbers", "pretrain_rounds"),
    ("[training]\nalgorithm = 'fedbn'", "no batch normalisation", "batch_norm = true"),
    (
        "[training]\nalgorithm = 'fedper'\n[data]\ndataset = 'synthetic'\npartition = 'natural'",
        "not told apart by party",
        "another algorithm",
    ),
    (
        "[training]\nalgorithm = 'scaffold'\n[privacy]\nmechanism = 'distributed-skellam'",
        "'scaffold' under [privacy]: the noise of each round would stay in its control variates",
        "leave [privacy] out",
    ),
    ("[training]\nalgorithm = 'scaffold'\nsubspace = 64", "'scaffold' in a subspace", "subspace = 0"),
    ("[training]\nsubspace = 64\n[stragglers]\npartial = 0.5", "not known through a subspace", "subspace = 0"),
    ("[training]\nbatch_size = 1\n[model]\nkind = 'torch-mlp'\nbatch_norm = true", "one example", "batch_size = 2"),
    ("[sampling]\nsize = 21", "sampling.size is 21, and there are 20 parties", "size = 20 or less"),
    ("[stragglers]\nmissing = 0.95", "add up to 1.05", "lower one"),
    (
        "[sampling]\nsize = 5\n[plan]\nserver = 'semi-honest'\n[paillier]\nholder = 'threshold'",
        "a threshold key is dealt to all parties",
        "separate",
    ),
    ("[sampling]\nsize = 5\n[privacy]\nadaptive = true", "an adaptive clip follows the parties", "fixed clip"),
    ("[robust]\nrule = 'median'\n[privacy]\nmechanism = 'distributed-skellam'", "with [privacy]", "leave one"),
    ("[robust]\nrule = 'median'\n[paillier]\nholder = 'separate'", "with [paillier]", "leave one"),
    ("[robust]\nrule = 'krum'\n[sampling]\nsize = 10", "with [sampling]", "leave one"),
    ("[robust]\nrule = 'median'\n[training]\nalgorithm = 'scaffold'", "control variates must be means", "leave one"),
]


@pytest.mark.parametrize(("text", "why", "remedy"), REFUSED, ids=[text.replace("\n", " ") for text, _, _ in REFUSED])
def test_it_is_refused_with_file_reason_and_remedy(text, why, remedy):
    config = ExperimentConfig.from_toml(text, source="my.toml")
    with pytest.raises(ConfigError) as caught:
        Experiment.prepare(config)
    assert str(caught.value).startswith("my.toml: ")
    assert why in caught.value.message
    assert remedy in caught.value.remedy


def test_the_default_is_not_refused():
    combinations.check(ExperimentConfig())


LATER = [
    ("[training]\nalgorithm = 'fedper'", r"my.toml: \[training\] keep: 'head\*' matches none of the model's tensors"),
    ("[data]\nclasses_per_party = 11\npartition = 'pathological'", r"my.toml: \[data\] classes_per_party: got 11"),
    ("[data]\npartition = 'feature-shift'\nstrength = 99", r"my.toml: \[data\] strength: got 99"),
    ("[training]\nsubspace = 5000", r"my.toml: \[training\] size: got 5000, needs at most 1024"),
    ("[training]\nepochs = 1\n[stragglers]\npartial = 0.5", r"my.toml: \[stragglers\] epochs: got 1, needs at least 2"),
    ("[robust]\nrule = 'krum'\nattackers = 3", r"my.toml: \[robust\] 20 parties make 5 groups of 4"),
    ("[data]\npublic_fraction = 1e-9\n[training]\npretrain_rounds = 1", r"my.toml: \[data\] public_fraction"),
]


@pytest.mark.parametrize(("text", "error"), LATER, ids=[text.replace("\n", " ") for text, _ in LATER])
def test_what_only_data_or_model_tell_is_refused_before_training(text, error):
    with pytest.raises(ConfigError, match=error):
        Experiment.prepare(ExperimentConfig.from_toml(text, source="my.toml"))
