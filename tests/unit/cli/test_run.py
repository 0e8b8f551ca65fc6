"""`securefl run`, `securefl init` and the files that they share."""

import json
from pathlib import Path

import pytest

from securefl.errors import RemoteProtocolError, RoundAbortedError
from securefl.federated.aggregators import SecureAverage
from securefl.report import ExperimentConfig

EXAMPLES = Path(__file__).parents[3] / "examples"
EXAMPLE = EXAMPLES / "digits.toml"
PRIVATE = EXAMPLES / "digits-private.toml"


def test_a_run_writes_report_and_json(securefl, small, tmp_path):
    outcome = securefl("run", small, "--json", tmp_path / "x.json")
    assert outcome.code == 0, outcome.err
    data = json.loads((tmp_path / "x.json").read_text())
    assert len(data["rounds"]) == 2
    assert data["config"]["faults"]["steps"] == ["masked_input", "unmask"]
    assert (tmp_path / "report" / "report.html").exists()


def test_output_overrides_the_file(securefl, small, tmp_path):
    assert securefl("run", small, "--output", tmp_path / "elsewhere").code == 0
    assert (tmp_path / "elsewhere" / "report.html").exists()
    assert not (tmp_path / "report").exists()


def test_without_comparison_there_is_no_plain_accuracy(securefl, small):
    small.write_text(small.read_text() + "compare_plain = false\n")
    outcome = securefl("run", small, "--json", "-")
    data = json.loads(outcome.out)
    assert data["plain_accuracy"] is None
    assert data["rounds"][0]["plain_accuracy"] is None
    assert "plain" not in outcome.err


def test_a_mistake_names_file_key_line_value_and_remedy(refused, small):
    small.write_text("[training]\nrounds = 2\nepoch = 3\n")
    line = refused("run", small)
    assert f"{small}: unknown key training.epoch (line 3: `epoch = 3`)" in line
    assert "did you mean 'epochs'?" in line


def test_an_unsafe_plan_names_its_file(refused, small):
    small.write_text("[plan]\nthreshold = 3\n")
    assert f"{small}: [plan] threshold 3 is unsafe" in refused("run", small)


def test_a_missing_file_is_one_line(refused, tmp_path):
    assert "securefl init" in refused("run", tmp_path / "none.toml")


def test_a_round_without_enough_parties_names_the_round_and_writes_nothing(refused, small, tmp_path):
    small.write_text(
        small.read_text().replace("dropout = 0.2", "dropout = 0.6").replace("[plan]", "[plan]\ndropout = 0")
    )
    line = refused("run", small)
    assert "in round 1 of 2 of the secure training" in line
    assert list((tmp_path / "report").iterdir()) == []


def test_the_cause_of_an_aborted_round_is_told(refused, small, monkeypatch):
    def abort(*_args, **_kwargs):
        raise RoundAbortedError("too few are left") from RemoteProtocolError("a forged share", suspects=("party-2",))

    monkeypatch.setattr(SecureAverage, "round", abort)
    line = refused("run", small)
    assert "too few are left" in line
    assert "after: a forged share [suspects: party-2]" in line


def test_init_writes_files_that_work_together(securefl, tmp_path):
    where = tmp_path / "study"
    outcome = securefl("init", where)
    assert outcome.code == 0
    assert f"securefl run {where / 'securefl.toml'}" in outcome.out
    assert securefl("policy", "check", where / "policy.toml", where / "securefl.toml").code == 0


