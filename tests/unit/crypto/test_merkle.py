from __future__ import annotations

import hashlib

import pytest

from securefl.crypto import merkle
from securefl.errors import CryptoError

# The reference tree of Certificate Transparency (transparency-dev/merkle, testonly/constants.go): the roots of its
# first 0..8 entries.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_certificate_transparency_roots(size):
    assert merkle.root(ENTRIES[:size]).hex() == ROOTS[size]


def test_leaf_hash_is_prefixed():
    assert merkle.leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()


def test_a_node_does_not_pass_as_a_leaf():
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.root([left + right]) != merkle.root([b"a", b"b"])
    assert merkle.root([b"\x01" + left + right]) != merkle.root([b"a", b"b"])


@pytest.mark.parametrize("size", range(1, 34))
def test_paths_of_the_wrong_length_are_refused(size):
    entries = [bytes([i]) for i in range(size)]
    for index in range(size):
        path = merkle.path(entries, index)
        with pytest.raises(CryptoError, match="too long"):
            merkle.root_from_path(entries[index], index, size, [*path, bytes(32)])
        if path:
            with pytest.raises(CryptoError, match="too short"):
                merkle.root_from_path(entries[index], index, size, path[:-1])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_an_index_outside_the_tree_is_refused(index, size):
    entries = [bytes([i]) for i in range(size)]
    with pytest.raises(CryptoError, match="outside"):
        merkle.path(entries, index)
    with pytest.raises(CryptoError, match="outside"):
        merkle.root_from_path(b"x", index, size, [bytes(32)] * 2)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_node_that_is_no_hash_is_refused(length):
    with pytest.raises(CryptoError, match="needs 32"):
        merkle.root_from_path(b"a", 0, 2, [bytes(length)])


def test_a_big_tree_needs_no_recursion():
    entries = [i.to_bytes(4, "big") for i in range(5000)]
    path = merkle.path(entries, 4999)
    assert merkle.root_from_path(entries[4999], 4999, 5000, path) == merkle.root(entries)
