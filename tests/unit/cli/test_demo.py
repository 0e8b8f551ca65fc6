"""`securefl demo`: what a newcomer sees, and the JSON that other programs rely on."""

import json

import pytest

CONTRACT = {
    "rounds",
    "accuracy",
    "secure_accuracy",
    "plain_accuracy",
    "epsilon",
    "bytes_up",
    "bytes_down",
    "seconds",
    "plan",
    "dropouts",
    "versions",
    "machine",
}


def test_the_demo_succeeds_and_says_where_its_report_lies(demo):
    outcome, directory, _ = demo
    assert outcome.code == 0
    assert outcome.err == ""
    assert str(directory / "report.html") in outcome.out
    assert {path.name for path in directory.iterdir()} == {"report.html", "report.json"}


def test_without_a_terminal_lines_are_plain_and_fit_80_columns(demo):
    outcome, directory, _ = demo
    assert "\x1b" not in outcome.out
    assert "\r" not in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines() if str(directory) not in line)
    assert all(line == line.rstrip() for line in outcome.out.splitlines())


def test_the_json_keeps_its_contract(demo):
    _, directory, data = demo
    assert data.keys() >= CONTRACT
    assert data["accuracy"] == data["secure_accuracy"] == data["rounds"][-1]["accuracy"]
    assert data["plain_accuracy"] == data["rounds"][-1]["plain_accuracy"]
    assert len(data["rounds"]) == 3
    assert data["epsilon"]["server"] is None
    assert data["epsilon"]["observer"] is None
    assert "no differential privacy" in data["epsilon"]["note"]
    assert data["bytes_up"] == sum(record["bytes_up"] for record in data["rounds"])
    assert data["bytes_up"] == sum(up for up, _ in data["bytes_by_step"].values())
    assert data["plan"]["server"] == "active"
    assert json.loads((directory / "report.json").read_text()) == data


def test_secure_accuracy_is_within_half_a_point_of_plain(demo):
    _, _, data = demo
    assert data["accuracy"] > 0.8
    assert abs(data["secure_accuracy"] - data["plain_accuracy"]) <= 0.005


def test_dropouts_are_counted_by_step(demo):
    _, _, data = demo
    assert data["dropouts"]["by_step"] == {"share_keys": 1, "masked_input": 1, "consistency": 1}
    assert sum(map(len, data["dropouts"]["by_round"])) == 3


def test_json_on_stdout_is_all_of_stdout(securefl, tmp_path):
    outcome = securefl("demo", "--parties", 3, "--rounds", 1, "--output", tmp_path / "r", "--json", "-")
    assert outcome.code == 0
    assert json.loads(outcome.out)["plan"]["parties"] == 3
    assert "Result" in outcome.err


@pytest.mark.parametrize(("parties", "dropout"), [(3, 0.1), (7, 0.25), (10, 0.3), (20, 0.4)])
def test_a_plan_is_found_for_small_federations_and_high_dropout(securefl, tmp_path, parties, dropout):
    arguments = ("--parties", parties, "--rounds", 1, "--dropout", dropout, "--output", tmp_path / "r")
    outcome = securefl("demo", *arguments)
    assert outcome.code == 0, outcome.err


def test_two_parties_are_unsafe(refused, tmp_path):
    line = refused("demo", "--parties", 2, "--output", tmp_path / "r")
    assert "got 2, needs 3.." in line
    assert not (tmp_path / "r").exists()


def test_too_many_dropouts_are_refused_before_training(refused, tmp_path):
    assert "with 60% dropouts 8 of 20 parties stay" in refused("demo", "--dropout", 0.6, "--output", tmp_path / "r")


def test_an_output_that_is_a_file_is_refused_before_training(refused, tmp_path):
    (tmp_path / "taken").write_text("x")
    assert "cannot be made" in refused("demo", "--output", tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "x"


def test_json_into_a_missing_directory_is_refused_before_training(refused, tmp_path):
    assert "no such directory" in refused("demo", "--json", tmp_path / "none" / "x.json")


def test_wrong_usage_exits_2(securefl):
    assert securefl("demo", "--rounds", "0").code == 2
    assert securefl("demo", "--partys", "5").code == 2
    assert securefl("dmo").code == 2
