"""`securefl roster`: versions count up, signatures are the owner's, and a change drops them."""

import json

import pytest

from securefl.crypto.signing import fingerprint
from securefl.plan import Roster


def owner_of(path):
    return fingerprint(Roster.load(path).owner)


def test_new_begins_an_empty_roster_and_never_replaces_one(securefl, refused, tmp_path):
    path = tmp_path / "r.toml"
    assert securefl("roster", "new", path).code == 0
    before = path.read_text()
    assert "exists already" in refused("roster", "new", path)
    assert path.read_text() == before
    assert "securefl roster add" in refused("roster", "show", path)


def test_each_party_added_counts_the_version_up(roster):
    loaded = Roster.load(roster)
    assert loaded.names == ("a", "b", "c")
    assert loaded.version == 3


def test_a_key_may_be_given_in_hex(securefl, roster):
    assert securefl("roster", "add", roster, "d", "ab" * 32).code == 0
    assert Roster.load(roster).members[-1].verify_key == b"\xab" * 32


def test_sign_and_verify(securefl, roster, keys, tmp_path):
    assert securefl("roster", "sign", roster, "--key", keys / "owner.pem").code == 0
    outcome = securefl("roster", "verify", roster, "--owner", owner_of(roster).upper().replace(" ", ""))
    assert outcome.code == 0
    assert owner_of(roster) in outcome.out
    assert "Anybody can sign" not in outcome.out
    assert "Anybody can sign" in securefl("roster", "verify", roster).out


def test_adding_to_a_signed_roster_drops_the_signature_and_says_so(securefl, refused, roster, keys):
    securefl("roster", "sign", roster, "--key", keys / "owner.pem")
    outcome = securefl("roster", "add", roster, "d", keys / "owner.pub")
    assert "sign again" in outcome.out
    assert Roster.load(roster).signature == b""
    assert "is not signed" in refused("roster", "verify", roster)


def test_a_roster_changed_after_signing_does_not_verify(securefl, refused, roster, keys):
    securefl("roster", "sign", roster, "--key", keys / "owner.pem")
    roster.write_text(roster.read_text().replace('"a"', '"z"'))
    assert "changed after signing" in refused("roster", "verify", roster)


def test_another_owner_is_refused(securefl, refused, roster, keys):
    securefl("roster", "sign", roster, "--key", keys / "a.pem")
    assert "not by dead beef" in refused("roster", "verify", roster, "--owner", "dead beef")


def test_show_prints_names_fingerprints_and_signer(securefl, roster, keys, tmp_path):
    securefl("roster", "sign", roster, "--key", keys / "owner.pem")
    outcome = securefl("roster", "show", roster, "--json", tmp_path / "r.json")
    loaded = Roster.load(roster)
    for text in ("a", "b", "c", *(member.fingerprint for member in loaded.members), owner_of(roster)):
        assert text in outcome.out
    data = json.loads((tmp_path / "r.json").read_text())
    assert [party["name"] for party in data["parties"]] == ["a", "b", "c"]
    assert data["owner"] == owner_of(roster)


def test_an_encrypted_owner_key_needs_its_password(securefl, refused, roster, tmp_path):
    (tmp_path / "pw").write_text("good")
    (tmp_path / "bad").write_text("bad")
    securefl("keygen", "boss", "--output", tmp_path, "--password-file", tmp_path / "pw")
    sign = ("roster", "sign", roster, "--key", tmp_path / "boss.pem")
    assert "--password-file" in refused(*sign)
    assert "wrong password" in refused(*sign, "--password-file", tmp_path / "bad")
    assert securefl(*sign, "--password-file", tmp_path / "pw").code == 0


def test_a_private_key_is_not_taken_for_a_public_one(refused, roster, keys):
    before = roster.read_text()
    assert "is a private key" in refused("roster", "add", roster, "d", keys / "owner.pem")
    assert roster.read_text() == before


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("a", "ab" * 32, "a name twice"),
        ("server", "ab" * 32, "cannot be a party's name"),
        ("d", "abcd", "cannot be read"),
    ],
)
def test_a_wrong_member_changes_nothing(refused, roster, name, key, said):
    before = roster.read_text()
    assert said in refused("roster", "add", roster, name, key)
    assert roster.read_text() == before


def test_a_key_file_without_a_key_is_refused(refused, roster, tmp_path):
    (tmp_path / "x.pub").write_text("hello")
    assert "no public key of 64 hex digits" in refused("roster", "add", roster, "d", tmp_path / "x.pub")


def test_names_are_shown_as_they_are(securefl, roster):
    securefl("roster", "add", roster, "[red]x[/red]", "ab" * 32)
    assert "[red]x[/red]" in securefl("roster", "show", roster).out
