"""A server that shows every party another survivor set isolates a few parties on a k-regular graph, with no corruption at all.

This attack succeeds against the semi-honest protocol, which does not promise to stop it, and is why no plan masks on a k-regular graph
under an active server: each party shares masks with few others, who all can be shown sets of their own, and nobody compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from attacks.harness import ACTIVE, SEMI_HONEST, Loot, Table, body_of
from securefl import Plan, SecAgg, SecureFLError, UnsafePlanError
from securefl.secagg.dealing import Label
from securefl.types import Graph
from securefl.wire.messages import Kind, Survivors, SurvivorSignature, Unmask

N, K, T = 100, 16, 11
TEMPLATE = {"w": ((2,), "float32")}


def around(order: Sequence[int], party: int, reach: int = K // 2) -> frozenset[int]:
    """The neighbours on the ring, found without the library."""
    place = order.index(party)
    return frozenset(order[(place + step) % len(order)] for step in range(-reach, reach + 1) if step)


def hide(wall: Sequence[int], order: Sequence[int], needed: int, most: int) -> dict[int, set[int]]:
    """From whom to hide whom: each of `wall` from `needed` of its neighbours, at most `most` from each (augmenting paths)."""
    hidden: dict[int, set[int]] = {party: set() for party in order}

    def place(member: int, seen: set[int]) -> bool:
        for party in sorted(around(order, member)):
            if member in hidden[party] or party in seen:
                continue
            seen.add(party)
            if len(hidden[party]) < most:
                hidden[party].add(member)
                return True
            for other in sorted(hidden[party]):
                if place(other, seen):
                    hidden[party].remove(other)
                    hidden[party].add(member)
                    return True
        return False

    for member in wall:
        for _ in range(needed):
            assert place(member, set()), "this group cannot be isolated so"
    return hidden


def masked_round(*, colluders: int, floor: int) -> tuple[Table, Loot, tuple[int, ...]]:
    """A k-regular round in which everybody masked, what the server has by then, and the ring that it drew."""
    table = Table(
        N, T, colluders=colluders, floor=floor, server=SEMI_HONEST, graph=Graph.K_REGULAR, neighbours=K, length=3
    )
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    table.play(Kind.UNMASK)
    return table, loot, table.server._got.graph.order


def ask(table: Table, loot: Loot, hidden: Mapping[int, set[int]]) -> None:
    """Ask every party to open its own set: everybody but those who are hidden from it."""
    for party in range(N):
        loot.take(party, table.tell(party, Unmask(table.members(set(range(N)) - hidden[party]), [])))


@pytest.mark.parametrize(
    ("colluders", "floor", "isolated"),
    [(0, 90, 3), (0, 90, 1), (5, 95, 8)],
    ids=["three parties", "one party", "eight parties under a plan that can be made"],
)
def test_a_server_that_splits_views_isolates_neighbours_on_a_k_regular_graph(colluders, floor, isolated):
    """What the semi-honest k-regular protocol does not stop: no party breaks a rule, and every set meets the floor."""
    table, loot, order = masked_round(colluders=colluders, floor=floor)
    victims = order[20 : 20 + isolated]
    wall = sorted(frozenset().union(*(around(order, victim) for victim in victims)) - set(victims))
    hidden = hide(wall, order, T, N - floor)
    assert {victim for members in hidden.values() for victim in members} == set(wall)
    for group in (victims, victims[:1]):
        assert loot.peel(group).tolist() != table.exact(group), "nothing is open before the parties are asked"
    ask(table, loot, hidden)
    assert all(loot.opened(victim, Label.SELF_MASK) for victim in victims)
    assert all(loot.opened(member, Label.MASK_KEY) for member in wall)
    assert loot.peel(victims).tolist() == table.exact(victims)
    assert isolated == 1 or loot.peel(victims[:1]).tolist() != table.exact(victims[:1])


def test_without_the_split_nobody_is_isolated():
    """The control: one survivor set for all opens the sum of all, and of no group on the ring."""
    table, loot, order = masked_round(colluders=0, floor=90)
    ask(table, loot, {party: set() for party in range(N)})
    for group in (order[20:23], order[20:21], order[:50]):
        assert loot.peel(group).tolist() != table.exact(group)
    assert loot.peel(range(N)).tolist() == table.exact(range(N))


def test_a_plan_for_that_graph_is_made_under_a_semi_honest_server_only():
    """Success: a plan promises to hold against an active server and masks on the graph that does not."""
    protocol = {"graph": "k-regular", "neighbours": K, "threshold": T, "max_colluders": 5, "min_survivors": 95}
    made = Plan(template=TEMPLATE, parties=N, protocol=SecAgg(server=SEMI_HONEST, **protocol)).parameters
    assert (made.neighbours, made.threshold, made.min_survivors) == (K, T, 95)
    with pytest.raises(UnsafePlanError, match="isolate a few of them") as error:
        Plan(template=TEMPLATE, parties=N, protocol=SecAgg(server=ACTIVE, **protocol))
    assert "cohorts" in error.value.remedy
    with pytest.raises(UnsafePlanError, match="isolate a few of them"):
        Plan(template=TEMPLATE, parties=N, protocol=SecAgg(server=ACTIVE, graph="k-regular"))


def test_the_same_lie_against_an_active_plan_is_refused_by_every_party():
    """Success: parties that signed sets of their own open them."""
    n, t, most = 24, 13, 8
    table = Table(n, t, floor=n - most, server=ACTIVE)
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    table.play(Kind.SURVIVORS)
    sets = {party: frozenset(range(n)) - {(party + step) % n for step in range(3, 3 + most)} for party in range(n)}
    signed = {
        party: SurvivorSignature(party, body_of(table.tell(party, Survivors(table.members(shown)))[0]).signature)
        for party, shown in sets.items()
    }
    for party, shown in sets.items():
        proof = [signed[other] for other in sorted(shown)]  # all that the server has: each of another set
        with pytest.raises(SecureFLError, match="is not of this survivor set"):
            loot.take(party, table.tell(party, Unmask(table.members(shown), proof)))
    assert loot.shares == {}
