from __future__ import annotations

import dataclasses
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, CryptoError, SecureFLError
from securefl.plan import Member, Roster

NAMES = ("hospital-1", "hospital-2", "hospital-3")
ROSTER, KEYS = Roster.generate(NAMES)
OWNER = SigningKey.generate()
SIGNED = ROSTER.sign(OWNER)


def folded(name):
    """As a reader takes it: large or small, full width or half."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).filter(
    lambda name: name.isprintable() and name.strip() == name and folded(name) != "server"
)


@given(st.lists(names, min_size=1, max_size=6, unique_by=folded), st.booleans(), st.integers(1, 2**32 - 1))
def test_a_roster_survives_its_file(given_names, identities, version):
    members = tuple(
        Member(name, SigningKey.from_bytes(bytes([i]) * 32).verify_key if identities else b"")
        for i, name in enumerate(given_names)
    )
    roster = Roster(members, version)
    assert Roster.from_toml(roster.to_toml()) == roster
    vouched = roster.sign(OWNER)
    assert Roster.from_toml(vouched.to_toml()) == vouched
    assert vouched.digest() == roster.digest(), "signing changes nothing that the parties compare"


def test_a_file_shows_the_fingerprints_to_compare():
    text = SIGNED.to_toml()
    for member in ROSTER.members:
        assert f"# {member.fingerprint}" in text
    assert Member("anybody").fingerprint == "unsigned"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"members": ROSTER.members[:2]},
        {"members": ROSTER.members[::-1]},
        {"members": (Member("hospital-0", ROSTER.members[0].verify_key), *ROSTER.members[1:])},
        {"members": (Member("hospital-1", SigningKey.generate().verify_key), *ROSTER.members[1:])},
        {"members": tuple(Member(name) for name in NAMES)},
        {"owner": SigningKey.generate().verify_key},
        {"signature": bytes(64)},
        {"signature": b""},
        {"owner": b""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_roster_that_was_changed_after_signing_is_refused(change):
    with pytest.raises(CryptoError, match="does not verify"):
        dataclasses.replace(SIGNED, **change)


@pytest.mark.parametrize("change", [("hospital-2", "hospital-9"), ("version = 1", "version = 2")])
def test_a_file_that_was_changed_after_signing_is_refused(change):
    with pytest.raises(CryptoError, match="changed after signing"):
        Roster.from_toml(SIGNED.to_toml().replace(*change))


def test_a_flipped_digit_of_a_key_or_signature_is_refused():
    text = SIGNED.to_toml()
    places = [i for found in re.finditer('"([0-9a-f]{64,})"', text) for i in range(*found.span(1))]
    assert len(places) == (3 + 1) * 64 + 128
    for place in places[::3]:
        altered = text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]
        with pytest.raises(SecureFLError):
            Roster.from_toml(altered)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " a",
        "a ",
        "server",
        "Server",
        "\uff53erver",
        "x" * 65,
        "a\nb",
        "a\tb",
        "a\x00b",
        "\u202ea",
        "\u200b",
        7,
        None,
    ],
    ids=repr,
)
def test_a_name_that_could_deceive_is_refused(name):
    with pytest.raises(ConfigError, match="cannot be a party's name"):
        Roster.unsigned([name, "b", "c"])


@pytest.mark.parametrize("version", [0, -1, 1 << 32, True])
def test_a_version_out_of_bounds_is_refused(version):
    with pytest.raises(ConfigError, match="version"):
        Roster(ROSTER.members, version)


def test_a_name_or_a_key_twice_is_refused_and_named():
    with pytest.raises(ConfigError, match=r"name twice: b"):
        Roster.unsigned(["a", "b", "b"])
    key = KEYS["hospital-1"].verify_key
    with pytest.raises(ConfigError, match=f"key twice: {key.hex()}"):
        Roster((Member("a", key), Member("b", key)))


@pytest.mark.parametrize(
    "pair", [("bank", "Bank"), ("bank", "\uff42ank"), ("stra\u00dfe", "STRASSE"), ("\u00e9", "e\u0301")]
)
def test_two_names_that_read_alike_are_refused(pair):
    with pytest.raises(ConfigError, match="name twice"):
        Roster.unsigned([*pair, "c"])


def test_some_with_and_some_without_a_key_are_refused_and_named():
    with pytest.raises(ConfigError, match="without an identity key: b, c"):
        Roster((ROSTER.members[0], Member("b"), Member("c")))


@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_a_key_of_another_size_is_refused(size):
    with pytest.raises(ConfigError, match=f"'a' is {size} bytes long, needs 32"):
        Roster((Member("a", bytes(size)),))


def test_nobody_and_too_many_are_refused():
    with pytest.raises(ConfigError, match="0 parties"):
        Roster(())
    with pytest.raises(ConfigError, match="65537 parties"):
        Roster.unsigned(f"p{i}" for i in range(65537))


def test_a_party_that_is_missing_is_named():
    assert ROSTER.index("hospital-3") == 2
    with pytest.raises(ConfigError, match="'hospital-4' is not on the roster of 3 parties") as caught:
        ROSTER.index("hospital-4")
    assert "hospital-1" in caught.value.remedy


def test_the_digest_binds_version_names_keys_and_their_order():
    digests = {
        roster.digest()
        for roster in (
            ROSTER,
            Roster(ROSTER.members, 2),
            Roster(ROSTER.members[::-1]),
            Roster(ROSTER.members[:2]),
            Roster.unsigned(NAMES),
            Roster.unsigned(["hospital-1hospital-2", "hospital-3"]),
            Roster.unsigned(["hospital-1", "hospital-2hospital-3"]),
        )
    }
    assert len(digests) == 7
    assert ROSTER.fingerprint == Roster(ROSTER.members).fingerprint
    assert ROSTER.fingerprint != Roster(ROSTER.members, 2).fingerprint


def test_a_new_member_makes_a_new_version_that_nobody_has_signed():
    grown = SIGNED.with_member(Member("hospital-4", SigningKey.generate().verify_key))
    assert (len(grown), grown.version, grown.owner, grown.signature) == (4, 2, b"", b"")


BAD_FILES = {
    "no toml": ("party = [", "not TOML"),
    "an unknown key": ('verson = 1\n[[party]]\nname = "a"', "did you mean 'version'"),
    "a version as text": ('version = "1"\n[[party]]\nname = "a"', "line 1: version"),
    "a version that is true": ('version = true\n[[party]]\nname = "a"', "a whole number"),
    "no parties": ("version = 1", "0 parties"),
    "parties that are no list": ('party = "a"', "a list"),
    "a party that is no table": ('party = ["a"]', "number 1"),
    "a party without a name": ('[[party]]\nname = "a"\n[[party]]\nkey = "00"', "number 2"),
    "a party with an unknown key": ('[[party]]\nname = "a"\nemail = "b"', "number 1"),
    "a name that is a number": ("[[party]]\nname = 3", "number 1"),
    "a key that is no hex": ('[[party]]\nname = "a"\nkey = "xyz"', "'key' is no hex of 32 bytes"),
    "a key that is short": ('[[party]]\nname = "a"\nkey = "0011"', "'key' is no hex of 32 bytes"),
    "a key that is a number": ('[[party]]\nname = "a"\nkey = 11', "'key' is no hex"),
    "an owner that is short": ('owner = "0011"\n[[party]]\nname = "a"', "'owner' is no hex of 32 bytes"),
    "a signature that is short": ('signature = "0011"\n[[party]]\nname = "a"', "'signature' is no hex of 64 bytes"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_and_its_place_named(case):
    text, reason = BAD_FILES[case]
    with pytest.raises(ConfigError) as caught:
        Roster.from_toml(text, source="roster.toml")
    assert reason in str(caught.value)
    assert "roster.toml" in str(caught.value) or case == "no parties"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "roster.toml"
    path.write_text(SIGNED.to_toml(), encoding="utf-8")
    assert Roster.load(path) == SIGNED
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        Roster.load(tmp_path / "missing.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        Roster.load(path)
