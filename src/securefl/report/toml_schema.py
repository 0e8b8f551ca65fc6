"""TOML files of several tables, checked against a type; a mistake is named by file, table, key, line and value."""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from securefl.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)

_ERROR = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_WORDS = {
    " | null": "",
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "text in quotes",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "a [table]",
}


def convert(text: str, *, source: str, shape: type[T]) -> T:
    """Read a TOML text into a struct whose fields are tables, themselves structs.

    Args:
        text: the file's text.
        source: the file's name, for errors.
        shape: the struct.

    Raises:
        ConfigError: not TOML, an unknown table or key, or a value of another type or out of its range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}", remedy="correct the line named") from error
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise _explained(str(error), document, text, source, shape) from None


def _explained(
    error: str, document: Mapping[str, Any], text: str, source: str, shape: type[msgspec.Struct]
) -> ConfigError:
    """Say in the file's own terms what msgspec says in those of types and paths."""
    match = _ERROR.match(error)
    what, path = (match["what"], match["path"] or "") if match else (error, "")
    table, _, key = re.sub(r"\[.*", "", path).partition(".")
    if "unknown field" in what:
        return _unknown(what.split("`")[1], table, text, source, shape)
    value = document[table][key] if key else document[table]
    place = f"{source}: {f'{table}.{key}' if key else f'[{table}]'} is {value!r}{_quoted(text, table, key)}"
    choices = _choices(_fields(shape, table)[key]) if key else ()
    if choices and ("enum" in what or "`str`" in what):
        given = value if isinstance(value, list) else [value]
        wrong = next((item for item in given if item not in choices), value)
        near = difflib.get_close_matches(str(wrong), choices, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return ConfigError(place, remedy=f"{hint}known are " + ", ".join(repr(choice) for choice in choices))
    needs = what.removeprefix("Expected ").split(", got")[0]
    for word, meaning in _WORDS.items():
        needs = needs.replace(word, meaning)
    return ConfigError(place, remedy=f"give {needs}")


def _unknown(name: str, table: str, text: str, source: str, shape: type[msgspec.Struct]) -> ConfigError:
    known = _fields(shape, table) if table else _fields(shape)
    homes = [home for home in _fields(shape) if name in _fields(shape, home)]
    if near := difflib.get_close_matches(name, known, n=1):
        remedy = f"did you mean {near[0]!r}?"
    elif homes:
        remedy = f"it belongs in [{homes[0]}]"
    else:
        remedy = f"known {'keys' if table else 'tables'} are " + ", ".join(sorted(known))
    key = f"{table}.{name}" if table else name
    place = f"unknown key {key}" if table or homes else f"unknown table [{name}]"
    return ConfigError(f"{source}: {place}{_quoted(text, table, name)}", remedy=remedy)


def _fields(shape: type[msgspec.Struct], table: str = "") -> dict[str, Any]:
    """The fields of the struct, or of one of its tables, and their types."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    return _fields(fields[table]) if table else fields


def _choices(kind: Any) -> tuple[str, ...]:
    """The texts that a `Literal`, or a tuple of one, admits; none for other types."""
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return parts
    return next((found for part in parts if (found := _choices(part))), ())


def _quoted(text: str, table: str, key: str) -> str:
    for number, line in _lines_of(text, table, key):
        return f" (line {number}: `{line}`)"
    return ""


def _lines_of(text: str, table: str, key: str) -> Iterable[tuple[int, str]]:
    """Lines that set `table.key`, or open `[table]` when there is no key, or set a key or table at the top."""
    name = re.escape(key or table)
    assigned = re.compile(rf"""["']?{name}["']?\s*[.=]""")
    dotted = re.compile(rf"""{re.escape(table)}\s*(?:\.\s*{re.escape(key)}\s*=|=\s*\{{.*\b{re.escape(key)}\b)""")
    current = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if header := re.match(r"""\[+\s*["']?([^\]"']+?)["']?\s*\]""", line):
            current = header[1]
            wanted = f"{table}.{key}" if table and key else key or table
            if f"{current}.".startswith(f"{wanted}."):
                yield number, line
        elif (current == (table if key else "") and assigned.match(line)) or (
            table and not current and dotted.match(line)
        ):
            yield number, line
