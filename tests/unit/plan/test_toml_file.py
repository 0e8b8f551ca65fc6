from __future__ import annotations

import pytest

from securefl.errors import ConfigError
from securefl.plan.toml_file import hex_field, line_of, read_table

KNOWN = {"rounds": int, "rate": (int, float), "name": str, "flag": bool, "list": list}


def test_what_is_known_and_of_its_type_is_read():
    text = 'rounds = 3\nrate = 1\nname = "n"\nflag = true\nlist = [1]\n'
    assert read_table(text, source="f", known=KNOWN) == {
        "rounds": 3,
        "rate": 1,
        "name": "n",
        "flag": True,
        "list": [1],
    }


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ('rounds = "3"', "a whole number"),
        ("rounds = 3.0", "a whole number"),
        ("rounds = true", "a whole number"),
        ("rate = true", "a whole number or a number"),
        ("name = 3", "a string in quotes"),
        ("flag = 1", "true or false"),
        ("list = 1", "a list"),
        ("[rounds]", "a whole number"),
    ],
)
def test_a_value_of_another_type_is_named_by_file_key_and_line(line, needs):
    with pytest.raises(ConfigError) as caught:
        read_table(f"# a comment\n\n{line}\n", source="run.toml", known=KNOWN)
    key = line.strip("[]").split(" ", maxsplit=1)[0]
    assert f"run.toml: {key!r}" in caught.value.message
    assert f"line 3: {line}" in caught.value.message
    assert needs in caught.value.remedy


def test_an_unknown_key_is_named_with_the_nearest_or_all():
    with pytest.raises(ConfigError, match=r"unknown key 'round' in `line 1: round = 1`.*did you mean 'rounds'"):
        read_table("round = 1", source="f", known=KNOWN)
    with pytest.raises(ConfigError, match=r"known keys are flag, list, name, rate, rounds"):
        read_table("zzz = 1", source="f", known=KNOWN)


def test_a_syntax_error_is_named_by_line():
    with pytest.raises(ConfigError, match=r"f is not TOML: .*line 2"):
        read_table("rounds = 1\nname = \n", source="f", known=KNOWN)
    with pytest.raises(ConfigError, match="not TOML"):
        read_table("rounds = 1\nrounds = 2\n", source="f", known=KNOWN)


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("a = 1\nb = 2", "b", "line 2: b = 2"),
        ("ab = 1\nb = 2", "b", "line 2: b = 2"),
        ('"b" = 2', "b", 'line 1: "b" = 2'),
        ("  b=2", "b", "line 1: b=2"),
        ("[b]\nx = 1", "b", "line 1: [b]"),
        ("[[b]]", "b", "line 1: [[b]]"),
        ("b.c = 1", "b", "line 1: b.c = 1"),
        ("# b = 1", "b", ""),
        ("abx = 1", "a.x", ""),
        ("", "b", ""),
    ],
)
def test_the_line_that_sets_a_key_is_found(text, key, found):
    assert line_of(text, key) == found


def test_hex_is_read_whole_or_not_at_all():
    assert hex_field({}, "k", source="f", sizes={0, 2}) == b""
    assert hex_field({"k": "00ff"}, "k", source="f", sizes={0, 2}) == b"\x00\xff"
    for value in ("0", "00", "00ff00", "zz", 12, ["00"]):
        with pytest.raises(ConfigError, match="f: 'k' is no hex of 2 bytes"):
            hex_field({"k": value}, "k", source="f", sizes={0, 2})
    with pytest.raises(ConfigError):
        hex_field({}, "k", source="f", sizes={2})
