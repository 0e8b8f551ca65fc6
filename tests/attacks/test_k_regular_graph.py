"""The k-regular graph: a server that shows a party another neighbourhood than the plan's, or proofs that are none.

Under a semi-honest plan nobody signs, so a server that deviates consistently is not stopped (see test_view_splitting.py); what a party
can check of its own part of the key list, it checks.
"""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from attacks.harness import MODELS, SEMI_HONEST, Table, body_of, refused
from securefl import MalformedMessageError, Plan, RemoteProtocolError, RoundAbortedError, SecAgg, UnsafePlanError
from securefl.crypto.digest import DIGEST_BYTES
from securefl.crypto.kex import KeyPair
from securefl.secagg.context import key_list_root, key_tree
from securefl.secagg.key_list import fit
from securefl.secagg.states import ClientState
from securefl.types import Graph
from securefl.wire.messages import Ciphertexts, KeyEntry, KeyProof, Kind, Roster, SealedShares, Shares, Unmask

TEMPLATE = {"w": ((2,), "float32")}


def ring(n: int = 12, k: int = 6, t: int = 3, *, floor: int = 9, colluders: int = 0, **how) -> Table:
    """A round on a k-regular graph that is connected for certain: c + D < k."""
    graph = {"graph": Graph.K_REGULAR, "neighbours": k}
    return Table(n, t, floor=floor, colluders=colluders, server=SEMI_HONEST, **graph, **how)


def listed(table: Table) -> list[KeyEntry]:
    """The whole key list, which only the server sees."""
    return [entry for _, entry in sorted(table.server._got.entries.items())]


def shown(table: Table, members: list[KeyEntry], entries: list[KeyEntry], **changes) -> Roster:
    """A party's part of any key list, with right proofs."""
    tree = key_tree(entries)
    places = [entries.index(member) for member in members]
    fields = {
        "plan_digest": table.context.plan_digest,
        "model_digest": table.context.model_digest,
        "root": key_list_root(entries),
        "attending": len(entries),
        "entries": members,
        "proofs": [KeyProof(place, b"".join(tree.path(place))) for place in places],
    }
    return Roster(**{**fields, **changes})


def tell(table: Table, message: Roster, party: int = 0) -> RemoteProtocolError:
    """The party refuses the key list and leaves."""
    with pytest.raises(RemoteProtocolError) as error:
        table.tell(party, message)
    assert table.clients[party].state is ClientState.ABORTED
    refused(error.value, "server")
    return error.value


def test_an_honest_round_ends_in_the_exact_sum_although_parties_left_at_every_step():
    """The control: nothing but the lie is refused below."""
    table = ring(13, 6, 3, floor=9)
    table.silent = {12: Kind.ADVERTISE, 3: Kind.SHARES, 5: Kind.MASKED_INPUT, 7: Kind.UNMASK_SHARES}
    table.finish()
    table.assert_exact(set(range(13)) - {12, 3, 5})
    assert table.refusals == []


def test_the_pen_writes_what_an_honest_server_writes():
    """The control of `shown`: with nothing changed it is the genuine key list."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    assert shown(table, genuine.entries, listed(table)) == genuine
    assert len(genuine.entries) == 7
    assert table.tell(0, genuine)


@pytest.mark.parametrize("lie", ["a neighbour less", "a neighbour more", "nobody", "everybody"])
def test_another_number_of_neighbours_than_the_plan_s_is_refused(lie):
    """Success: a party masks with fewer neighbours than were agreed on, all of whom may be the server's."""
    table = ring()
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    everybody = listed(table)
    members = {
        "a neighbour less": [entry for entry in entries if entry.party != entries[-1].party],
        "a neighbour more": sorted(
            [*entries, next(entry for entry in everybody if entry not in entries)], key=lambda entry: entry.party
        ),
        "nobody": [entry for entry in entries if entry.party == 0],
        "everybody": everybody,
    }[lie]
    error = tell(table, shown(table, members, everybody))
    assert f"{len(members) - 1} neighbours are on the key list of 12 parties, the plan says 6" in error.reason


