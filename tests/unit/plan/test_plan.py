from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.layout import Layout
from securefl.errors import EncodingError, LayoutMismatchError, UnsafePlanError
from securefl.plan import Plan, Roster, SecAgg
from securefl.types import Graph, ServerModel

TEMPLATE = {"w": ((10,), "float32")}


def plan(parties=10, **fields):
    return Plan(template=TEMPLATE, parties=parties, **fields)


UNSAFE = {
    # name: (arguments, value in the message, bound in the message)
    "no parties": ({"parties": 0}, "0", "3.."),
    "one party": ({"parties": 1}, "1", "3.."),
    "two parties": ({"parties": 2}, "2", "3.."),
    "too many parties": ({"parties": 65_537, "protocol": SecAgg(graph="complete")}, "65537", "..65536"),
    "active above 200 without asking": ({"parties": 201, "protocol": SecAgg(server="active")}, "201", "<= 200"),
    "k-regular under an active server": (
        {"protocol": SecAgg(graph="k-regular", server="active")},
        "k-regular",
        "'complete'",
    ),
    "odd number of neighbours": ({"parties": 100, "protocol": SecAgg(graph="k-regular", neighbours=21)}, "21", "even"),
    "no neighbours": ({"parties": 100, "protocol": SecAgg(graph="k-regular", neighbours=0)}, "0", "2..99"),
    "too many neighbours": ({"parties": 100, "protocol": SecAgg(graph="k-regular", neighbours=100)}, "100", "2..99"),
    "too few neighbours": (
        {"parties": 100, "protocol": SecAgg(graph="k-regular", neighbours=4)},
        "k = 4",
        "connectivity",
    ),
    "a threshold too low for the graph": (
        {"parties": 1000, "protocol": SecAgg(graph="k-regular", neighbours=34, threshold=5)},
        "k = 34, t = 5",
        "security",
    ),
    "a k-regular floor above n - D": (
        {"parties": 100, "protocol": SecAgg(graph="k-regular", dropout=0.1, min_survivors=91)},
        "91",
        "..90",
    ),
    "a k-regular floor beside the colluders": (
        {"parties": 100, "protocol": SecAgg(graph="k-regular", max_colluders=50, min_survivors=51)},
        "51",
        "52..",
    ),
    "neighbours on the complete graph": ({"protocol": SecAgg(neighbours=4)}, "4", "9"),
    "no graph for so few": ({"protocol": SecAgg(graph="k-regular", max_colluders=4, dropout=0.4)}, "n = 10", "even k"),
    "half a party": ({"parties": 4.5}, "4.5", "3.."),
    "true parties": ({"parties": True}, "True", "3.."),
    "threshold 1": ({"protocol": SecAgg(threshold=1)}, "1", "2..9"),
    "threshold n": ({"protocol": SecAgg(threshold=10)}, "10", "2..9"),
    "threshold as text": ({"protocol": SecAgg(threshold="7")}, "'7'", "2..9"),
    "threshold met by colluders": ({"protocol": SecAgg(threshold=4, max_colluders=4)}, "4", "> 4"),
    "active, 2t = n": ({"protocol": SecAgg(threshold=5, server="active")}, "5", "> (n + c) / 2 = 5"),
    "active, 2t = n + c": (
        {"protocol": SecAgg(threshold=6, max_colluders=2, server="active")},
        "6",
        "> (n + c) / 2 = 6",
    ),
    "negative colluders": ({"protocol": SecAgg(max_colluders=-1)}, "-1", "0..8"),
    "one honest party": ({"protocol": SecAgg(max_colluders=9)}, "9", "0..8"),
    "floor that leaves one alone": ({"protocol": SecAgg(max_colluders=4, min_survivors=5)}, "5", "6..10"),
    "floor of two": ({"protocol": SecAgg(threshold=2, max_colluders=0, min_survivors=2)}, "2", "3..10"),
    "floor above n": ({"protocol": SecAgg(min_survivors=11)}, "11", "..10"),
    "no liveness for the threshold": ({"protocol": SecAgg(threshold=9, dropout=0.1)}, "9", ">= 10"),
    "no liveness for the floor": ({"protocol": SecAgg(threshold=3, min_survivors=10, dropout=0.1)}, "9", ">= 10"),
    "all drop out": ({"protocol": SecAgg(dropout=1.0)}, "1.0", "0 <= dropout < 1"),
    "negative dropout": ({"protocol": SecAgg(dropout=-0.1)}, "-0.1", "0 <= dropout < 1"),
    "dropout without a value": ({"protocol": SecAgg(dropout=float("nan"))}, "nan", "0 <= dropout < 1"),
    "unknown server": ({"protocol": SecAgg(server="honest")}, "'honest'", "'semi-honest' or 'active'"),
    "unknown graph": ({"protocol": SecAgg(graph="star")}, "'star'", "'complete'"),
    "ring that overflows": ({"ring_bits": 19}, "19", "20..64"),
    "ring beyond 64 bits": ({"ring_bits": 65}, "65", "20..64"),
    "ring as text": ({"ring_bits": "32"}, "'32'", "20..64"),
    "weights that overflow any ring": (
        {"encoding": FixedPoint(32), "max_weight": 1 << 31},
        "67",
        "<= 64",
    ),
    "weight zero": ({"max_weight": 0}, "0", "1..2147483648"),
    "weight beyond its bound": ({"max_weight": (1 << 31) + 1}, "2147483649", "1..2147483648"),
    "weight as a float": ({"max_weight": 2.0}, "2.0", "1..2147483648"),
    "too many metrics": ({"metrics": {str(i): (0, 1) for i in range(65)}}, "65", "<= 64"),
    "a metric without a name": ({"metrics": {"": (0, 1)}}, "''", "1..64"),
    "a metric with a long name": ({"metrics": {"x" * 65: (0, 1)}}, "xxx", "1..64"),
    "a metric whose range is empty": ({"metrics": {"loss": (1, 1)}}, "(1, 1)", "low < high"),
    "a metric whose range is the wrong way round": ({"metrics": {"loss": (2, 1)}}, "(2, 1)", "low < high"),
    "a metric without an upper end": ({"metrics": {"loss": (0, float("inf"))}}, "inf", "low < high"),
    "a purpose that is too long": ({"purpose": "x" * 257}, "xxx", "<= 256"),
    "a purpose with a line break": ({"purpose": "a\nb"}, "a\\nb", "printable"),
    "a policy digest that is none": ({"policy_digest": b"abc"}, "b'abc'", "32 bytes or none"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_an_unsafe_plan_cannot_be_constructed_and_says_value_bound_and_remedy(case):
    fields, value, bound = UNSAFE[case]
    with pytest.raises(UnsafePlanError) as caught:
        plan(**fields)
    assert value in str(caught.value.value)
    assert bound in caught.value.bound
    assert caught.value.remedy
    assert f"got {caught.value.value}, needs {caught.value.bound}. Remedy: {caught.value.remedy}" in str(caught.value)


@pytest.mark.parametrize("case", UNSAFE)
def test_no_replacement_makes_a_plan_unsafe(case):
    fields, _, _ = UNSAFE[case]
    safe = plan()
    with pytest.raises(UnsafePlanError):
        safe.replace(**fields)


def test_no_updates_or_too_few_make_no_plan():
    with pytest.raises(UnsafePlanError, match="no updates"):
        Plan.for_updates({})
    with pytest.raises(UnsafePlanError):
        Plan.for_updates({"a": np.zeros(2), "b": np.zeros(2)})


def test_for_updates_takes_template_and_number_from_the_updates():
    updates = {name: {"w": np.zeros((2, 3), np.float32), "n": 1} for name in "abcd"}
    made = Plan.for_updates(updates, max_weight=3)
    assert made.layout == Layout.of(updates["a"])
    assert (made.parties, made.max_weight, made.length) == (4, 3, 8)


def test_updates_of_two_layouts_make_no_plan():
    with pytest.raises(LayoutMismatchError, match="w"):
        Plan.for_updates({"a": {"w": np.zeros(2)}, "b": {"w": np.zeros(2)}, "c": {"w": np.zeros(3)}})


@pytest.mark.parametrize(
    "template", [{}, {"w": None}, {"w": "text"}, {1: ((2,), "float32")}, {"w": ((2,), "complex64")}]
)
def test_a_template_of_no_arrays_is_refused(template):
    with pytest.raises(EncodingError):
        Plan(template=template, parties=5)


@pytest.mark.parametrize(("parties", "graph"), [(200, Graph.COMPLETE), (201, Graph.K_REGULAR), (1000, Graph.K_REGULAR)])
def test_above_200_parties_a_semi_honest_plan_masks_on_the_k_regular_graph(parties, graph):
    chosen = plan(parties).parameters
    assert (chosen.graph, chosen.server) == (graph, ServerModel.SEMI_HONEST)
    assert (chosen.neighbours < parties - 1) is (graph is Graph.K_REGULAR)
    assert plan(parties, protocol=SecAgg(graph="complete")).parameters.neighbours == parties - 1


def test_above_200_parties_an_active_plan_is_refused_and_named_cohorts():
    for graph in (None, "k-regular"):
        with pytest.raises(UnsafePlanError) as caught:
            plan(201, protocol=SecAgg(server="active", graph=graph))
        assert "cohorts" in caught.value.remedy
    # The remedies are true: a cohort of 200, the complete graph by name, the semi-honest server.
    assert plan(200, protocol=SecAgg(server="active")).parameters.active
    assert plan(201, protocol=SecAgg(server="active", graph="complete")).parameters.active
    assert not plan(201, protocol=SecAgg(server="semi-honest", graph="k-regular")).parameters.active


def test_the_floor_of_a_k_regular_plan_is_n_less_the_dropouts():
    for delta, lost in ((0.05, 5), (0.1, 10), (0.0, 5)):
        chosen = plan(100, protocol=SecAgg(graph="k-regular", dropout=delta)).parameters
        assert chosen.min_survivors == chosen.quorum == 100 - lost
        assert chosen.max_dropouts == lost


def test_a_k_regular_plan_shows_its_degree_and_survives_its_bytes():
    made = plan(100, protocol=SecAgg(graph="k-regular", max_colluders=5, dropout=0.05, prefetch=True))
    assert (made.parameters.neighbours, made.parameters.threshold) == (12, 6)
    again = Plan.from_bytes(made.to_bytes())
    assert again == made
    assert again.parameters == made.parameters
    assert again.protocol.prefetch
    assert "12 neighbours" in str(made)
    assert made.to_dict()["neighbours"] == 12
    context = made.for_round(b"s" * 16, 1, roster=Roster.unsigned([f"p{i}" for i in range(100)]))
    assert (context.graph, context.neighbours, context.prefetch) == (Graph.K_REGULAR, 12, True)
    assert context.min_shares == 6
    assert [context.degree(attending) for attending in (100, 13, 12, 5)] == [12, 12, 11, 4]


def test_the_default_server_is_active_exactly_where_there_are_identities():
    names = [f"p{i}" for i in range(5)]
    assert plan(Roster.generate(names)[0]).parameters.server is ServerModel.ACTIVE
    assert plan(Roster.unsigned(names)).parameters.server is ServerModel.SEMI_HONEST
    assert plan(5).parameters.server is ServerModel.SEMI_HONEST
    assert plan(5, protocol=SecAgg(server="active")).parameters.server is ServerModel.ACTIVE
    signed_but_asked = plan(Roster.generate(names)[0], protocol=SecAgg(server="semi-honest"))
    assert signed_but_asked.parameters.server is ServerModel.SEMI_HONEST


def test_strings_and_enum_members_mean_the_same():
    by_name = plan(protocol=SecAgg(server="active", graph="complete"))
    by_member = plan(protocol=SecAgg(server=ServerModel.ACTIVE, graph=Graph.COMPLETE))
    assert by_name.digest() == by_member.digest()


def test_the_ring_is_the_least_in_which_no_sum_overflows():
    for parties, value_bits, weight, bits in (
        (100, 16, 1, 23),
        (100, 16, 100, 30),
        (3, 4, 1, 8),
        (200, 32, 1 << 20, 60),
    ):
        made = plan(parties, encoding=FixedPoint(value_bits), max_weight=weight)
        assert made.ring.bits == bits
        largest = parties * weight * made.encoding.max_value
        assert largest < 2 ** (bits - 1)
        assert bits == 8 or largest >= 2 ** (bits - 2)


def test_length_and_bytes_count_the_weight_and_the_metrics():
    assert plan().length == 10
    assert plan(max_weight=2).length == 11
    both = plan(max_weight=2, metrics={"b": (0, 1), "a": (0, 1)})
    assert both.length == 13
    assert list(both.metrics) == ["a", "b"]
    assert both.masked_bytes == 13 * both.ring.word_bytes


def test_replace_computes_again_what_was_computed():
    small = plan(10)
    large = small.replace(parties=100)
    assert large.parameters.threshold > small.parameters.threshold
    assert large.parameters.min_survivors > small.parameters.min_survivors
    assert large.ring.bits > small.ring.bits
    assert large.to_bytes() == plan(100).to_bytes()
    wide = small.replace(template={"w": ((99,), "float64")}, max_weight=50, metrics={"loss": (0, 1)})
    assert (wide.layout.size, wide.length) == (99, 101)
    assert wide.ring.bits > small.ring.bits
    assert small.replace().to_bytes() == small.to_bytes()


def test_replace_keeps_an_active_server_active():
    """The roster itself is not kept, so that the default could not be found again."""
    signed = plan(Roster.generate(["a", "b", "c", "d"])[0])
    assert signed.replace(max_weight=5).parameters.server is ServerModel.ACTIVE


def test_a_plan_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan().max_weight = 2


def test_a_plan_shows_what_follows_from_it():
    made = plan(protocol=SecAgg(server="active", max_colluders=2, dropout=0.1))
    shown = made.to_dict()
    assert shown["explanation"] == list(made.parameters.explanation)
    assert shown["explanation"]
    assert all(shown["explanation"])
    assert shown["digest"] == made.digest().hex()
    text = str(made)
    for value in (
        "active",
        "10 parties",
        f"threshold {made.parameters.threshold}",
        "2 colluders",
        f"ring of {made.ring.bits} bits",
        f"{made.ring.word_bytes} bytes a value",
        f"{made.masked_bytes} bytes a party",
    ):
        assert value in text


def test_a_round_context_holds_every_value_of_its_plan():
    roster = Roster.unsigned([f"p{i}" for i in range(10)])
    made = plan(max_weight=7)
    context = made.for_round(b"s" * 16, 9, roster=roster, model_digest=b"m" * 32)
    assert dataclasses.asdict(context) == {
        "session": b"s" * 16,
        "round": 9,
        "roster_digest": roster.digest(),
        "plan_digest": made.digest(),
        "model_digest": b"m" * 32,
        "parties": 10,
        "threshold": made.parameters.threshold,
        "max_colluders": made.parameters.max_colluders,
        "min_survivors": made.parameters.min_survivors,
        "server": ServerModel.SEMI_HONEST,
        "ring_bits": made.ring.bits,
        "length": 11,
        "graph": Graph.COMPLETE,
        "neighbours": 0,
        "noise_labels": 0,
        "prefetch": False,
    }
    assert context.quorum == made.parameters.quorum


def test_the_model_digest_binds_names_shapes_dtypes_and_values():
    base = {"w": np.array([1.0, 2.0]), "b": np.zeros((2, 1))}
    digests = {
        plan().model_digest(model)
        for model in (
            None,
            base,
            {**base, "w": np.array([1.0, np.nextafter(2.0, 3.0)])},
            {**base, "w": np.array([2.0, 1.0])},
            {**base, "w": np.array([1.0, 2.0], np.float32)},
            {**base, "b": np.zeros((1, 2))},
            {**base, "b": -np.zeros((2, 1))},
            {"v": base["w"], "b": base["b"]},
            [base["b"], base["w"]],
        )
    }
    assert len(digests) == 9
    assert plan().model_digest(base) == plan().model_digest({"b": base["b"].copy(), "w": base["w"].astype(">f8")})
