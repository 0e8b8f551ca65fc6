"""`securefl keygen`: the private key stays private and is never replaced."""

import stat

import pytest
import typer

from securefl.cli import passwords
from securefl.crypto.signing import SigningKey
from securefl.errors import CryptoError


def test_a_key_in_clear_must_be_asked_for(securefl, refused, tmp_path):
    assert "--no-password" in refused("keygen", "a", "--output", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert securefl("keygen", "a", "--output", tmp_path, "--no-password").code == 0


def test_the_private_key_has_mode_0600_and_is_not_printed(securefl, tmp_path):
    outcome = securefl("keygen", "a", "--output", tmp_path, "--no-password")
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    pem = (tmp_path / "a.pem").read_text()
    printed = outcome.out + outcome.err
    assert "PRIVATE" not in printed
    assert not any(line in printed for line in pem.splitlines())
    key = SigningKey.from_pem(pem.encode(), None)
    assert key.verify_key.hex() in outcome.out
    assert (tmp_path / "a.pub").read_text() == key.verify_key.hex() + "\n"


def test_a_password_file_encrypts_the_key(securefl, tmp_path):
    (tmp_path / "pw").write_text("correct horse\n")
    outcome = securefl("keygen", "a", "--output", tmp_path, "--password-file", tmp_path / "pw")
    assert outcome.code == 0
    assert "horse" not in outcome.out
    data = (tmp_path / "a.pem").read_bytes()
    SigningKey.from_pem(data, b"correct horse")
    with pytest.raises(CryptoError):
        SigningKey.from_pem(data, None)


def test_at_a_terminal_the_password_is_asked_for(securefl, tmp_path, monkeypatch):
    asked = []

    def prompt(text, **options):
        asked.append((text, options))
        return "typed"

    monkeypatch.setattr(passwords.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)
    assert securefl("keygen", "a", "--output", tmp_path).code == 0
    assert asked[0][1]["hide_input"]
    assert asked[0][1]["confirmation_prompt"]
    SigningKey.from_pem((tmp_path / "a.pem").read_bytes(), b"typed")


@pytest.mark.parametrize("suffix", [".pem", ".pub"])
def test_an_existing_file_is_left_as_it_is(refused, tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_text("old")
    assert "exists already" in refused("keygen", "a", "--output", tmp_path, "--no-password")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_force_replaces(securefl, tmp_path):
    (tmp_path / "a.pem").write_text("old!")  # no PEM has a "!"; in one random key of 9000 there are these three letters
    assert securefl("keygen", "a", "--output", tmp_path, "--no-password", "--force").code == 0
    assert "old!" not in (tmp_path / "a.pem").read_text()
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["../a", "", "a/b", ".hidden", "a\nb"])
def test_a_name_that_is_no_file_name_is_refused(refused, tmp_path, name):
    assert "cannot be the name of a key" in refused("keygen", name, "--output", tmp_path, "--no-password")


def test_the_reserved_name_is_refused_before_anything_is_written(refused, tmp_path):
    assert "server" in refused("keygen", "server", "--output", tmp_path, "--no-password")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_password_is_refused(refused, tmp_path):
    (tmp_path / "pw").write_text("\n")
    assert "is empty" in refused("keygen", "a", "--output", tmp_path, "--password-file", tmp_path / "pw")


def test_contradicting_options_are_wrong_usage(securefl, tmp_path):
    assert securefl("keygen", "a", "--no-password", "--password-file", tmp_path / "pw").code == 2
