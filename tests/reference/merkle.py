"""Merkle trees (RFC 9162, sections 2.1.1 and 2.1.3), by their recursive definitions."""

from reference.digest import sha256
from reference.errors import Refused


def _split(size):
    """The largest power of two below `size`."""
    split = 1
    while 2 * split < size:
        split *= 2
    return split


def _node(left, right):
    return sha256(b"\x01" + left + right)


def root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    split = _split(len(leaves))
    return _node(root(leaves[:split]), root(leaves[split:]))


def path(leaves, place):
    """PATH(m, D_n): the siblings from the leaf up, one bytes object."""
    if len(leaves) == 1:
        return b""
    split = _split(len(leaves))
    if place < split:
        return path(leaves[:split], place) + root(leaves[split:])
    return path(leaves[split:], place - split) + root(leaves[:split])


def root_from_path(leaf, place, size, siblings):
    """The root under which `leaf` stands at `place` of `size`; the path is used up from its end, which is at the root."""
    if not 0 <= place < size:
        raise Refused("no such place")
    if size == 1:
        if siblings:
            raise Refused("the path is too long")
        return sha256(b"\x00" + leaf)
    below, sibling = siblings[:-32], siblings[-32:]
    if len(sibling) < 32:
        raise Refused("the path is too short, or no multiple of 32 bytes")
    split = _split(size)
    if place < split:
        return _node(root_from_path(leaf, place, split, below), sibling)
    return _node(sibling, root_from_path(leaf, place - split, size - split, below))
