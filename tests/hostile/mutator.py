"""The mutator: a few changes at any depth of a message, which is then sealed again by whoever may seal it, or is not.

What is decided comes from `Choices`: from hypothesis, which shrinks it, from a seed, or from a fuzzer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from hostile.choices import Choices
from hostile.pens import BODY, FIELDS, KIND, ROUND, SENDER, SESSION, mend, opened, seal_again, written
from hostile.tree import Blob, Pairs, Raw, Wide, pack, places
from hostile.worlds import Scene, worlds
from securefl.wire.envelope import SERVER_INDEX
from securefl.wire.messages import Kind

INTEGERS = (
    0, 1, -1, 2, 3, 7, 8, 9, 15, 16, 127, 128, 255, 256, -33, -129, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, 1 << 52, 1 << 53, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 31), -(1 << 63), 32768, 10_000, 1000, 200, 64, 63, 65,
)  # fmt: skip
SIZES = (0, 1, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 511, 512, 513, 3612, 3613, 8191, 8192, 8193)
LONG = (1 << 14, 1 << 16, 1 << 17, 1 << 20, (1 << 20) + 1, 1 << 21)
FLOATS = (0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2047.5)
TEXTS = (
    "", "x", "self_mask", "mask_key", "active", "semi-honest", "complete", "k-regular", "secagg", "\0", "x" * 17, "é" * 40, "\ud800",
    "float32", "w/0",
)  # fmt: skip
HUGE = (
    b"\xdd\xff\xff\xff\xff", b"\xdd\x80\x00\x00\x00", b"\xdd\x01\x00\x00\x00", b"\xdc\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xde\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xc6\x00\x20\x00\x00", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x05", b"\xc9\x00\x00\x00\x01\xff\x00",
)  # fmt: skip
ODD = (
    b"\xc1", b"\xc7\x01\x05\x00", b"\xd4\x05\x00", b"\xd6\xff\x00\x00\x00\x00", b"\xc7\x0c\xff" + bytes(12),
    b"\xca\x3f\x80\x00\x00", b"\xa1\xff", b"",
)  # fmt: skip
DEPTHS = (1, 2, 15, 100, 500, 1100, 5000, 100_000)

Op = Callable[[Scene, list[Any], list[Any], int, Choices], None]
"""(scene, whole tree, the list that holds a value, its index there, choices)."""


def value(choices: Choices) -> Any:
    """Anything."""
    match choices.below(9):
        case 0:
            return choices.one_of(INTEGERS)
        case 1:
            return bytes(choices.one_of(SIZES))
        case 2:
            return choices.one_of(TEXTS)
        case 3:
            return None
        case 4:
            return choices.one_of((True, False))
        case 5:
            return choices.one_of(FLOATS)
        case 6:
            return [0] * choices.below(20)
        case 7:
            return Pairs([[choices.one_of(INTEGERS), choices.one_of(TEXTS)]] * choices.below(3))
        case _:
            return Raw(choices.one_of(ODD))


def _replace(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    held[at] = value(choices)


def _near(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """A value of the same type, nearby or extreme."""
    old = held[at]
    match old:
        case bool():
            held[at] = not old
        case int():
            near = (old + 1, old - 1, old ^ 1, old * 2, old ^ (1 << choices.below(64)), -old)
            held[at] = choices.one_of(near) if choices.chance(60) else choices.one_of(INTEGERS)
        case float():
            held[at] = choices.one_of(FLOATS)
        case str():
            held[at] = choices.one_of((*TEXTS, old + "x", old[:-1], old.upper(), old + "\0"))
        case bytes():
            held[at] = _near_bytes(old, choices)
        case Blob():
            inner = old.inner()
            held[at] = _near_bytes(inner, choices) if choices.chance(50) else _torn(inner, choices)
        case _:
            held[at] = value(choices)


def _near_bytes(old: bytes, choices: Choices) -> bytes:
    match choices.below(10):
        case 0 if old:
            copy = bytearray(old)
            bit = choices.below(8 * len(old))
            copy[bit // 8] ^= 1 << bit % 8
            return bytes(copy)
        case 8 | 9 if old:  # in a short bit map: another set
            copy = bytearray(old)
            copy[choices.below(len(old))] = choices.below(256)
            return bytes(copy)
        case 1:
            return old[:-1]
        case 2:
            return old + b"\0"
        case 3:
            return bytes(len(old))
        case 4:
            return b"\xff" * len(old)
        case 5:
            size = choices.one_of(SIZES)
            return (old + bytes(size))[:size]
        case 6:
            return old + old
        case _:
            return old[: choices.below(len(old) + 1)]


def _long(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """Very long bytes, text or lists, within bounds and beyond them."""
    size = choices.one_of(LONG) if choices.chance(20) else choices.one_of(SIZES)
    old = held[at]
    if isinstance(old, str):
        held[at] = "x" * size
    elif isinstance(old, list) and not isinstance(old, Blob):
        item = pack(old[choices.below(len(old))]) if old else b"\xc0"
        count = min(size, (1 << 20) // max(len(item), 1))
        head = b"\xdc" + count.to_bytes(2, "big") if count < 1 << 16 else b"\xdd" + count.to_bytes(4, "big")
        held[at] = Raw(head + item * count)
    else:
        held[at] = bytes(size)


def _delete(_s: Scene, _t: list[Any], held: list[Any], at: int, _c: Choices) -> None:
    del held[at]


def _insert(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    held.insert(at + choices.below(2), value(choices))


def _double(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    held.insert(len(held) if choices.chance(50) else at, held[at])


def _reorder(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    if choices.chance(40):
        held.reverse()
        return
    other = choices.below(len(held))
    held[at], held[other] = held[other], held[at]


def _retype(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """The same thing as another type."""
    old = held[at]
    if isinstance(old, Blob):
        held[at] = choices.one_of((old[0], old.inner().decode("latin-1"), list(old.inner()[:64]))) if old else []
    elif isinstance(old, bool | None):
        held[at] = choices.one_of((0, 1, b"", "", []))
    elif isinstance(old, int):
        held[at] = choices.one_of(
            (float(old), str(old), bool(old), [old], old.to_bytes(9, "big", signed=True), Raw(b"\xc0"))
        )
    elif isinstance(old, bytes):
        held[at] = choices.one_of(
            (old.decode("latin-1"), list(old[:64]), Raw(b"\xc7" + bytes([len(old) % 256, 5]) + old[:255]))
        )
    elif isinstance(old, str):
        held[at] = choices.one_of((old.encode("utf-8", "replace"), list(old[:64]), 0))
    elif isinstance(old, list):
        held[at] = (
            Pairs([[index, item] for index, item in enumerate(old)])
            if choices.chance(50)
            else (old[0] if old else {}.get(0))
        )
    else:
        held[at] = 0


def _widen(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    held[at] = Wide(held[at], choices.below(2))


def _promise(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """A header that promises more than ever comes."""
    tail = pack(held[at]) if choices.chance(50) else b""
    held[at] = Raw(choices.one_of(HUGE) + tail)


def _nest(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    depth = choices.one_of(DEPTHS)
    level = choices.one_of((b"\x91", b"\x81\x00", b"\xdc\x00\x01"))
    held[at] = Raw(level * depth + pack(held[at]))


def _graft(scene: Scene, tree: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """A part of another message: of another party, round, kind or session."""
    try:
        donor = opened(scene, choices.one_of(donors(scene)))
    except ValueError:
        return
    mine = list(places(tree))
    theirs = list(places(donor))
    same = next((index for index, (list_, i) in enumerate(mine) if list_ is held and i == at), 0)
    place = same if choices.chance(60) and same < len(theirs) else choices.below(len(theirs))
    list_, index = theirs[place]
    held[at] = list_[index]


def _alike(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """A sibling's or a cousin's value: the same key twice, a share for another."""
    kin = [item for item in held if type(item) is type(held[at])]
    for item in kin:
        if isinstance(item, list) and isinstance(held[at], list) and item is not held[at] and item and held[at]:
            spot = choices.below(len(held[at]))
            held[at][spot] = item[spot % len(item)]
            return
    held[at] = choices.one_of(kin)


def _header(scene: Scene, tree: list[Any], _h: list[Any], _a: int, choices: Choices) -> None:
    """Another kind, session, round or sender."""
    if len(tree) != FIELDS:
        return
    match choices.below(4):
        case 0:
            tree[KIND] = choices.below(11)
        case 1:
            tree[SESSION] = choices.one_of((bytes(16), b"another session!", scene.world.session))
        case 2:
            tree[ROUND] = choices.one_of((0, 1, 2, 3, (1 << 32) - 1))
        case _:
            tree[SENDER] = choices.one_of((*range(scene.world.n + 1), SERVER_INDEX))


def _inflate(scene: Scene, tree: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """A plan whose numbers go together at another magnitude; what takes long to check is checked late."""
    if len(tree) != FIELDS or tree[KIND] != Kind.INVITE:
        _near(scene, tree, held, at, choices)
        return
    try:
        plan = tree[BODY][0][0][0]
        n = choices.one_of((scene.world.n, scene.world.n, 200, 1000, 65536))
        parts = (n // 2, n // 3, n - 1, n - 2, n // 20, 2, 1, 0)
        threshold, colluders, floor, neighbours = (choices.one_of(parts) for _ in range(4))
        plan[3] = choices.one_of(("k-regular", "complete"))
        plan[4:9] = [n, threshold, colluders, n - floor, neighbours // 2 * 2]
        plan[10] = choices.one_of((plan[10], 64))
        if choices.chance(30):
            plan[16] = [
                [f"w/{i}", [choices.one_of(INTEGERS)] * choices.below(33), "float32"] for i in range(choices.below(40))
            ]
    except (IndexError, TypeError):
        return


SETS = {Kind.SURVIVORS: 0, Kind.UNMASK: 0, Kind.MASKED_INPUT: 1}
"""Where a message holds a set of parties."""


def _members(scene: Scene, tree: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """Another set of parties, as well formed as the first."""
    try:
        body, place = tree[BODY][0], SETS[tree[KIND]]
        copy = bytearray(b"" + body[place])  # of a number it would be that many bytes
        for _ in range(1 + choices.below(3)):
            party = choices.below(scene.world.n)
            copy[party // 8] ^= 1 << party % 8
        body[place] = bytes(copy)
    except (IndexError, KeyError, TypeError, ValueError):
        _near(scene, tree, held, at, choices)


def _trail(_s: Scene, _t: list[Any], held: list[Any], at: int, choices: Choices) -> None:
    """More bytes after a value."""
    held[at] = Raw(pack(held[at]) + choices.one_of((b"\0", b"\xc0", b"\x90", bytes(100), pack(held[at]))))


OPS: tuple[Op, ...] = (
    _near, _near, _near, _replace, _delete, _insert, _double, _reorder, _retype, _widen, _promise, _nest, _long, _graft, _graft, _alike,
    _header, _trail, _inflate, _inflate, _members, _members,
)  # fmt: skip


def donors(scene: Scene) -> list[bytes]:
    """Messages of the same record, both rounds, and of other worlds: other plans, rosters, sessions."""
    return _donors()[scene.world.name]


@functools.cache
def _donors() -> dict[str, list[bytes]]:
    strangers = [data for world in worlds() for data in world.library[::5]]
    return {world.name: world.library + strangers for world in worlds()}


def base(scene: Scene, choices: Choices) -> bytes:
    """The message to begin with: mostly one that is due."""
    if choices.chance(25):
        return choices.one_of(donors(scene))
    return choices.one_of(scene.due)


def mutate(scene: Scene, data: bytes, choices: Choices) -> bytes:
    """Another message, and none of the genuine ones that are due; see `_mutated`."""
    mutated = _mutated(scene, data, choices)
    return _torn(mutated, choices) + b"\0" if mutated in scene.due else mutated


def _mutated(scene: Scene, data: bytes, choices: Choices) -> bytes:
    """A message with some changes, sealed again or not.

    Args:
        scene: what is attacked; it decides who may seal.
        data: a message, genuine or mutated before.
        choices: what is changed.
    """
    how = choices.below(20)
    if how == 19:
        return _torn(data, choices)
    try:
        tree = opened(scene, data)
    except ValueError:
        return _torn(data, choices)
    if how >= 17 and len(tree) == FIELDS and isinstance(tree[BODY], Blob):
        tree[BODY] = _torn(tree[BODY].inner(), choices)
        seal_again(scene, tree)
        return written(tree)
    if choices.chance(30):
        _adopt(scene, tree)
    for _ in range(1 + choices.below(4) * choices.below(2)):
        _step(scene, tree, choices)
        if not tree:
            return written(tree)
    if how < 15:
        if choices.chance(60):
            mend(scene, tree, choices)
        seal_again(scene, tree)
    return written(tree)


def _step(scene: Scene, tree: list[Any], choices: Choices) -> None:
    spots = list(places(tree))
    # Mostly below the envelope: its seven fields are few, and their checks come first.
    inner = [spot for spot in spots if spot[0] is not tree and not isinstance(spot[0], Blob)]
    held, at = choices.one_of(inner) if inner and not choices.chance(15) else choices.one_of(spots)
    choices.one_of(OPS)(scene, tree, held, at, choices)


def _adopt(scene: Scene, tree: list[Any]) -> None:
    """Give a message the header of one that is due."""
    if len(tree) == FIELDS:
        due = opened(scene, scene.due[0])
        tree[SESSION:BODY] = due[SESSION:BODY]


def _torn(data: bytes, choices: Choices) -> bytes:
    """Damage that knows nothing of the format."""
    copy = bytearray(data)
    for _ in range(1 + choices.below(3)):
        place = choices.below(len(copy) + 1)
        match choices.below(7):
            case 0 if place < len(copy):
                copy[place] ^= 1 << choices.below(8)
            case 1:
                del copy[place:]
            case 2:
                copy[place:place] = bytes([choices.below(256)])
            case 3:
                del copy[place : place + 1 + choices.below(8)]
            case 4:
                copy += copy[place:]
            case 5:
                copy[place:place] = choices.one_of(HUGE)
            case _ if place < len(copy):
                copy[place] = choices.one_of((0, 0x80, 0x90, 0xC0, 0xC1, 0xC4, 0xCA, 0xCF, 0xDC, 0xDD, 0xFF))
    return bytes(copy)


__all__ = ["OPS", "base", "mutate"]