@pytest.mark.parametrize("lie", ["none", "one less", "one more"])
def test_another_number_of_proofs_than_entries_is_refused(lie):
    """Success: an entry is taken that nobody proved to be on the list, or the party crashes."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    proofs = {"none": [], "one less": genuine.proofs[:-1], "one more": [*genuine.proofs, genuine.proofs[0]]}[lie]
    assert "Merkle proofs came with" in tell(table, msgspec.structs.replace(genuine, proofs=proofs)).reason


@pytest.mark.parametrize("model", MODELS)
def test_proofs_on_the_complete_graph_are_refused(model):
    """Success: a message that no honest server writes has a second form."""
    table = Table(5, 3, server=model)
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    path = b"".join(key_tree(genuine.entries).path(0))
    assert "1 Merkle proofs" in tell(table, msgspec.structs.replace(genuine, proofs=[KeyProof(0, path)])).reason


@pytest.mark.parametrize("lie", ["another root", "a replaced key", "a neighbour of another list", "another order"])
def test_an_entry_that_is_not_under_the_root_is_refused(lie):
    """Success: a party takes keys that the others were not shown, and has a ctx with them all the same."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    theirs = genuine.entries[-1]
    fake = msgspec.structs.replace(theirs, mask_key=KeyPair.generate().public)
    other = [fake if entry == theirs else entry for entry in listed(table)]
    entries, proofs = genuine.entries, genuine.proofs
    forged = {
        "another root": {"root": bytes(32)},
        "a replaced key": {"entries": [*entries[:-1], fake]},
        "a neighbour of another list": {
            "entries": [*entries[:-1], fake],
            "proofs": [*proofs[:-1], shown(table, [fake], other).proofs[0]],
        },
        "another order": {"proofs": [proofs[1], proofs[0], *proofs[2:]]},
    }[lie]
    assert "not under the root" in tell(table, msgspec.structs.replace(genuine, **forged)).reason


