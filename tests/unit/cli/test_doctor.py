"""`securefl doctor`: one line a check, exit 1 on a failure."""

import json

from securefl.report import doctor as checks
from securefl.report.doctor import Status


def test_a_healthy_machine_passes(securefl, tmp_path):
    outcome = securefl("doctor", "--json", tmp_path / "d.json")
    assert outcome.code == 0, outcome.out
    data = json.loads((tmp_path / "d.json").read_text())
    assert data["ok"]
    names = {check["name"] for check in data["checks"]}
    assert {
        "Python",
        "numpy",
        "cryptography",
        "msgspec",
        "extra cli",
        "OS entropy",
        "mask generator",
        "import time",
    } <= names
    assert all(name in outcome.out for name in names)


def test_files_that_fit_pass(securefl, small, tmp_path, roster, keys):
    small.write_text(small.read_text().replace("parties = 5", "parties = 3"))
    policy = tmp_path / "policy.toml"
    policy.write_text("min_parties = 3\n")
    files = ("--config", small, "--policy", policy, "--roster", roster, "--key", keys / "b.pem")
    outcome = securefl("doctor", *files)
    assert outcome.code == 0, outcome.out
    assert "the policy accepts the plan" in outcome.out
    assert "the key of 'b'" in outcome.out


def test_files_that_do_not_fit_fail(securefl, small, tmp_path, roster, keys):
    files = ("--config", small, "--roster", roster, "--key", keys / "owner.pem")
    outcome = securefl("doctor", *files, "--json", tmp_path / "d.json")
    assert outcome.code == 1
    assert outcome.err == ""
    failed = {
        check["name"]: check
        for check in json.loads((tmp_path / "d.json").read_text())["checks"]
        if check["status"] == "fail"
    }
    assert failed.keys() == {"roster, plan", "key, roster"}
    assert all(check["remedy"] for check in failed.values())


def test_a_refusing_policy_and_broken_files_fail_without_a_traceback(securefl, small, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("min_parties = 50\n")
    outcome = securefl(
        "doctor", "--config", small, "--policy", policy, "--roster", tmp_path / "none", "--key", tmp_path / "no"
    )
    assert outcome.code == 1
    assert outcome.out.count("fail  ") == 3
    assert "min_parties" in outcome.out


def test_a_missing_extra_is_a_warning_with_the_command(monkeypatch):
    monkeypatch.setattr(checks, "_EXTRAS", {"demo": ("scikit-learn", "no-such-library")})
    (check,) = checks._extras()
    assert check.status is Status.WARN
    assert check.finding == "missing: no-such-library"
    assert check.remedy == "pip install 'securefl[demo]'"


def test_an_old_requirement_fails(monkeypatch):
    monkeypatch.setattr(
        checks.importlib.metadata, "requires", lambda _: ["numpy>=999.0", "typer>=0.15; extra == 'cli'"]
    )
    (check,) = checks._requirements()
    assert check.status is Status.FAIL
    assert check.remedy == "pip install 'numpy>=999.0'"


def test_a_repeating_entropy_source_fails(monkeypatch):
    class Stuck:
        def token(self, size):
            return bytes(size)

    monkeypatch.setattr(checks, "OS", Stuck())
    assert checks._entropy().status is Status.FAIL
