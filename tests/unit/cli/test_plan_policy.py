"""`securefl plan show` and `securefl policy check`."""

import json

import pytest


def test_plan_show_explains_and_says_who_learns_what(securefl, small, tmp_path):
    outcome = securefl("plan", "show", small, "--json", tmp_path / "plan.json")
    assert outcome.code == 0
    for part in ("threshold 3: the smallest t with", "bytes of masked values", "one party's vector", "not limited"):
        assert part in outcome.out
    data = json.loads((tmp_path / "plan.json").read_text())
    assert data["threshold"] == 3
    assert data["disclosures"][0]["what"] == "one party's vector"


def test_plan_show_names_an_unsafe_plan(refused, small):
    small.write_text(small.read_text().replace("max_colluders = 0", "max_colluders = 4"))
    assert "[plan]" in refused("plan", "show", small)


def test_an_accepting_policy_says_so(securefl, small, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("min_parties = 5\n")
    outcome = securefl("policy", "check", policy, small, "--json", "-")
    assert outcome.code == 0
    assert json.loads(outcome.out)["accepted"] is True
    assert "Accepted" in outcome.err


def test_a_refusal_names_floor_and_line(refused, small, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("# floors\nmin_parties = 6\n")
    line = refused("policy", "check", policy, small)
    assert "parties = 5, this party demands 6" in line
    assert "line 2: min_parties = 6" in line


def test_a_refusal_is_told_as_json_too(securefl, small, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("max_epsilon = 1.0\ndelta = 1e-5\n")
    outcome = securefl("policy", "check", policy, small, "--json", "-")
    assert outcome.code == 1
    assert json.loads(outcome.out) == {
        "accepted": False,
        "floor": "max_epsilon",
        "line": "line 1: max_epsilon = 1.0",
        "reason": "the plan adds no noise, this party demands differential privacy",
    }


def test_a_fingerprint_without_a_roster_is_reported_as_unchecked(securefl, small, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('roster_fingerprint = "dead beef"\n')
    outcome = securefl("policy", "check", policy, small)
    assert outcome.code == 0
    assert "roster_fingerprint was not checked" in outcome.out


def test_a_roster_of_another_size_is_refused(refused, small, tmp_path, roster):
    policy = tmp_path / "policy.toml"
    policy.write_text('server = "active"\n')
    assert "the plan is for 5 parties, the roster has 3" in refused(
        "policy", "check", policy, small, "--roster", roster
    )


def test_a_roster_with_another_fingerprint_is_refused(refused, small, tmp_path, roster):
    policy = tmp_path / "policy.toml"
    policy.write_text('roster_fingerprint = "dead beef"\n')
    small.write_text(small.read_text().replace("parties = 5", "parties = 3"))
    assert "roster_fingerprint" in refused("policy", "check", policy, small, "--roster", roster)


@pytest.mark.parametrize("text", ["min_partys = 5", "min_parties = 'many'", "min_parties = 1"])
def test_a_mistake_in_a_policy_quotes_its_line(refused, small, tmp_path, text):
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    assert f"line 1: {text}" in refused("policy", "check", policy, small)


def test_the_model_that_an_experiment_begins_with_is_checked_too(refused, securefl, small, tmp_path):
    policy = tmp_path / "policy.toml"
    small.write_text(small.read_text() + '\n[model]\nkind = "perceptron"\n')
    policy.write_text("[model]\nmax_model_norm = 1.0\n")
    line = refused("policy", "check", policy, small)
    assert "its weights have a norm of" in line
    assert "line 2: max_model_norm = 1.0" in line
    policy.write_text("[model]\nmax_model_norm = 1000.0\n")
    assert securefl("policy", "check", policy, small).code == 0
