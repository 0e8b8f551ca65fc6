"""The plan on the wire: one form for each plan, one plan for each form."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.dp.clipping import LayerClip
from securefl.dp.mechanisms import DistributedSkellam
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.layout import Layout, Leaf
from securefl.encoding.leaves import DTYPES
from securefl.errors import MalformedMessageError, SecureFLError, UnsafePlanError
from securefl.plan import Plan, SecAgg
from securefl.plan.serialize import PlanMessage
from securefl.wire import codec
from unit.secagg.harness import parameters

text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)


@st.composite
def plans(draw):
    chosen = draw(parameters(st.integers(3, 300)))
    names = sorted(draw(st.sets(st.sampled_from("abcdefgh"), min_size=1)))
    leaves = tuple(
        Leaf(name, tuple(draw(st.lists(st.integers(0, 9), max_size=3))), draw(st.sampled_from(DTYPES)))
        for name in names
    )
    metrics = draw(st.dictionaries(text.filter(bool), st.tuples(st.integers(-9, 0), st.integers(1, 9)), max_size=3))
    return Plan(
        template=Layout(leaves),
        parties=chosen.parties,
        protocol=SecAgg(
            server=chosen.server,
            threshold=chosen.threshold,
            max_colluders=chosen.max_colluders,
            min_survivors=chosen.min_survivors,
            graph="complete",
        ),
        encoding=FixedPoint(
            draw(st.integers(4, 24)), draw(st.floats(1e-9, 1e9)), draw(st.sampled_from(["clamp", "refuse"]))
        ),
        max_weight=draw(st.integers(1, 1 << 20)),
        metrics=metrics,
        ring_bits=draw(st.sampled_from([None, 64])),
        purpose=draw(text),
        policy_digest=draw(st.sampled_from([b"", bytes(32), b"p" * 32])),
    )


@given(plans())
def test_a_plan_survives_its_bytes(plan):
    again = Plan.from_bytes(plan.to_bytes())
    assert again.to_bytes() == plan.to_bytes()
    assert again.digest() == plan.digest()
    for field in ("layout", "parameters", "ring", "parties", "encoding", "max_weight", "metrics", "purpose"):
        assert getattr(again, field) == getattr(plan, field), field
    assert (again.policy_digest, again.length, again.masked_bytes) == (
        plan.policy_digest,
        plan.length,
        plan.masked_bytes,
    )


@given(plan=plans(), data=st.data())
def test_a_changed_byte_gives_another_plan_or_none(plan, data):
    sent = plan.to_bytes()
    place = data.draw(st.integers(0, len(sent) - 1))
    flip = data.draw(st.integers(1, 255))
    altered = sent[:place] + bytes([sent[place] ^ flip]) + sent[place + 1 :]
    try:
        other = Plan.from_bytes(altered)
    except SecureFLError:
        return
    assert other.to_bytes() == altered
    assert other.digest() != plan.digest()


@given(plan=plans(), data=st.data())
def test_a_truncated_or_longer_plan_is_refused(plan, data):
    sent = plan.to_bytes()
    with pytest.raises(MalformedMessageError):
        Plan.from_bytes(sent[: data.draw(st.integers(0, len(sent) - 1))])
    with pytest.raises(MalformedMessageError):
        Plan.from_bytes(sent + data.draw(st.binary(min_size=1, max_size=9)))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_plan_or_a_typed_error(data):
    try:
        plan = Plan.from_bytes(data)
    except SecureFLError:
        return
    assert plan.to_bytes() == data


BASE = Plan(
    template={"w": ((2, 3), "float32"), "x": ((4,), "float32")},
    parties=20,
    protocol=SecAgg(server="active", threshold=15, max_colluders=3, min_survivors=15),
    encoding=FixedPoint(16, 4.0),
    max_weight=10,
    metrics={"loss": (0.0, 8.0)},
    ring_bits=40,
    purpose="a trial",
    policy_digest=b"p" * 32,
)
RING = {"server": "semi-honest", "threshold": 6, "max_colluders": 5, "min_survivors": 95}
K_REGULAR = BASE.replace(parties=100, protocol=SecAgg(**RING, graph="k-regular", neighbours=14))
PRIVATE = BASE.replace(
    metrics={}, ring_bits=None, encoding=None, privacy=DistributedSkellam(clip=1.0, noise_multiplier=3.0)
)
BASES = {"graph": K_REGULAR, "neighbours": K_REGULAR, "privacy": PRIVATE}
SAME = {"server": "active", "threshold": 15, "max_colluders": 3, "min_survivors": 15}
CHANGED = {
    "server": [{"protocol": SecAgg(**{**SAME, "server": "semi-honest"})}],
    "parties": [{"parties": 21}],
    "prefetch": [{"protocol": SecAgg(**SAME, prefetch=True)}],
    "threshold": [{"protocol": SecAgg(**{**SAME, "threshold": 14})}],
    "max_colluders": [{"protocol": SecAgg(**{**SAME, "max_colluders": 2})}],
    "min_survivors": [{"protocol": SecAgg(**{**SAME, "min_survivors": 14})}],
    "graph": [{"protocol": SecAgg(**RING, graph="complete")}],
    "neighbours": [{"protocol": SecAgg(**RING, graph="k-regular", neighbours=12)}],
    "ring_bits": [{"ring_bits": 41}],
    "value_bits": [{"encoding": FixedPoint(17, 4.0)}],
    "bound": [{"encoding": FixedPoint(16, 4.000000000000001)}],
    "on_saturation": [{"encoding": FixedPoint(16, 4.0, "refuse")}],
    "max_weight": [{"max_weight": 11}],
    "metrics": [
        {"metrics": {}},
        {"metrics": {"cost": (0.0, 8.0)}},
        {"metrics": {"loss": (0.0, 8.000001)}},
        {"metrics": {"loss": (-1e-9, 8.0)}},
        {"metrics": {"loss": (0.0, 8.0), "accuracy": (0.0, 1.0)}},
    ],
    "leaves": [
        {"template": {"w": ((3, 2), "float32"), "x": ((4,), "float32")}},
        {"template": {"w": ((6,), "float32"), "x": ((4,), "float32")}},
        {"template": {"w": ((2, 3), "float64"), "x": ((4,), "float32")}},
        {"template": {"v": ((2, 3), "float32"), "x": ((4,), "float32")}},
        {"template": [((2, 3), "float32"), ((4,), "float32")]},
        {"template": {"w": ((2, 3), "float32")}},
    ],
    "privacy": [
        {"privacy": kind(clip=clip, noise_multiplier=noise, **more)}
        for kind in MECHANISMS.values()
        for clip, noise, more in (
            (1.0, 2.0, {}),
            (1.0, 2.5, {}),
            (1.5, 2.0, {}),
            (1.0, 2.0, {"slack": 2.0}),
            (1.0, 2.0, {"denominator": 19.0}),
            (1.0, 2.0, {"unit": "user"}),
            (LayerClip((0.6, 0.8)), 2.0, {}),
        )
    ],
    "purpose": [{"purpose": "a trial."}, {"purpose": ""}],
    "policy_digest": [{"policy_digest": b""}, {"policy_digest": b"q" * 32}],
}
ONE_VALUE_ONLY = {"version", "protocol"}


def fields_of(plan):
    message = codec.decode(PlanMessage, plan.to_bytes(), limit=1 << 20)
    return {name: getattr(message, name) for name in PlanMessage.__struct_fields__}


def test_every_field_of_a_plan_is_tried():
    assert CHANGED.keys() | ONE_VALUE_ONLY == {field.name for field in msgspec.structs.fields(PlanMessage)}


@pytest.mark.parametrize("field", CHANGED)
def test_the_digest_changes_with_every_single_field(field):
    base = BASES.get(field, BASE)
    for change in CHANGED[field]:
        other = base.replace(**change)
        was, now = fields_of(base), fields_of(other)
        # On the complete graph everybody is a neighbour.
        follows = {"parties": {"neighbours"}, "graph": {"neighbours"}}.get(field, set())
        assert {name for name in was if was[name] != now[name]} == {field} | follows, "the case changes something else"
        assert other.digest() != base.digest()
        assert Plan.from_bytes(other.to_bytes()).digest() == other.digest()


def test_all_those_digests_differ():
    digests = [
        BASES.get(field, BASE).replace(**change).digest() for field, changes in CHANGED.items() for change in changes
    ]
    assert len({BASE.digest(), K_REGULAR.digest(), PRIVATE.digest(), *digests}) == len(digests) + 3


def sent(**changes):
    return codec.encode(PlanMessage(**{**fields_of(BASE), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 11},
        {"parties": 2},
        {"parties": 1 << 52},
        {"max_colluders": 15},
        {"min_survivors": 4},
        {"ring_bits": 20},
        {"ring_bits": 65},
        {"value_bits": 40},
        {"bound": float("nan")},
        {"bound": float("inf")},
        {"bound": -1.0},
        {"server": "honest"},
        {"graph": "k-irregular"},
        {"on_saturation": "wrap"},
        {"max_weight": 0},
        {"policy_digest": b"short"},
        {"purpose": "line\nbreak"},
    ],
    ids=str,
)
def test_an_unsafe_plan_is_not_constructed_from_bytes_either(changes):
    assert Plan.from_bytes(sent()).digest() == BASE.digest()
    with pytest.raises(UnsafePlanError):
        Plan.from_bytes(sent(**changes))


def test_a_plan_in_another_order_or_with_doubles_is_refused():
    message = codec.decode(PlanMessage, BASE.replace(metrics={"a": (0, 1), "b": (0, 1)}).to_bytes(), limit=1 << 20)
    one, two = message.metrics
    for metrics in ([two, one], [one, one], [one, one, two]):
        with pytest.raises(MalformedMessageError, match="canonical"):
            Plan.from_bytes(sent(metrics=metrics))
    first, second = message.leaves
    for leaves in ([second, first], [first, first], []):
        with pytest.raises(SecureFLError):
            Plan.from_bytes(sent(leaves=leaves))


def test_a_plan_of_another_version_or_protocol_is_refused():
    for changes in ({"version": 2}, {"version": 0}, {"protocol": "none"}):
        with pytest.raises(MalformedMessageError):
            Plan.from_bytes(sent(**changes))
    with pytest.raises(MalformedMessageError, match="at most"):
        Plan.from_bytes(bytes((1 << 20) + 1))
