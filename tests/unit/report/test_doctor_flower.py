"""What `securefl doctor --flower` finds before a node is started."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import securefl as sfl
from securefl.errors import ConfigError
from securefl.report.doctor import Status
from securefl.report.doctor_flower import check_flower, parse

NAMES = ["hospital-0", "hospital-1", "hospital-2"]


def certificate(path, *, days):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=400))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def home(tmp_path):
    roster, keys = sfl.Roster.generate(NAMES)
    (tmp_path / "roster.toml").write_text(roster.to_toml())
    (tmp_path / "policy.toml").write_text('server = "semi-honest"\nmin_parties = 3\n')
    (tmp_path / "identity.pem").write_bytes(keys["hospital-1"].to_pem(None))
    (tmp_path / "identity.pem").chmod(0o600)
    return tmp_path


def config(home, **changes):
    settings = {
        "securefl-party": "hospital-1",
        "securefl-roster": home / "roster.toml",
        "securefl-policy": home / "policy.toml",
        "securefl-identity": home / "identity.pem",
        "securefl-state": home / "state",
        **{f"securefl-{name}": value for name, value in changes.items()},
    }
    return " ".join(f'{key}="{value}"' for key, value in settings.items() if value is not None)


def status(checks, name):
    return next(check for check in checks if check.name == name)


def test_a_node_that_has_all_it_needs_is_ready_but_for_whose_code_it_runs(home):
    checks = check_flower(config(home), root_certificates=certificate(home / "ca.crt", days=90))
    assert {check.name for check in checks if check.status is not Status.OK} <= {"app", "ray"}
    assert "semi-honest" in status(checks, "app").finding
    (home / "signers").write_text("a signer")
    trusted = check_flower(config(home), trusted_entities=home / "signers")
    assert status(trusted, "app").status is Status.OK


@pytest.mark.parametrize(
    ("changes", "name", "what"),
    [
        ({"party": None}, "securefl-party", "missing"),
        ({"policy": None}, "securefl-policy", "missing"),
        ({"state": None}, "securefl-state", "missing"),
        ({"roster": "/nowhere/roster.toml"}, "roster", "/nowhere"),
        ({"policy": "/nowhere/policy.toml"}, "policy", "/nowhere"),
        ({"party": "hospital-9"}, "party", "not on the roster"),
        ({"party": "hospital-2"}, "identity", "not the key that the roster has"),
        ({"state": "/proc/nowhere/state"}, "state", "cannot be written"),
        ({"ledger": "ledger.jsonl"}, "ledger", "sets no budget"),
    ],
)
def test_what_is_missing_or_wrong_is_named_with_what_to_do(home, changes, name, what):
    checks = check_flower(config(home, **changes))
    found = status(checks, name)
    assert found.status is Status.FAIL
    assert what in found.finding
    assert found.remedy or "Remedy" in found.finding


def test_a_policy_for_an_active_server_fails_where_the_server_ships_the_code(home):
    (home / "policy.toml").write_text('server = "active"\n')
    assert status(check_flower(config(home)), "app").status is Status.FAIL


def test_an_identity_that_others_can_read_is_pointed_out(home):
    (home / "identity.pem").chmod(0o644)
    assert status(check_flower(config(home)), "identity").status is Status.WARN


@pytest.mark.parametrize(("days", "expected"), [(90, Status.OK), (3, Status.WARN), (-1, Status.FAIL)])
def test_a_certificate_that_has_ended_or_soon_will_is_found(home, days, expected):
    checks = check_flower(None, root_certificates=certificate(home / "ca.crt", days=days))
    assert status(checks, "certificates").status is expected


def test_a_file_that_is_no_certificate_is_said_to_be_none(home):
    checks = check_flower(None, root_certificates=home / "roster.toml")
    assert status(checks, "certificates").status is Status.FAIL


@pytest.mark.parametrize("text", ["securefl-party", 'securefl-party="a', "=x", "a b=c"])
def test_a_node_config_that_flower_would_not_take_is_refused(text):
    with pytest.raises(ConfigError):
        parse(text)
