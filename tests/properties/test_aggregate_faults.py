"""Whatever goes wrong between real sessions: the exact sum over the survivors, or a typed abort."""

from __future__ import annotations

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

import securefl as sfl
from securefl.errors import RoundAbortedError, SecureFLError
from securefl.types import Step

steps = st.sampled_from(Step)


@st.composite
def faulty_rounds(draw):
    n = draw(st.integers(4, 9))
    names = [f"p{i}" for i in range(n)]
    who = st.sampled_from(names)
    some = st.lists(who, min_size=1, max_size=2, unique=True).map(tuple)
    fault = st.one_of(
        st.builds(sfl.faults.Drop, who, steps),
        st.builds(sfl.faults.Delay, who, steps),
        st.builds(sfl.faults.Replay, who, steps),
        st.builds(sfl.faults.Corrupt, who, steps, bit=st.integers(0, 10**6), downstream=st.booleans()),
        st.builds(sfl.faults.Equivocate, some, some),
    )
    return names, draw(st.sampled_from(sfl.ServerModel)), draw(st.lists(fault, max_size=4))


@given(case=faulty_rounds(), seed=st.integers(0, 2**32), weighted=st.booleans())
def test_the_sum_of_the_survivors_is_exact_or_the_abort_is_typed_under_any_faults(case, seed, weighted):
    names, server, faults = case
    rng = np.random.default_rng(seed)
    updates = {name: {"w": rng.integers(-32767, 32767, 3, endpoint=True), "x": np.int8(1)} for name in names}
    weights = {name: int(rng.integers(1, 50)) if weighted else 1 for name in names}
    plan = sfl.Plan.for_updates(updates, protocol=sfl.SecAgg(server=server), max_weight=50 if weighted else 1)
    session = sfl.MemorySession(plan, names)
    outcome = _outcome(session, updates, weights, faults)
    if isinstance(outcome, RoundAbortedError):
        event("an abort")
        assert faults
        assert outcome.phase in set(Step)
        assert outcome.remedy
    else:
        event("a sum")
        exact = sum(weights[name] * updates[name]["w"] for name in outcome.survivors)
        assert outcome.sum["w"].tolist() == exact.tolist()
        assert outcome.weight_sum == sum(weights[name] for name in outcome.survivors) == outcome.sum["x"]
        assert len(outcome.survivors) >= plan.parameters.min_survivors
        assert all(isinstance(refusal, SecureFLError) for refusal in outcome.refusals)
        touched = {name for fault in faults for name in _named(fault)}
        assert set(names) - set(outcome.survivors) <= touched
        assert outcome.dropped.keys() <= touched
    again = session.round(updates, weights=weights)
    assert again.survivors == tuple(names)
    assert again.sum["w"].tolist() == sum(weights[name] * updates[name]["w"] for name in names).tolist()


def _outcome(session, updates, weights, faults):
    try:
        return session.round(updates, weights=weights, faults=faults)
    except RoundAbortedError as aborted:
        return aborted


def _named(fault):
    return {*fault.parties, *fault.hide} if isinstance(fault, sfl.faults.Equivocate) else {fault.party}


leaf = st.tuples(
    st.sampled_from(["bool", "int8", "uint16", "int64", "float16", "float32", "float64"]),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
)
trees = st.recursive(
    leaf.map(lambda pair: ("leaf", *pair)),
    lambda inner: st.one_of(
        st.dictionaries(st.text("abc/[](%", min_size=1, max_size=3), inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=2).map(lambda items: ("tuple", *items)),
    ),
    max_leaves=6,
)


def filled(node, rng):
    """A tree of arrays by a description of `trees`."""
    if isinstance(node, dict):
        return {key: filled(child, rng) for key, child in node.items()}
    if isinstance(node, list):
        return [filled(child, rng) for child in node]
    if node[0] == "tuple":
        return tuple(filled(child, rng) for child in node[1:])
    _, dtype, shape = node
    kind = np.dtype(dtype).kind
    low, high = (0, 2) if kind == "b" else (0, 100) if kind == "u" else (-100, 100)
    values = rng.integers(low, high, shape)
    return np.asarray(values / 100 if kind == "f" else values).astype(dtype)


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for child in tree for leaf in leaves(child)]
    return [tree]


def skeleton(tree):
    if isinstance(tree, dict):
        return {key: skeleton(child) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(skeleton(child) for child in tree)
    return (str(tree.dtype), tree.shape)


@settings(max_examples=max(10, settings().max_examples // 2))
@given(shape=trees, seed=st.integers(0, 2**32))
def test_the_mean_of_any_tree_is_a_tree_of_the_same_shape_and_dtypes(shape, seed):
    rng = np.random.default_rng(seed)
    updates = {name: filled(shape, rng) for name in "abcd"}
    plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(24, 1.0))
    result = sfl.aggregate(updates, plan)
    assert skeleton(result.mean) == skeleton(updates["a"])
    for total, mean, *parts in zip(*map(leaves, (result.sum, result.mean, *updates.values())), strict=True):
        if mean.dtype.kind == "f":
            exact = sum(part.astype(np.float64) for part in parts)
            assert (abs(total - exact) < 4 * plan.encoding.error_bound).all()
            assert total.dtype == np.float64
        else:
            assert total.tolist() == sum(part.astype(np.int64) for part in parts).tolist()
            assert total.dtype == np.int64
