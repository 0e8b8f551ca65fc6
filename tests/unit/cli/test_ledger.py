"""`securefl ledger`: shows what was spent, and finds what is not as it was written."""

import json

import pytest
import typer

from securefl.cli import ledger as verbs
from securefl.cli import main
from securefl.crypto.digest import digest
from securefl.dp.accounting import GaussianRelease, Relation, Repeated, Unit, rdp_epsilon
from securefl.dp.ledger import Budget, Charge, PrivacyLedger


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    verbs.register(app)
    monkeypatch.setattr(main, "_app", lambda: app)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(file):
    ledger = PrivacyLedger(file, Budget(epsilon=8.0, delta=1e-6))
    for owner, rounds in (("hospital-a", 3), ("hospital-b", 1)):
        for number in range(rounds):
            ledger.charge(
                Charge(
                    owner=owner,
                    party=owner,
                    session=b"\xab" * 16,
                    ctx=bytes([number]) * 32,
                    attempt=b"\x01",
                    plan=bytes(32),
                    event=GaussianRelease(5.0),
                    relation=Relation.ZERO_OUT,
                    unit=Unit.ORGANISATION,
                )
            )
    return ledger


def epsilon(rounds, delta=1e-6):
    return rdp_epsilon(Repeated(GaussianRelease(5.0), rounds), delta, Relation.ZERO_OUT)


def test_show_prints_charges_what_was_spent_and_the_head(securefl, file, ledger, tmp_path):
    outcome = securefl("ledger", "show", file, "--json", tmp_path / "l.json")
    assert outcome.code == 0, outcome
    for text in ("hospital-a", "abababab", "Gaussian", "per organisation under zero-out", "rdp", str(ledger.head)):
        assert text in outcome.out
    data = json.loads((tmp_path / "l.json").read_text())
    assert data["owners"] == {"hospital-a": ledger.spent("hospital-a"), "hospital-b": ledger.spent("hospital-b")}
    assert data["epsilon"] == ledger.spent() == pytest.approx(epsilon(3))
    assert data["epsilon_by_round"] == list(ledger.epsilon_by_round())
    assert data["budget"] == {"epsilon": "8.0", "delta": "1e-06", "order": None}
    assert (data["accountant"], data["delta"], data["relation"]) == ("rdp", 1e-6, "zero-out")
    assert data["unit"] == "organisation"
    first = data["entries"][0]
    assert first["charge"]["event"] == {"kind": "gaussian", "noise_multiplier": "5.0"}
    assert data["entries"][-1]["digest"] == ledger.head.digest.hex()


def test_show_states_epsilons_at_another_delta(securefl, file, ledger):
    data = json.loads(securefl("ledger", "show", file, "--delta", "1e-9", "--json", "-").out)
    assert data["delta"] == 1e-9
    assert data["epsilon"] == pytest.approx(epsilon(3, 1e-9))


def test_a_delta_outside_its_range_is_refused(refused, file, ledger):
    assert "delta is out of range" in refused("ledger", "show", file, "--delta", "1")
    assert "delta is out of range" in refused("ledger", "show", file, "--delta", "nan")


def test_verify_without_an_anchor_does_not_exclude_truncation(securefl, file, ledger):
    outcome = securefl("ledger", "verify", file, "--json", "-")
    assert outcome.code == 0
    assert "Truncation not excluded" in outcome.err
    assert "Whole: 4 entries about 2 owners" in outcome.err
    data = json.loads(outcome.out)
    assert data["truncation"] == "not excluded"
    assert data["expected"] is False
    assert (data["entries"], data["head"]) == (4, str(ledger.head))
    assert "Truncation not excluded" in securefl("ledger", "verify", file, "--head", f"0:{'0' * 64}").out


def test_verify_with_an_anchor_misses_what_was_cut_off(securefl, refused, file, ledger):
    head = ledger.head
    outcome = securefl("ledger", "verify", file, "--head", head)
    assert outcome.code == 0
    assert "Truncation excluded up to entry 4" in outcome.out
    assert "not excluded" not in outcome.out
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    assert securefl("ledger", "verify", file).code == 0
    line = refused("ledger", "verify", file, "--head", head)
    assert "entry 3 is missing" in line
    assert str(file) in line


def test_an_edited_line_is_named(refused, file, ledger):
    file.write_bytes(file.read_bytes().replace(b'"5.0"', b'"50.0"', 1))
    for verb in ("show", "verify"):
        assert "line 1: this entry was altered" in refused("ledger", verb, file)


def test_a_torn_line_is_named_and_left_as_it_is(refused, file, ledger):
    torn = file.read_bytes()[:-5]
    file.write_bytes(torn)
    assert "line 4 is torn" in refused("ledger", "verify", file)
    assert file.read_bytes() == torn


def test_a_chain_that_overspends_its_own_budget_is_refused(refused, securefl, file, ledger):
    """Somebody wrote it anew, with digests that fit."""
    lines, previous = [], "0" * 64
    for line in file.read_bytes().splitlines():
        entry = json.loads(line)["entry"]
        entry["previous"], entry["budget"]["epsilon"] = previous, "1.5"
        canonical = json.dumps(entry, separators=(",", ":")).encode()
        previous = digest("ledger entry", canonical).hex()
        lines.append(b'{"entry":%s,"digest":"%s"}\n' % (canonical, previous.encode()))
    file.write_bytes(b"".join(lines))
    assert "entry 3 overspends: 'hospital-a' had a budget of epsilon 1.5" in refused("ledger", "verify", file)
    assert securefl("ledger", "show", file).code == 0


def test_a_name_cannot_steer_the_terminal(securefl, file, ledger):
    lines, previous = [], "0" * 64
    for line in file.read_bytes().splitlines():
        entry = json.loads(line)["entry"]
        entry["previous"], entry["charge"]["party"] = previous, "p\x1b[2J [red]"
        entry["charge"]["ctx"] = f"{len(lines):064x}"
        canonical = json.dumps(entry, separators=(",", ":")).encode()
        previous = digest("ledger entry", canonical).hex()
        lines.append(b'{"entry":%s,"digest":"%s"}\n' % (canonical, previous.encode()))
    file.write_bytes(b"".join(lines))
    outcome = securefl("ledger", "show", file)
    assert outcome.code == 0, outcome
    assert "\x1b" not in outcome.out


def test_show_and_verify_take_an_empty_ledger(securefl, file):
    PrivacyLedger(file, Budget(8.0, 1e-6))
    assert securefl("ledger", "show", file).code == 0
    outcome = securefl("ledger", "verify", file, "--json", "-")
    assert json.loads(outcome.out)["owners"] == {}
    assert "Whole: 0 entries" in outcome.err


@pytest.mark.parametrize("head", ["2", "", "x:00", f"0:{'1' * 64}"])
def test_a_malformed_head_is_refused(refused, file, ledger, head):
    assert "is no head of a ledger" in refused("ledger", "verify", file, "--head", head)


def test_a_missing_file_is_one_line(refused, tmp_path):
    for verb in ("show", "verify"):
        assert "cannot be read" in refused("ledger", verb, tmp_path / "none")
