"""Merkle trees: one hash that commits to a list, and short proofs that an entry is in its place.

Source: RFC 9162, section 2.1 (SHA-256; 0x00 before leaves, 0x01 before inner nodes, so that neither passes as the
other).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from securefl.crypto.digest import DIGEST_BYTES, sha256
from securefl.errors import CryptoError

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Return the 32-byte hash of one entry."""
    return sha256(_LEAF, data)


class Tree:
    """The tree over a list of entries, hashed once, for its root and any number of paths.

    Args:
        leaves: the entries themselves, not their hashes.

    Attributes:
        root: the 32-byte tree hash.

    Source: RFC 9162, sections 2.1.1 and 2.1.3.1.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = list(_levels(leaves))
        self.root = self._levels[-1][0] if leaves else sha256()

    def path(self, index: int) -> list[bytes]:
        """Return the 32-byte siblings on the way from entry `index` to the root, lowest first.

        Raises:
            CryptoError: there is no such entry.
        """
        _check_index(index, len(self._levels[0]))
        siblings = []
        for level in self._levels:
            if index ^ 1 < len(level):  # the last of an odd level rises alone
                siblings.append(level[index ^ 1])
            index >>= 1
        return siblings


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the 32-byte tree hash of the entries, which are hashed here.

    Source: RFC 9162, section 2.1.1.
    """
    return Tree(leaves).root


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the path of one entry; see `Tree.path`."""
    return Tree(leaves).path(index)


def root_from_path(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], *, memo: dict[bytes, bytes] | None = None
) -> bytes:
    """Return the root under which `leaf` is entry `index` of `size`; the caller compares it with the root it trusts.

    Args:
        leaf: the entry itself, not its hash.
        index: its place, from 0.
        size: number of entries in the tree.
        path: the siblings, as `path` returns them.
        memo: inner nodes by the pair below them, kept from path to path of one tree: near the root these meet.

    Raises:
        CryptoError: the index is outside the tree, or the path has not the length or the shape that index and size ask.

    Source: RFC 9162, section 2.1.3.2.
    """
    _check_index(index, size)
    node, last = leaf_hash(leaf), size - 1
    for sibling in path:
        if len(sibling) != DIGEST_BYTES:
            raise CryptoError(f"a node of a Merkle path has {len(sibling)} bytes, needs {DIGEST_BYTES}")
        if last == 0:
            raise CryptoError(f"a Merkle path of {len(path)} nodes is too long for a tree of {size} entries")
        while index == last and not index & 1:  # rises alone: no sibling on this level
            index, last = index >> 1, last >> 1
        pair = sibling + node if index & 1 else node + sibling
        above = memo.get(pair) if memo is not None else None
        node = sha256(_NODE, pair) if above is None else above
        if memo is not None:
            memo[pair] = node
        index, last = index >> 1, last >> 1
    if last:
        raise CryptoError(f"a Merkle path of {len(path)} nodes is too short for a tree of {size} entries")
    return node


def _levels(leaves: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield the tree from the leaf hashes to the root; pairing neighbours gives the RFC's split at a power of two."""
    level = [leaf_hash(leaf) for leaf in leaves]
    yield level
    while len(level) > 1:
        pairs = [sha256(_NODE, left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
        yield level


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise CryptoError(f"entry {index} is outside a Merkle tree of {size} entries")
