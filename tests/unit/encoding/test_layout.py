"""Layouts by example: names, digests, mismatches, and what is refused."""

import collections
import hashlib
import struct
import types

import numpy as np
import pytest

from securefl.encoding import Layout, Leaf, tree_digest
from securefl.encoding import layout as module
from securefl.errors import EncodingError, LayoutMismatchError

BOOL = ((), "bool")
LAYOUT = Layout.from_template({"w": ((2, 3), "float32"), "b": ((3,), "int64")})


def names(tree):
    return [leaf.name for leaf in Layout.of(tree).leaves]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (1.0, [""]),
        ({"w": 1.0, "b": 1.0}, ["b", "w"]),
        ({"layers": [{"w": 1.0}, (1.0, 2.0)]}, ["layers[0]/w", "layers[1](0)", "layers[1](1)"]),
        ([1.0, [2.0]], ["[0]", "[1][0]"]),
        (({"": 1.0},), ["(0)/%;"]),
        ({"": 1.0}, ["%;"]),
        ({"a/b": 1.0, "conv.0": 1.0, "[0]": 1.0}, ["%5b;0%5d;", "a%2f;b", "conv.0"]),
        (list(range(11)), [f"[{i}]" for i in range(11)]),
    ],
)
def test_a_name_is_the_path(tree, expected):
    assert names(tree) == expected


def test_python_numbers_are_0d_arrays():
    leaves = Layout.of({"b": True, "f": 1.5, "i": 3, "n": np.float16(2)}).leaves
    assert [(leaf.shape, leaf.dtype) for leaf in leaves] == [((), d) for d in ("bool", "float64", "int64", "float16")]


def test_mappings_and_named_tuples_come_back_plain():
    pair = collections.namedtuple("pair", "x y")  # noqa: PYI024
    tree = types.MappingProxyType({"p": pair(np.zeros(1), np.ones(1))})
    layout = Layout.of(tree)
    back = layout.unflatten(layout.arrays(tree))
    assert type(back) is dict
    assert type(back["p"]) is tuple


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({}, "the root"),
        ({"a": {"b": []}}, "'a/b'"),
        ({"a": ()}, "'a'"),
        ({"a": {1: 1.0}}, "'a'"),
        ({"a": None}, "'a'"),
        ({"a": "text"}, "'a'"),
        ({"a": b"bytes"}, "'a'"),
        ({"a": 1j}, "'a'"),
        ({"a": 2**63}, "'a'"),
        ({"a": np.array([None])}, "'a'"),
        ({"a": np.array(["x"])}, "'a'"),
        ({"a": np.zeros(1, complex)}, "'a'"),
        ({"a": np.zeros(1, "datetime64[s]")}, "'a'"),
        ({"a": np.zeros(1, np.longdouble)}, "'a'"),
        ({"a": np.zeros(1, "f4,i4")}, "'a'"),
        ({"a": np.ma.masked_array([1.0], mask=[True])}, "'a'"),
    ],
)
def test_what_cannot_be_a_tree_is_refused_by_place(tree, place):
    with pytest.raises(EncodingError, match=place):
        Layout.of(tree)


def test_a_tree_that_contains_itself_is_refused():
    tree: list[object] = []
    tree += [tree, tree]
    with pytest.raises(EncodingError, match="deeper than 32"):
        Layout.of(tree)


def test_the_longest_name_is_accepted_and_one_more_character_refused():
    assert names({"k" * 1024: 1.0}) == ["k" * 1024]
    with pytest.raises(EncodingError, match="1024"):
        Layout.of({"k" * 1025: 1.0})


@pytest.mark.parametrize(
    "bad",
    [
        ["a", "a"],
        ["b", "a"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["[1]"],
        ["[0]", "[2]"],
        ["[0]", "(1)"],
        ["[00]"],
        ["[0]", "a"],
        ["", "a"],
        ["/a"],
        ["a/"],
        ["a//b"],
        ["a["],
        ["a[x]"],
        ["%61;"],
        ["a%"],
        ["%110000;"],
        ["\ud800"],
        ["[0]" * 33],
        ["a" * 1025],
        [],
    ],
)
def test_names_of_no_tree_are_refused(bad):
    with pytest.raises(EncodingError):
        Layout(tuple(Leaf(name, *BOOL) for name in bad))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((-1,), "bool"),
        ((1.0,), "bool"),
        ((True,), "bool"),
        ([1], "bool"),
        ((1,) * 33, "bool"),
        ((2**40,), "bool"),
        ((0, 2**20, 2**20), "bool"),
        ((1,), "object"),
        ((1,), ">f4"),
        ((1,), "longdouble"),
    ],
)
def test_a_malformed_leaf_is_refused(shape, dtype):
    with pytest.raises(EncodingError, match="leaf 'w'"):
        Leaf("w", shape, dtype)


