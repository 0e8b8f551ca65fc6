"""Laws of layouts: any tree, any order, any names."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from securefl.encoding import Layout, Leaf, tree_digest
from securefl.encoding.leaves import DTYPES
from securefl.encoding.tree import build, walk
from securefl.errors import EncodingError, LayoutMismatchError

KEYS = st.text(st.sampled_from("ab/[]()%;0.\n\ud800\u202eé"), max_size=4) | st.text(max_size=4)
ORDERS = st.sampled_from("<>=")
ARRAYS = st.tuples(st.sampled_from(DTYPES), ORDERS).flatmap(
    lambda kind: hnp.arrays(
        np.dtype(kind[0]).newbyteorder(kind[1]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    )
)
SCALARS = st.floats() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | hnp.from_dtype(np.dtype("float32"))
TREES = st.recursive(
    ARRAYS | SCALARS,
    lambda nodes: (
        st.dictionaries(KEYS, nodes, min_size=1, max_size=3)
        | st.lists(nodes, min_size=1, max_size=3)
        | st.lists(nodes, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=6,
)
moderate = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def same(left, right):
    """Whether two trees are equal in containers, shapes, dtypes and bytes; numbers count as 0-d arrays."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    one, other = np.asarray(left), right
    native = one.astype(one.dtype.newbyteorder("="))
    return native.dtype == other.dtype and native.shape == other.shape and native.tobytes() == other.tobytes()


def skeleton(tree):
    if isinstance(tree, dict):
        return {key: skeleton(child) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map(skeleton, tree))
    return None


def reordered(tree):
    if isinstance(tree, dict):
        return {key: reordered(tree[key]) for key in reversed(tree)}
    if isinstance(tree, list | tuple):
        return type(tree)(map(reordered, tree))
    return tree


@moderate
@given(TREES)
def test_every_tree_round_trips(tree):
    layout = Layout.of(tree)
    assert same(tree, layout.unflatten(layout.arrays(tree)))


@moderate
@given(TREES)
def test_a_layout_rebuilt_from_its_fields_is_the_same(tree):
    layout = Layout.of(tree)
    again = Layout(tuple(Leaf(leaf.name, leaf.shape, leaf.dtype) for leaf in layout.leaves))
    assert again == layout
    assert again.digest() == layout.digest()


@moderate
@given(TREES)
def test_a_template_has_the_layout_of_its_tree(tree):
    layout = Layout.of(tree)
    pairs = [(leaf.shape, leaf.dtype) for leaf in layout.leaves]
    assert Layout.from_template(build([leaf.name for leaf in layout.leaves], pairs)) == layout
    assert Layout.from_template(layout.unflatten(layout.arrays(tree))) == layout


@moderate
@given(TREES)
def test_insertion_order_never_matters(tree):
    layout, other = Layout.of(tree), Layout.of(reordered(tree))
    assert layout == other
    assert layout.digest() == other.digest()
    assert tree_digest(layout, tree) == tree_digest(other, reordered(tree))


@moderate
@given(TREES, TREES)
def test_names_are_injective(left, right):
    assume(skeleton(left) != skeleton(right))
    assert [name for name, _ in walk(left)] != [name for name, _ in walk(right)]


@moderate
@given(TREES)
def test_slices_tile_the_flat_vector(tree):
    layout = Layout.of(tree)
    places = layout.slices()
    assert [place.stop - place.start for place in places] == [leaf.size for leaf in layout.leaves]
    assert [place.start for place in places] == [0, *(place.stop for place in places[:-1])]
    assert places[-1].stop == layout.size


@moderate
@given(TREES, st.data())
def test_a_leaf_that_is_missing_is_named(tree, data):
    layout = Layout.of({"x": tree, "y": 1.0})
    victim = data.draw(st.sampled_from(["x", "y"]))
    whole = {"x": tree, "y": 1.0}
    del whole[victim]
    with pytest.raises(LayoutMismatchError) as caught:
        layout.arrays(whole)
    expected = "y" if victim == "y" else layout.leaves[0].name
    assert caught.value.tensor == expected
    assert repr(expected) in str(caught.value)


@moderate
@given(ARRAYS, ARRAYS)
def test_digests_differ_when_layout_or_bytes_do(left, right):
    one, other = Layout.of(left), Layout.of(right)
    assert (one == other) == (one.digest() == other.digest())
    if one == other:
        same_bytes = one.arrays(left)[0].tobytes() == one.arrays(right)[0].tobytes()
        assert (tree_digest(one, left) == tree_digest(one, right)) == same_bytes


@moderate
@given(st.lists(st.text(st.sampled_from("ab/[]()%;01"), max_size=6), min_size=1, max_size=4))
def test_names_off_the_wire_are_refused_or_canonical(names):
    leaves = tuple(Leaf(name, (), "bool") for name in names)
    try:
        layout = Layout(leaves)
    except EncodingError:
        return
    tree = layout.unflatten([np.zeros((), bool)] * len(names))
    assert Layout.of(tree) == layout
