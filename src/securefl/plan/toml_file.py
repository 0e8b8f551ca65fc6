"""Reading small TOML files so that a mistake is named by file, key and line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from securefl.errors import ConfigError


def read_table(text: str, *, source: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The top-level table of a TOML text whose keys are all known and of the types given.

    Args:
        text: the file's text.
        source: the file's name, for errors.
        known: type (or tuple of types) by key.

    Raises:
        ConfigError: not TOML, an unknown key, or a value of another type.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}", remedy="correct the line named") from error
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ConfigError(
                f"{source}: unknown key {key!r} in `{line_of(text, key)}`",
                remedy=f"did you mean {near[0]!r}?" if near else "known keys are " + ", ".join(sorted(known)),
            )
        if not isinstance(value, known[key]) or (isinstance(value, bool) and known[key] is not bool):
            raise ConfigError(
                f"{source}: {key!r} is {value!r} in `{line_of(text, key)}`", remedy=f"give {_type_name(known[key])}"
            )
    return table


def line_of(text: str, key: str) -> str:
    """The line that sets a top-level key, as `line N: key = value`; empty when there is none."""
    pattern = re.compile(rf'^\s*(?:\[+\s*)?"?{re.escape(key)}"?\s*[\].=]')
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.match(line):
            return f"line {number}: {line.strip()}"
    return ""


def hex_field(table: Mapping[str, Any], key: str, *, source: str, sizes: Collection[int]) -> bytes:
    """The bytes that a key holds in hex; empty when it is missing.

    Raises:
        ConfigError: not hex, or of another size.
    """
    try:
        value = bytes.fromhex(table.get(key, ""))
    except (ValueError, TypeError):
        value = b"?"
    if len(value) not in sizes:
        raise ConfigError(f"{source}: {key!r} is no hex of {max(sizes)} bytes", remedy="copy it again, whole")
    return value


def _type_name(kind: Any) -> str:
    names = {
        int: "a whole number",
        float: "a number",
        str: "a string in quotes",
        list: "a list",
        bool: "true or false",
        dict: "a table",
    }
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(names.get(one, getattr(one, "__name__", str(one))) for one in kinds)