def test_init_never_overwrites_without_force(securefl, refused, tmp_path):
    (tmp_path / "policy.toml").write_text("mine")
    assert "nothing was written" in refused("init", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["policy.toml"]
    assert securefl("init", tmp_path, "--force").code == 0
    assert (tmp_path / "policy.toml").read_text() != "mine"


def test_starter_and_example_are_the_defaults(securefl, tmp_path):
    securefl("init", tmp_path)
    for path in (tmp_path / "securefl.toml", EXAMPLE):
        assert ExperimentConfig.load(path).to_dict() == ExperimentConfig().to_dict()


def test_the_private_example_is_the_demo(securefl, monkeypatch):
    shown = []
    monkeypatch.setattr("securefl.cli.demo.train", lambda config, *_, **__: shown.append(config))
    assert securefl("demo").code == 0
    assert ExperimentConfig.load(PRIVATE).to_dict() == shown[0].to_dict()


def test_the_private_example_runs_in_a_smaller_form(securefl, tmp_path):
    text = PRIVATE.read_text()
    for line, less in (
        ("parties = 100", "parties = 6"),
        ("rounds = 20", "rounds = 2"),
        ("dropout = 0.1", "dropout = 0.2"),
        ('output = "securefl-report"', f'output = "{tmp_path / "report"}"'),
        ("# max_colluders = 5", "max_colluders = 1"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, less)
    (tmp_path / "small.toml").write_text(text)
    outcome = securefl("run", tmp_path / "small.toml", "--json", tmp_path / "x.json")
    assert outcome.code == 0, outcome.err
    epsilon = json.loads((tmp_path / "x.json").read_text())["epsilon"]
    assert 7.99 < epsilon["server"] == epsilon["observer"] <= 8.0
    (ledger,) = (tmp_path / "report").glob("ledger-*.jsonl")
    assert securefl("ledger", "verify", ledger).code == 0


@pytest.mark.parametrize("line", ["max_colluders = 4", "threshold = 13", "dropout = 0.1", "min_survivors = 13"])
def test_the_starters_commented_keys_are_real(line, securefl, tmp_path):
    securefl("init", tmp_path)
    path = tmp_path / "securefl.toml"
    assert f"# {line}" in path.read_text()
    path.write_text(path.read_text().replace(f"# {line}", line))
    assert securefl("plan", "show", path).code == 0


def test_a_run_is_resumed_and_says_so(securefl, refused, small, tmp_path):
    keep = tmp_path / "run.ckpt"
    assert securefl("run", small, "--checkpoint", keep).code == 0
    assert "is there already" in refused("run", small, "--checkpoint", keep)
    small.write_text(small.read_text().replace("rounds = 2", "rounds = 3"))
    outcome = securefl("run", small, "--checkpoint", keep, "--resume", "--json", tmp_path / "x.json")
    assert outcome.code == 0, outcome.err
    assert "Resumed after round 2." in outcome.out
    data = json.loads((tmp_path / "x.json").read_text())
    assert [record["round"] for record in data["rounds"]] == [1, 2, 3]
    assert data["resumed_after"] == 2


def test_resume_needs_a_checkpoint(refused, small, tmp_path):
    assert "--checkpoint FILE" in refused("run", small, "--resume")
    assert "no run to go on with" in refused("run", small, "--checkpoint", tmp_path / "none", "--resume")


def test_the_algorithm_is_named_on_the_screen(securefl, small):
    text = small.read_text().replace("epochs = 1", 'epochs = 1\nalgorithm = "fedprox"\nmu = 0.5')
    small.write_text(text)
    outcome = securefl("run", small)
    assert outcome.code == 0, outcome.err
    assert "FedProx with mu = 0.5" in outcome.out
    assert "plain FedProx" in outcome.out


COMMENTED = ("hidden = [32]", "mu = 0.1", "momentum = 0.9", "patience = 5", "classes_per_party = 2", "beta = 0.2")


@pytest.mark.parametrize("line", COMMENTED)
def test_the_starters_new_commented_keys_are_real(line, securefl, tmp_path):
    securefl("init", tmp_path)
    path = tmp_path / "securefl.toml"
    text = path.read_text()
    assert f"# {line}" in text
    path.write_text(text.replace(f"# {line}", line))
    found = securefl("plan", "show", path)
    assert "unknown key" not in found.err
    assert "has no use for it" in found.err
