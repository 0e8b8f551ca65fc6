"""Names as weapons: two that look alike, one that is the server's, one that breaks a file or an error message."""

from __future__ import annotations

import pytest

from securefl import ConfigError, Roster
from securefl.plan import Member


@pytest.mark.parametrize(
    "name",
    [
        "server",
        "",
        " ",
        "a ",
        " a",
        "a\n",
        "a\x1b[31m",
        "a\u202eb",
        "a\u200bb",
        "a\ud800",
        "x" * 65,
        "a\x00",
        "\ufeffa",
        "a\u2028b",
    ],
    ids=ascii,
)
def test_a_name_that_garbles_a_message_or_is_the_server_s_is_refused(name):
    """Success: an error names the wrong suspect, or writes to the reader's terminal."""
    with pytest.raises(ConfigError, match="cannot be a party's name"):
        Roster.unsigned(["a", "b", name])


def test_one_name_or_key_twice_is_refused():
    """Success: one party sits at two places, and counts twice towards every threshold."""
    roster, _ = Roster.generate(["a", "b", "c"])
    with pytest.raises(ConfigError, match="twice"):
        Roster.unsigned(["a", "b", "a"])
    with pytest.raises(ConfigError, match="twice"):
        Roster((*roster.members, Member("d", roster.members[0].verify_key)))
    with pytest.raises(ConfigError, match="without an identity key"):
        Roster((*roster.members, Member("d")))


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "Spital Zürich", "病院-3", "[[party]]", "key = 'x'", "a#b"])
def test_a_roster_with_strange_names_is_read_as_it_was_written(name):
    """Success: a name closes its string in the file and brings a party of its own."""
    roster, _ = Roster.generate(["a", name, "c"])
    again = Roster.from_toml(roster.to_toml())
    assert again == roster
    assert again.digest() == roster.digest()


def test_a_roster_with_a_name_beyond_the_basic_plane_can_be_read_again():
    """Success: one party's name makes everybody's roster unreadable."""
    roster, _ = Roster.generate(["a", "🏥", "c"])
    assert Roster.from_toml(roster.to_toml()) == roster


def test_a_roster_s_digest_covers_names_keys_order_and_version():
    """Success: two rosters that differ have one digest, and parties with different rosters share a ctx0."""
    roster, _ = Roster.generate(["ab", "c", "d"])
    members = roster.members
    others = [
        Roster((members[1], members[0], members[2])),
        Roster(members, 2),
        Roster(members[:2]),
        Roster((Member("a", members[0].verify_key), *members[1:])),
        Roster((Member("ab", members[1].verify_key), Member("c", members[0].verify_key), members[2])),
        Roster.unsigned(["ab", "c", "d"]),
        Roster.unsigned(["a", "bc", "d"]),
        Roster.unsigned(["abc", "d"]),
    ]
    assert len({roster.digest(), *(other.digest() for other in others)}) == 9


@pytest.mark.parametrize("name", ["Server", "SERVER", "\uff53erver"])
def test_a_name_that_reads_like_the_server_s_is_refused(name):
    """Success: a party is blamed, or trusted, as the server."""
    with pytest.raises(ConfigError, match="cannot be a party's name"):
        Roster.unsigned([name, "a", "b"])


@pytest.mark.parametrize(("one", "other"), [("Anna", "anna"), ("caf\u00e9", "cafe\u0301"), ("a1", "a\u00b9")])
def test_two_names_that_read_alike_are_refused(one, other):
    """Success: one party is blamed for what the other did."""
    with pytest.raises(ConfigError, match="a name twice"):
        Roster.unsigned([one, other, "b"])
