from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from securefl.crypto import merkle
from securefl.errors import CryptoError

trees = st.lists(st.binary(max_size=40), min_size=1, max_size=40, unique=True)


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return merkle.sha256(b"\x00", leaves[0])
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle.sha256(b"\x01", slow_root(leaves[:k]), slow_root(leaves[k:]))


def proves(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    try:
        return merkle.root_from_path(leaf, index, size, path) == root
    except CryptoError:
        return False


@given(trees)
def test_root_equals_the_recursive_definition(leaves):
    assert merkle.root(leaves) == slow_root(leaves)


@given(trees)
def test_every_path_leads_to_the_root(leaves):
    root = merkle.root(leaves)
    for index, leaf in enumerate(leaves):
        assert proves(leaf, index, len(leaves), merkle.path(leaves, index), root)


@given(trees, st.data())
def test_a_path_proves_no_other_leaf(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.binary(max_size=70))
    assume(other != leaves[index])
    assert not proves(other, index, len(leaves), merkle.path(leaves, index), merkle.root(leaves))


@given(trees, st.data())
def test_a_path_proves_no_other_index(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(-1, len(leaves)))
    assume(other != index)
    assert not proves(leaves[index], other, len(leaves), merkle.path(leaves, index), merkle.root(leaves))


@given(trees, st.data())
def test_an_altered_path_proves_nothing(leaves, data):
    assume(len(leaves) > 1)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.path(leaves, index)
    place = data.draw(st.integers(0, len(path) - 1))
    bit = data.draw(st.integers(0, 255))
    altered = bytearray(path[place])
    altered[bit // 8] ^= 1 << bit % 8
    path[place] = bytes(altered)
    assert not proves(leaves[index], index, len(leaves), path, merkle.root(leaves))


@given(st.integers(1, 200), st.data())
def test_a_path_is_refused_for_a_size_that_asks_another_length(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = [i.to_bytes(2, "big") for i in range(size)]
    other = data.draw(st.integers(index + 1, 400))
    path = merkle.path(leaves, index)
    assume(len(merkle.path([b""] * other, index)) != len(path))
    with pytest.raises(CryptoError):
        merkle.root_from_path(leaves[index], index, other, path)
