"""Trees and the names of their leaves: a name is a path, and the names alone rebuild the containers.

Grammar of a path: `/key` enters a dict, `[i]` a list, `(i)` a tuple, and the leading `/` is dropped. The parameters of
`{"layers": [{"w": ..., "b": ...}]}` are thus `layers[0]/b` and `layers[0]/w`, and a bare array is the empty name.
Characters that belong to the grammar, or that would garble a message, are written `%hex;` inside a key, and an empty
key is `%;`: no two trees share their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from securefl.errors import EncodingError
from securefl.types import Tree

MAX_NAME: Final = 1024
"""Longest name of a leaf, in characters."""

MAX_DEPTH: Final = 32
"""Most containers around one leaf; keeps the recursion over names that came off the wire shallow."""

# Fixed here, and not taken from `str.isprintable`, which changes with Python's Unicode tables: names enter digests.
_ESCAPED = re.compile(r"[%/\[\]()\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPE = re.compile(r"%([0-9a-f]{0,6});")
_SEGMENT = re.compile(r"/(?P<dict>[^/\[\]()]+)|\[(?P<list>[0-9]+)\]|\((?P<tuple>[0-9]+)\)")


class _Segment(NamedTuple):
    """One step of a path: the kind of container that is entered, and where."""

    kind: str
    key: str


def walk(tree: Tree, is_leaf: Callable[[Any], bool] = lambda _: False) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each leaf, dict keys sorted, so that insertion order never matters.

    Args:
        tree: nested mappings, lists and tuples (a named tuple counts as a plain one); all else is a leaf.
        is_leaf: what to take as a leaf although it is a container.

    Raises:
        EncodingError: an empty container, which no leaf's name would keep; a key that is no string; a name or a nesting
            beyond `MAX_NAME` or `MAX_DEPTH` (a tree that contains itself ends here, too).
    """
    for path, leaf in _walk(tree, "", 0, is_leaf):
        yield _name(path), leaf


def build(names: Sequence[str], values: Iterable[Any]) -> Tree:
    """Rebuild the tree whose leaves have these names: the inverse of `walk`, in plain dicts, lists and tuples.

    Args:
        names: as `walk` yields them, in that order; at least one.
        values: one leaf for each.

    Raises:
        EncodingError: names that are not exactly those of one tree, in its order; they may come off the wire.
    """
    if not names:
        raise EncodingError("a tree without leaves", remedy="give at least one array")
    # Values are set in last: only positions are walked below, so a value that is itself a container does no harm.
    positions = _build([(_parse(name), index) for index, name in enumerate(names)], 0)
    for name, canonical in zip_longest(names, (name for name, _ in walk(positions))):
        if name != canonical:
            raise _malformed(name or "", "nothing is to come there" if canonical is None else f"expected {canonical!r}")
    return _fill(positions, list(values))


def _walk(node: Any, path: str, depth: int, is_leaf: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH or len(_name(path)) > MAX_NAME:
        raise EncodingError(
            f"{path[:80]!r}... is nested deeper than {MAX_DEPTH} levels or named by more than {MAX_NAME} characters",
            tensor=_name(path)[:MAX_NAME],
            remedy="flatten the tree or shorten its keys",
        )
    children = None if is_leaf(node) else _children(node, path)
    if children is None:
        yield path, node
        return
    if not children:
        raise EncodingError(
            f"empty {type(node).__name__} at {_place(path)}",
            tensor=_name(path),
            remedy="leave it out: a container without leaves would be lost on the way",
        )
    for segment, child in children:
        yield from _walk(child, path + segment, depth + 1, is_leaf)


def _children(node: Any, path: str) -> list[tuple[str, Any]] | None:
    """Return the children of a container with their segments of the path, or None for a leaf."""
    if isinstance(node, Mapping):
        for key in node:
            if not isinstance(key, str):
                raise EncodingError(
                    f"key {key!r} at {_place(path)} is of type {type(key).__name__}",
                    tensor=_name(path),
                    remedy="use strings as keys",
                )
        return [(f"/{_escape(key)}", node[key]) for key in sorted(node)]
    if isinstance(node, list):
        return [(f"[{index}]", child) for index, child in enumerate(node)]
    if isinstance(node, tuple):
        return [(f"({index})", child) for index, child in enumerate(node)]
    return None


def _build(entries: list[tuple[list[_Segment], int]], depth: int) -> Tree:
    """Rebuild containers leniently: `build` compares the names of the result with those that were given."""
    groups: dict[_Segment, list[tuple[list[_Segment], int]]] = {}
    for path, position in entries:
        if len(path) == depth:
            return position
        groups.setdefault(path[depth], []).append((path, position))
    children = {segment.key: _build(group, depth + 1) for segment, group in groups.items()}
    match next(iter(groups)).kind:
        case "dict":
            return {_unescape(key): child for key, child in children.items()}
        case "list":
            return list(children.values())
        case _:
            return tuple(children.values())


def _fill(node: Tree, values: list[Any]) -> Tree:
    if isinstance(node, dict):
        return {key: _fill(child, values) for key, child in node.items()}
    if isinstance(node, list):
        return [_fill(child, values) for child in node]
    if isinstance(node, tuple):
        return tuple(_fill(child, values) for child in node)
    return values[node]


def _parse(name: str) -> list[_Segment]:
    path = name if name == "" or name[0] in "/[(" else f"/{name}"
    segments: list[_Segment] = []
    end = 0
    while end < len(path):
        match = _SEGMENT.match(path, end)
        if match is None or match.lastgroup is None:
            raise _malformed(name, f"no path can go on with {path[end : end + 20]!r}")
        segments.append(_Segment(match.lastgroup, match[match.lastgroup]))
        end = match.end()
    if len(name) > MAX_NAME or len(segments) > MAX_DEPTH:
        raise _malformed(name, f"more than {MAX_NAME} characters or {MAX_DEPTH} levels")
    return segments


def _escape(key: str) -> str:
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):x};", key) or "%;"


def _unescape(text: str) -> str:
    try:
        return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "", text)
    except ValueError as error:
        raise _malformed(text, "an escape beyond Unicode") from error


def _malformed(name: str, why: str) -> EncodingError:
    return EncodingError(f"leaf name {name[:80]!r} is not one of a tree in order: {why}", tensor=name[:MAX_NAME])


def _name(path: str) -> str:
    return path.removeprefix("/")  # a key's segment is never empty, so this stays unambiguous


def _place(path: str) -> str:
    return repr(_name(path)) if path else "the root"