OTHER_ORDERS = {
    "two neighbours at each other's places": (0, 1, 2, 5, 4, 7, 3, 9, 6, 8, 10, 11),
    "a stranger where there is no room for one": (0, 1, 2, 3, 6, 4, 5, 7, 8, 9, 10, 11),
    "a stranger before the first": (11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    "more strangers behind the last than there are": (0, 1, 2, 4, 5, 7, 9, 3, 6, 8, 10, 11),
}
"""Key lists of 12 of 14 parties, each of which looks wrong in one way to the neighbours 0, 1, 2, 4, 5, 7 and 9."""


@pytest.mark.parametrize("lie", [None, *OTHER_ORDERS])
def test_a_key_list_in_another_order_than_the_roster_s_is_refused(lie):
    """Success: a party stands twice on the list, with other keys for others of its neighbours; without a lie it is the control."""
    table = ring(14, 6, 3, floor=9)
    table.silent = dict.fromkeys((12, 13), Kind.ADVERTISE)
    table.play(Kind.ROSTER)
    everybody = listed(table)
    entries = [everybody[party] for party in OTHER_ORDERS.get(lie, range(12))]
    message = shown(table, [everybody[party] for party in (0, 1, 2, 4, 5, 7, 9)], entries)
    if lie is None:
        assert table.tell(0, message)
    else:
        assert "not in the order of the roster" in tell(table, message).reason


def test_where_everybody_came_each_stands_at_its_own_place():
    """Success: a party is listed twice, with other keys for others of its neighbours, in the place of a stranger to all of them."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    stranger = next(entry for entry in listed(table) if entry not in genuine.entries)
    copy = msgspec.structs.replace(genuine.entries[-1], mask_key=KeyPair.generate().public)
    twice = [copy if entry == stranger else entry for entry in listed(table)]
    assert "not in the order" in tell(table, shown(table, [*genuine.entries[:-1], copy], twice)).reason


@pytest.mark.parametrize("lie", ["too short", "too long", "half a node", "empty", "place beyond the list"])
def test_a_path_of_another_shape_is_refused(lie):
    """Success: an inner node passes for an entry, or a path is read beyond its end."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    first = genuine.proofs[0]
    proof = {
        "too short": KeyProof(first.place, first.path[:-DIGEST_BYTES]),
        "too long": KeyProof(first.place, first.path + bytes(DIGEST_BYTES)),
        "half a node": KeyProof(first.place, first.path[:-1]),
        "empty": KeyProof(first.place, b""),
        "place beyond the list": KeyProof(12, first.path),
    }[lie]
    error = tell(table, msgspec.structs.replace(genuine, proofs=[proof, *genuine.proofs[1:]]))
    assert "a Merkle proof of the key list is none" in error.reason


@pytest.mark.parametrize("off", [-1, 1])
def test_a_wrong_number_of_attending_parties_is_refused(off):
    """Success: parties compute their threshold from another number than the list's."""
    table = ring(11, 6, 3, floor=8)
    table.silent = {10: Kind.ADVERTISE}
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    assert genuine.attending == 10
    # The path of a place in the middle has one shape in trees of 9, 10 and 11: only the last places differ, so all are checked.
    last = next(party for party, mail in table.mail.items() if body_of(mail[0]).entries[-1].party == 9)
    message = body_of(table.mail[last][0])
    tell(table, msgspec.structs.replace(message, attending=10 + off), last)


@pytest.mark.parametrize("off", [-1, 1])
def test_the_number_of_attending_parties_stands_under_the_root(off):
    """Success: the paths of the first places, which are the same in a list of another length, vouch for any length."""
    table = ring(12, 4, 3, floor=9)
    table.play(Kind.ROSTER)
    entries = listed(table)[: 10 + (off < 0)]
    genuine = shown(table, entries[:5], entries)
    sizes = {len(entries), len(entries) + off}
    assert sizes == {10, 11}
    assert all(len({len(key_tree(listed(table)[:size]).path(place)) for size in sizes}) == 1 for place in range(5))
    tell(table, msgspec.structs.replace(genuine, attending=len(entries) + off), 0)
    assert table.tell(1, genuine)


def test_more_parties_than_were_invited_are_refused():
    """Success: sybils beyond the roster make the colluders look few, and t small."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    sybils = [KeyEntry(party, KeyPair.generate().public, KeyPair.generate().public, b"") for party in range(12, 15)]
    error = tell(table, shown(table, genuine.entries, [*listed(table), *sybils]))
    assert "15 of 12 parties" in error.reason


def test_a_party_that_is_not_on_its_own_part_of_the_list_notices():
    """Success: a party deals among neighbours who do not know its keys."""
    table = ring()
    genuine = body_of(table.play(Kind.ROSTER)[0][0])
    fake = msgspec.structs.replace(listed(table)[0], share_key=KeyPair.generate().public)
    other = [fake, *listed(table)[1:]]
    members = [fake if entry.party == 0 else entry for entry in genuine.entries]
    assert "own keys are missing" in tell(table, shown(table, members, other)).reason


def test_the_threshold_rises_for_the_number_that_came():
    """Success: half the neighbours collude, since the others stayed away, and hold t shares of a secret."""
    context = dataclasses.replace(
        ring().context, parties=1000, neighbours=52, threshold=28, max_colluders=100, min_survivors=900
    )
    assert fit(context, 1000).threshold == 28
    assert fit(context, 950).threshold == 29


def test_both_sides_raise_the_threshold_alike():
    """Success: the server rebuilds with the plan's t what parties dealt with another, or they with fewer than are safe."""
    table = ring(12, 8, 3, floor=9, colluders=3)
    table.silent = {11: Kind.ADVERTISE}
    table.finish()
    table.assert_exact(range(11))
    assert {client.context.threshold for client in table.clients[:11]} == {table.server.context.threshold} == {4}


def test_a_graph_that_may_fall_apart_for_those_who_came_is_refused_by_both_sides(monkeypatch):
    """Success: secrets are dealt on a graph in which the honest parties may stand in small groups."""
    unsafe = {"k": 4, "t": 3, "colluders": 2, "floor": 9}  # c + D = 2 + 3 >= k
    table = ring(12, **unsafe)
    with pytest.raises(RoundAbortedError, match="unsafe for the 12 parties") as error:
        table.play(Kind.SHARES)
    assert error.value.remedy
    monkeypatch.setattr("securefl.secagg.server.fit", lambda context, _: context)
    table = ring(12, **unsafe)
    table.play(Kind.SHARES)
    assert len(table.refusals) == 12
    assert all("unsafe for the 12 parties" in refusal.reason for refusal in table.refusals)


def test_a_threshold_above_the_degree_is_refused():
    """Success: colluders may be all of a party's neighbours."""
    context = dataclasses.replace(ring().context, max_colluders=6, neighbours=6, min_survivors=12)
    with pytest.raises(RemoteProtocolError, match="unsafe for the 12 parties"):
        fit(context, 12)
    # Where everybody is a neighbour nothing falls apart, and only this rule is left.
    with pytest.raises(RemoteProtocolError, match="unsafe for the 7 parties"):
        fit(dataclasses.replace(context, parties=7, min_survivors=7), 7)


# Survivors.


def test_a_survivor_set_larger_than_the_key_list_is_refused():
    """Success: the server fills a set up to the floor with parties that are not there and that this party cannot see."""
    table = ring(13, 6, 3, floor=9)
    table.silent = dict.fromkeys((10, 11, 12), Kind.ADVERTISE)
    table.play(Kind.UNMASK)
    with pytest.raises(RemoteProtocolError, match="a survivor set of 13 is larger than the key list of 10"):
        table.tell(0, Unmask(table.members(range(13)), []))
    assert table.tell(1, Unmask(table.members(range(10)), []))


def test_a_neighbour_that_dealt_nothing_is_no_survivor():
    """Success: a party opens a sum with the vector of a neighbour with whom it shares no mask."""
    table = ring(12, 6, 3, floor=9)
    table.play(Kind.SHARES)
    gone = 4
    table.silent = {gone: Kind.SHARES}
    table.play(Kind.UNMASK)
    order = table.server._got.graph.order
    neighbour = order[(order.index(gone) + 1) % 12]
    stranger = order[(order.index(gone) + 6) % 12]
    with pytest.raises(RemoteProtocolError, match="dealt this one no shares"):
        table.tell(neighbour, Unmask(table.members(range(12)), []))
    # Whoever is not its neighbour cannot tell.
    assert table.tell(stranger, Unmask(table.members(range(12)), []))


# Parties.


def test_a_dealing_for_others_than_the_own_neighbours_is_refused():
    """Success: a party deals to those of its choice: to colluders, or to so few that nobody can open its secrets."""
    table = ring()
    table.play(Kind.SHARES)
    order = table.server._got.graph.order
    liar = 5
    stranger = order[(order.index(liar) + 6) % 12]
    body = body_of(table.mail[liar][0])
    for sealed in (
        body.sealed[1:],
        sorted([*body.sealed[1:], msgspec.structs.replace(body.sealed[0], party=stranger)], key=lambda i: i.party),
        sorted([*body.sealed, msgspec.structs.replace(body.sealed[0], party=stranger)], key=lambda i: i.party),
    ):
        with pytest.raises(RemoteProtocolError, match="expected each of its 6 neighbours once") as error:
            table.give(table.write_as(liar, Shares(body.commitments, sealed)))
        refused(error.value, f"party-{liar}")
    del table.mail[liar]
    table.finish()
    table.assert_exact(set(range(12)) - {liar})


# Lengths.


def padded(party: int) -> SealedShares:
    """As long as one party's part of a message can be."""
    return SealedShares(party, bytes(3612), bytes(2048))


def test_no_more_is_read_than_neighbours_could_have_written():
    """Success: a stranger makes a round with few neighbours carry and decode what a round without a graph could."""
    table = ring(12, 4, 3, floor=9)
    body = body_of(table.play(Kind.SHARES)[0][0])
    long = Shares(body.commitments, [padded(party) for party in range(1, 12)])
    with pytest.raises(MalformedMessageError, match="at most") as error:
        table.give(table.write_as(0, long))
    refused(error.value, "party-0")
    table.play(Kind.CIPHERTEXTS)
    with pytest.raises(MalformedMessageError, match="at most") as error:
        table.tell(0, Ciphertexts([padded(party) for party in range(1, 12)]))
    refused(error.value, "server")
    table.finish()
    table.assert_exact()


# Plans.


def test_no_plan_has_an_odd_number_of_neighbours():
    """Success: a plan promises a degree that the ring does not have."""
    for k in (21, 23):
        with pytest.raises(UnsafePlanError, match="both sides of a party") as error:
            Plan(template=TEMPLATE, parties=100, protocol=SecAgg(graph="k-regular", neighbours=k, dropout=0.05))
        assert f"use {k + 1}" in error.value.remedy
    made = Plan(template=TEMPLATE, parties=100, protocol=SecAgg(graph="k-regular", neighbours=22, dropout=0.05))
    assert made.parameters.neighbours == 22


def test_the_floor_of_a_plan_counts_the_dropouts_that_its_graph_bears():
    """Success: a plan lets more drop than the graph was chosen for, so that what stays falls apart."""
    for delta in (0.05, 0.1):
        made = Plan(template=TEMPLATE, parties=100, protocol=SecAgg(graph="k-regular", dropout=delta)).parameters
        assert made.min_survivors == 100 - int(100 * delta)
    with pytest.raises(UnsafePlanError, match="min_survivors"):
        Plan(template=TEMPLATE, parties=100, protocol=SecAgg(graph="k-regular", dropout=0.1, min_survivors=95))
    lower = Plan(template=TEMPLATE, parties=100, protocol=SecAgg(graph="k-regular", min_survivors=90)).parameters
    upper = Plan(template=TEMPLATE, parties=100, protocol=SecAgg(graph="k-regular", min_survivors=95)).parameters
    assert lower.neighbours > upper.neighbours, "a lower floor needs a denser graph"


@pytest.mark.parametrize(("k", "t"), [(10, 6), (12, 5), (12, 8), (8, 4)])
def test_a_degree_or_threshold_outside_the_bounds_is_refused(k, t):
    """Success: a plan names a k and t of its own, and nobody checks them. Beside (12, 6), for 5 colluders and dropouts of 100."""
    protocol = {"graph": "k-regular", "max_colluders": 5, "dropout": 0.05}
    assert Plan(template=TEMPLATE, parties=100, protocol=SecAgg(**protocol, neighbours=12, threshold=6))
    with pytest.raises(UnsafePlanError, match="no k-regular graph on 100 parties"):
        Plan(template=TEMPLATE, parties=100, protocol=SecAgg(**protocol, neighbours=k, threshold=t))


def test_a_degree_on_which_the_ring_may_fall_apart_is_refused():
    """Success: a plan names a k with a threshold that is secure and lives, on a ring that may fall into small groups."""
    protocol = {"graph": "k-regular", "max_colluders": 0, "min_survivors": 190, "threshold": 2}
    assert Plan(template=TEMPLATE, parties=200, protocol=SecAgg(**protocol, neighbours=12))
    with pytest.raises(UnsafePlanError, match="no k-regular graph on 200 parties"):
        Plan(template=TEMPLATE, parties=200, protocol=SecAgg(**protocol, neighbours=10))
