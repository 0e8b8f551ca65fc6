"""Every algorithm, model and server optimizer of a configuration trains, securely as in the clear; and runs go on where they were."""

import json

import msgspec
import numpy as np
import pytest

import securefl as sfl
from securefl.errors import ConfigError
from securefl.report import Experiment, ExperimentConfig
from securefl.report.checkpoints import Checkpoints
from securefl.report.html import render
from securefl.report.summary import to_dict

SMALL = """
[data]
parties = 6
{data}
[model]
kind = "{kind}"
{model}
[training]
rounds = 2
epochs = 2
learning_rate = 0.1
{training}
[plan]
server = "semi-honest"
value_bits = 24
[faults]
dropout = 0.17
"""


def config(training="", *, kind="perceptron", data="", model="", more=""):
    text = SMALL.format(training=training, kind=kind, data=data, model=model) + more
    return ExperimentConfig.from_toml(text, source="my.toml")


PUBLIC = "public_fraction = 0.2"
WAYS = {
    "fedprox": config('algorithm = "fedprox"\nmu = 1.0'),
    "scaffold": config('algorithm = "scaffold"'),
    "fedper": config('algorithm = "fedper"'),
    "transfer": config('algorithm = "transfer"\npretrain_rounds = 2', data=PUBLIC),
    "subspace": config("subspace = 512"),
    "fedavgm": config('server = "fedavgm"\nserver_learning_rate = 0.5'),
    "fedadagrad": config('server = "fedadagrad"\ntau = 0.1'),
    "fedadam": config('server = "fedadam"\nbeta_2 = 0.9\ntau = 0.1'),
    "fedyogi": config('server = "fedyogi"\ntau = 0.1'),
    "sampled, slow": config(
        'algorithm = "fedprox"', more="[sampling]\nsize = 5\n[stragglers]\npartial = 0.4\nmissing = 0.2\n"
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_secure_follows_plain(name):
    result = Experiment.prepare(WAYS[name]).run()
    np.testing.assert_allclose(result.secure.curve("loss"), result.plain.curve("loss"), atol=5e-3)
    page = render(result, title="t")
    assert "What was learned, and how" in page
    data = json.loads(json.dumps(to_dict(result)))
    assert len(data["rounds"]) == 2
    assert all(record["bytes_up"] > 0 for record in data["rounds"])
    assert sum(map(sum, data["examples_by_class"])) == sum(data["parties"].values())


@pytest.mark.parametrize("batch_norm", ["", "batch_norm = true"])
def test_torch_networks_train(batch_norm):
    pytest.importorskip("torch")
    algorithm = 'algorithm = "fedbn"' if batch_norm else 'algorithm = "fedprox"'
    result = Experiment.prepare(config(algorithm, kind="torch-mlp", model=batch_norm)).run()
    assert result.secure.curve("loss") == pytest.approx(result.plain.curve("loss"), abs=5e-3)
    assert result.personal is bool(batch_norm)


def test_torch_networks_are_refused_by_name_where_torch_is_missing(monkeypatch):
    import sys

    for module in ("securefl.torch", "securefl.torch.network"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"my.toml: \[model\] .*torch.* not installed"):
        Experiment.prepare(config(kind="torch-mlp"))


def test_transfer_says_what_it_saves_and_starts_from_its_base():
    result = Experiment.prepare(WAYS["transfer"]).run()
    found = result.traffic
    assert (found.values, found.whole_values) == (330, 2410)
    assert found.factor == pytest.approx(2410 / 330, rel=0.05)
    assert result.pretrained > 0.5
    assert "times less" in render(result, title="t")


def test_accuracy_under_fedper_is_that_of_the_parties_own_models():
    result = Experiment.prepare(WAYS["fedper"]).run()
    last = result.secure.records[-1].test_metrics
    assert last["accuracy"] > last["shared_accuracy"]
    assert result.secure.accuracy == last["accuracy"]


def test_training_stops_early_and_the_report_says_so():
    stopping = config('early_stop = "accuracy"\npatience = 1\nserver_learning_rate = 1e-9')
    longer = msgspec.structs.replace(stopping, training=msgspec.structs.replace(stopping.training, rounds=9))
    result = Experiment.prepare(longer).run()
    assert len(result.secure) == len(result.plain) == 2
    assert "after round 2 of at most 9" in render(result, title="t")


def test_groups_are_reported_with_their_price():
    grouped = config("", kind="softmax", data="", more='[robust]\nrule = "median"\ngroup_size = 3\n')
    grouped = msgspec.structs.replace(
        grouped,
        data=msgspec.structs.replace(grouped.data, parties=9, partition="iid"),
        faults=msgspec.structs.replace(grouped.faults, dropout=0.0),
    )
    result = Experiment.prepare(grouped).run()
    assert result.plan.parties == 3
    assert result.secure.accuracy == pytest.approx(result.plain.accuracy, abs=0.1)
    assert "the server learns the mean of every group" in render(result, title="t")


@pytest.fixture
def four_rounds():
    base = config('algorithm = "fedper"\nserver = "fedadam"\ntau = 0.1')
    return msgspec.structs.replace(base, training=msgspec.structs.replace(base.training, rounds=4))


def test_a_run_that_was_killed_goes_on_to_the_same_end(four_rounds, tmp_path):
    class Killed(Exception):  # noqa: N818
        pass

    def kill(arm, record):
        if (arm, record.round) == ("secure", 3):
            raise Killed

    whole = Experiment.prepare(four_rounds).run()
    with pytest.raises(Killed):
        Experiment.prepare(four_rounds).run(kill, checkpoints=Checkpoints(tmp_path / "run"))
    seen = []
    resumed = Experiment.prepare(four_rounds).run(
        lambda arm, record: seen.append((arm, record.round)), checkpoints=Checkpoints(tmp_path / "run", resume=True)
    )
    assert seen == [("secure", 4)]
    assert resumed.resumed == 3
    assert resumed.plain.curve("loss") == whole.plain.curve("loss")
    np.testing.assert_allclose(resumed.secure.curve("loss"), whole.secure.curve("loss"), atol=1e-4)
    assert "after round 3" in render(resumed, title="t")


def test_a_checkpoint_is_never_written_over_and_is_for_its_own_settings(four_rounds, tmp_path):
    here = Checkpoints(tmp_path / "run")
    here.begin(four_rounds)
    with pytest.raises(ConfigError, match="is there already"):
        here.begin(four_rounds)
    again = Checkpoints(tmp_path / "run", resume=True)
    other = msgspec.structs.replace(four_rounds, data=msgspec.structs.replace(four_rounds.data, seed=1))
    with pytest.raises(ConfigError, match=r"data.seed is 1, and the run of .* had 0"):
        again.begin(other)
    again.begin(msgspec.structs.replace(four_rounds, training=msgspec.structs.replace(four_rounds.training, rounds=9)))
    with pytest.raises(ConfigError, match="no run to go on with"):
        Checkpoints(tmp_path / "none", resume=True).begin(four_rounds)
    with pytest.raises(ConfigError, match="no such directory"):
        Checkpoints(tmp_path / "none" / "run").begin(four_rounds)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        again.begin(four_rounds)


def test_a_resumed_private_run_keeps_its_ledger(tmp_path):
    private = "[privacy]\nmechanism = 'distributed-discrete-gaussian'\nmax_colluders = 0\n"
    asked = config(kind="softmax", more=private)
    asked = msgspec.structs.replace(asked, report=msgspec.structs.replace(asked.report, output=str(tmp_path / "r")))
    result = Experiment.prepare(asked).run(checkpoints=Checkpoints(tmp_path / "run"))
    again = Experiment.prepare(asked).run(checkpoints=Checkpoints(tmp_path / "run", resume=True))
    assert again.private.ledger == result.private.ledger
    assert again.private.spent == result.private.spent
    assert again.private.history.to_dict() == result.private.history.to_dict()
    more = msgspec.structs.replace(asked, training=msgspec.structs.replace(asked.training, rounds=3))
    with pytest.raises(ConfigError, match=r"training.rounds is 3"):
        Experiment.prepare(more).run(checkpoints=Checkpoints(tmp_path / "run", resume=True))


def test_the_names_at_the_root_are_those_of_the_core():
    import securefl.federated as fl

    for name in ("FedProx", "Scaffold", "FedAdam", "Perceptron", "FixedSize", "pathological", "FeatureShift"):
        assert getattr(sfl, name) is getattr(fl, name)
