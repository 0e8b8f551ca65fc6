"""A configuration is read strictly; a mistake is named by file, table, key, line, value, and what was meant."""

import typing

import pytest

from securefl.errors import ConfigError
from securefl.federated import DATASETS
from securefl.federated.synthetic import GENERATED
from securefl.report.config import STEPS, DataConfig, ExperimentConfig
from securefl.types import Step


def test_nothing_given_is_the_demo():
    config = ExperimentConfig.from_toml("")
    assert config.to_dict() == ExperimentConfig().to_dict()
    assert (config.data.parties, config.training.rounds, config.faults.dropout) == (20, 25, 0.1)


def test_whole_numbers_are_numbers():
    assert ExperimentConfig.from_toml("[data]\nalpha = 2").data.alpha == 2.0


def test_the_choices_are_those_of_the_library():
    assert set(typing.get_args(typing.get_type_hints(DataConfig)["dataset"])) == {
        *DATASETS,
        *GENERATED,
        "synthetic",
        "cartpole",
    }
    assert tuple(Step) == STEPS


MISTAKES = [
    ("[trainin]\nrounds = 1", "unknown table [trainin] (line 1: `[trainin]`)", "did you mean 'training'?"),
    ("[data]\n\nparty = 3", "unknown key data.party (line 3: `party = 3`)", "did you mean 'parties'?"),
    ("[data]\nepochs = 3", "unknown key data.epochs (line 2", "it belongs in [training]"),
    ("parties = 3", "unknown key parties (line 1", "it belongs in [data]"),
    ("[data]\nzzz = 3", "unknown key data.zzz", "known keys are alpha, classes_per_party"),
    ("data.zzz = 3", "unknown key data.zzz (line 1: `data.zzz = 3`)", "known keys are"),
    ("data = {zzz = 3}", "unknown key data.zzz (line 1: `data = {zzz = 3}`)", "known keys are"),
    ("data = 3", "[data] is 3 (line 1", "give a [table]"),
    ("[data]\nparties = 'x'", "data.parties is 'x' (line 2", "give a whole number"),
    ("[data]\nparties = true", "data.parties is True (line 2", "give a whole number"),
    ("[data]\nparties = 2.5", "data.parties is 2.5 (line 2", "give a whole number"),
    ("[data]\nparties = 0", "data.parties is 0 (line 2", "give a whole number >= 1"),
    ("[data]\nalpha = nan", "data.alpha is nan (line 2", "give a number > 0.0"),
    ("[data]\nalpha = inf", "data.alpha is inf (line 2", "give a number <= "),
    ("[data]\npartition = 'dirichlett'", "data.partition is 'dirichlett' (line 2", "did you mean 'dirichlet'?"),
    ("[data]\ndataset = 3", "data.dataset is 3 (line 2", "known are 'digits'"),
    ("[data]\nseed = 1\n[faults]\nseed = -1", "faults.seed is -1 (line 4", "give a whole number >= 0"),
    ("[faults]\ndropout = 1.0", "faults.dropout is 1.0 (line 2", "give a number < 1.0"),
    ("[faults]\nsteps = ['mask']", "faults.steps is ['mask'] (line 2", "known are 'advertise'"),
    ("[faults]\nsteps = []", "faults.steps is [] (line 2", "give a list of length >= 1"),
    ("[plan]\nthreshold = 'x'", "plan.threshold is 'x' (line 2", "give a whole number"),
    ("[plan]\nserver = 'honest'", "plan.server is 'honest' (line 2", "did you mean 'semi-honest'?"),
    ("[plan]\nvalue_bits = 64", "plan.value_bits is 64 (line 2", "give a whole number <= 32"),
    ("[training]\nalgorithm = 'fedproxy'", "training.algorithm is 'fedproxy' (line 2", "did you mean 'fedprox'?"),
    ("[training]\nalgorithm = 'topk'", "training.algorithm is 'topk' (line 2", "known are 'fedavg'"),
    ("[training]\nserver = 'adam'", "training.server is 'adam' (line 2", "did you mean 'fedadam'?"),
    ("[training]\nmu = -1", "training.mu is -1 (line 2", "give a number >= 0"),
    ("[training]\nkeep = []", "training.keep is [] (line 2", "give a list of length >= 1"),
    ("[model]\nhidden = [0]", "model.hidden is [0] (line 2", "give a whole number >= 1"),
    ("[sampling]\nsizes = 3", "unknown key sampling.sizes (line 2", "did you mean 'size'?"),
    ("[stragglers]\npartial = 1.5", "stragglers.partial is 1.5 (line 2", "give a number <= 1"),
    ("[robust]\ngroup_size = 2", "robust.group_size is 2 (line 2", "give a whole number >= 3"),
    ("[robust]\nrule = 'mean'", "robust.rule is 'mean' (line 2", "known are"),
    ("[report]\ncompare_plain = 1", "report.compare_plain is 1 (line 2", "give true or false"),
    ("source = 'x'", "unknown table [source]", "known tables are"),
    ("[data.extra]\nx = 3", "unknown key data.extra (line 1: `[data.extra]`)", "known keys are"),
    ("[trai.ning]\nx = 3", "unknown table [trai] (line 1: `[trai.ning]`)", "did you mean 'training'?"),
    ("[[data]]\nparties = 3", "[data] is [{'parties': 3}] (line 1", "give a [table]"),
]


@pytest.mark.parametrize(("text", "place", "remedy"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_a_mistake_is_named_with_its_place_and_remedy(text, place, remedy):
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.from_toml(text, source="my.toml")
    assert str(caught.value).startswith(f"my.toml: {place}")
    assert remedy in caught.value.remedy


def test_what_is_no_toml_is_named_with_its_line():
    with pytest.raises(ConfigError, match=r"my.toml is not TOML: .*line 2"):
        ExperimentConfig.from_toml("[data]\nparties = x\n", source="my.toml")