def test_a_layout_is_bounded_in_size_and_leaves(monkeypatch):
    with pytest.raises(EncodingError, match=r"2\^40"):
        Layout((Leaf("a", (2**39,), "bool"), Leaf("b", (2**39,), "bool")))
    monkeypatch.setattr(module, "MAX_NAMES", 10)
    Layout.of({"k" * 10: 1.0})
    with pytest.raises(EncodingError, match="in all"):
        Layout.of({"k" * 6: 1.0, "l" * 5: 1.0})
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_STEPS", 4)
    Layout.of({"k": [[1.0], [2.0]]})
    with pytest.raises(EncodingError, match="4 steps in all"):
        Layout.of({"k": [[1.0], [2.0], 3.0]})
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_LEAVES", 2)
    Layout.of([1.0, 2.0])
    with pytest.raises(EncodingError, match="3 leaves"):
        Layout.of([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("tree", "leaf", "came"),
    [
        ({"w": np.zeros((2, 3), "f4")}, "b", "no such leaf"),
        ({"B": np.zeros(3, int), "w": np.zeros((2, 3), "f4")}, "b", "the tree has 'B'"),
        ({"b": np.zeros(3, int), "w": np.zeros((2, 3), "f4"), "x": 1.0}, "x", "expected no such leaf"),
        (
            {"b": np.zeros(3, int), "w": np.zeros((3, 2), "f4")},
            "w",
            r"expected float32 .*\(2, 3\), came shape \(3, 2\)",
        ),
        ({"b": np.zeros(3, int), "w": np.zeros((2, 3))}, "w", r"came dtype float64\. .*astype\('float32'\)"),
    ],
)
def test_a_mismatch_names_the_first_leaf_and_the_remedy(tree, leaf, came):
    with pytest.raises(LayoutMismatchError, match=came) as caught:
        LAYOUT.arrays(tree)
    assert caught.value.tensor == leaf
    assert "Remedy" in str(caught.value)


def test_unflatten_takes_flat_arrays_and_refuses_others():
    back = LAYOUT.unflatten([np.arange(3), np.arange(6.0)])
    assert back["w"].shape == (2, 3)
    with pytest.raises(LayoutMismatchError, match="'w'"):
        LAYOUT.unflatten([np.arange(3), np.zeros((3, 2))])
    with pytest.raises(LayoutMismatchError, match="expected 2 arrays, came 1"):
        LAYOUT.unflatten([np.arange(3)])


def test_templates_take_pairs_and_whatever_has_shape_and_dtype():
    class FakeTorch:
        def __str__(self):
            return "torch.float32"

    tensor = types.SimpleNamespace(shape=[np.int64(3)], dtype=FakeTorch())
    template = {"a": ([2], np.dtype(">i4")), "b": tensor, "c": (((), "bool"), ((0, 3), np.float16)), "d": np.zeros(2)}
    assert Layout.from_template(template) == Layout.of(
        {"a": np.zeros(2, "i4"), "b": np.zeros(3, "f4"), "c": (False, np.zeros((0, 3), "f2")), "d": np.zeros(2)}
    )


@pytest.mark.parametrize(
    "bad", [{"a": 1.0}, {"a": ((2,), None)}, {"a": ((2,), "torch.bfloat16")}, {"a": ((-1,), "bool")}]
)
def test_a_template_leaf_without_shape_and_dtype_is_refused(bad):
    with pytest.raises(EncodingError, match="'a'"):
        Layout.from_template(bad)


def test_arrays_are_views_where_they_can_be():
    weights = np.zeros((2, 3), "f4")
    assert np.shares_memory(LAYOUT.arrays({"w": weights, "b": np.zeros(3, int)})[1], weights)


def test_the_model_digest_ignores_byte_order_and_memory_order():
    tree = {"w": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.arange(3)}
    other = {"w": np.asfortranarray(tree["w"]).astype(">f4"), "b": np.arange(3, dtype=">i8")}
    assert tree_digest(LAYOUT, tree) == tree_digest(LAYOUT, other)
    other["w"][1, 2] = np.nextafter(other["w"][1, 2], np.float32(9))
    assert tree_digest(LAYOUT, tree) != tree_digest(LAYOUT, other)


def reference(label, *fields):
    """SHA-256 over length-prefixed fields, written from protocol.md and not from the code."""
    whole = [f"securefl/v1/{label}".encode(), *(f if isinstance(f, bytes) else f.to_bytes(8, "big") for f in fields)]
    return hashlib.sha256(b"".join(len(field).to_bytes(8, "big") + field for field in whole)).digest()


def test_the_digests_are_those_of_an_independent_reference():
    tree = {"b": np.array([1, -2, 3]), "w": np.array([[0.5, -1, 2], [3, 4, -0.0]], dtype="f4")}
    layout = reference("layout", 2, b"b", b"int64", 1, 3, b"w", b"float32", 2, 2, 3)
    tensors = [
        reference("tensor", struct.pack("<3q", 1, -2, 3)),
        reference("tensor", struct.pack("<6f", 0.5, -1, 2, 3, 4, -0.0)),
    ]
    assert LAYOUT.digest() == layout
    assert tree_digest(LAYOUT, tree) == reference("model", layout, *tensors)
    assert layout.hex() == "3971aa947d395bf8c47c337cf4afec596c3583ce966f4e8f0a00a92db7c51550"
