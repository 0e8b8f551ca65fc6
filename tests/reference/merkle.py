"""Merkle tree hash (RFC 9162, section 2.1.1), by its recursive definition."""

from reference.digest import sha256


def root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    split = 1  # the largest power of two below the number of leaves
    while 2 * split < len(leaves):
        split *= 2
    return sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:]))
