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
    names = {path.name for path in directory.iterdir()}
    assert {"report.html", "report.json"} < names
    assert [name.partition("-")[0] for name in names - {"report.html", "report.json"}] == ["ledger"]


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
    assert 7.9 < data["epsilon"]["server"] == data["epsilon"]["observer"] <= 8.0
    assert (data["epsilon"]["delta"], data["epsilon"]["relation"]) == (1e-3, "zero-out")
    assert data["private_accuracy"] == data["rounds"][-1]["private_accuracy"] == data["private"]["accuracy"]
    assert [spent["server"] for spent in data["private"]["epsilon_by_round"]][-1] == data["epsilon"]["server"]
    assert data["bytes_up"] == sum(record["bytes_up"] for record in data["rounds"])
    assert data["bytes_up"] == sum(up for up, _ in data["bytes_by_step"].values())
    assert data["plan"]["server"] == data["private"]["plan"]["server"] == "semi-honest"
    assert json.loads((directory / "report.json").read_text()) == data


def test_secure_accuracy_is_within_half_a_point_of_plain(demo):
    _, _, data = demo
    assert data["accuracy"] > 0.8
    assert abs(data["secure_accuracy"] - data["plain_accuracy"]) <= 0.005


def test_dropouts_are_counted_by_step(demo):
    _, _, data = demo
    assert data["dropouts"]["by_step"] == {"share_keys": 1, "masked_input": 1, "unmask": 1}
    assert sum(map(len, data["dropouts"]["by_round"])) == 3


def test_the_ledger_of_the_demo_verifies_and_says_what_the_demo_said(demo, securefl):
    _, directory, data = demo
    outcome = securefl("ledger", "verify", directory / data["private"]["ledger"], "--json", "-")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert found["epsilon"] == data["epsilon"]["server"]
    # Whoever was lost on the way had sent its vector all the same.
    lost = [
        step for record in data["private"]["rounds"] for step in record["dropped"].values() if step == "masked_input"
    ]
    assert found["entries"] == sum(len(record["survivors"]) for record in data["private"]["rounds"]) + len(lost)


def test_without_an_epsilon_there_is_no_private_training_and_the_json_says_so(securefl, tmp_path):
    where = tmp_path / "r"
    outcome = securefl("demo", "--parties", 4, "--rounds", 1, "--epsilon", 0, "--output", where, "--json", "-")
    data = json.loads(outcome.out)
    assert data["epsilon"] == {"server": None, "observer": None, "note": data["epsilon"]["note"]}
    assert "no differential privacy" in data["epsilon"]["note"]
    assert data["private"] is None
    assert not list(where.glob("ledger*"))


def test_an_active_server_can_be_asked_for(securefl, tmp_path):
    outcome = securefl(
        "demo", "--parties", 5, "--rounds", 1, "--server", "active", "--output", tmp_path / "r", "--json", "-"
    )
    assert json.loads(outcome.out)["private"]["plan"]["server"] == "active"


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
    arguments = ("demo", "--server", "active", "--dropout", 0.6, "--output", tmp_path / "r")
    assert "with 60% dropouts 40 of 100 parties stay" in refused(*arguments)


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
