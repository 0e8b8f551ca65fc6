"""The key list as the server publishes it and a party accepts it; whole attacks are in tests/attacks/test_k_regular_graph.py."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from securefl.crypto import merkle
from securefl.crypto.digest import DIGEST_BYTES
from securefl.crypto.random import OS
from securefl.errors import RemoteProtocolError
from securefl.secagg.advertise import advertise, entry_of
from securefl.secagg.context import bind, key_leaf, key_tree, pre_context, sized_root
from securefl.secagg.graph import draw
from securefl.secagg.key_list import accept_roster, fit, publish
from securefl.secagg.parameters import Parameters, choose
from securefl.types import Graph, ServerModel
from securefl.wire.messages import KeyProof
from unit.secagg.harness import IDENTITIES, context_of, names_of

N, K = 14, 6
RING = context_of(Parameters(N, ServerModel.SEMI_HONEST, Graph.K_REGULAR, 3, 1, 11, K))
COMPLETE = context_of(choose(N, ServerModel.ACTIVE))
BOTH = pytest.mark.parametrize("context", [RING, COMPLETE], ids=lambda context: context.graph)


class Published:
    """Everybody's keys, and what the server shows of them."""

    def __init__(self, context, absent=()):
        self.context = context
        self.present = [party for party in range(N) if party not in absent]
        ctx0, self.own, self.entries = pre_context(context), {}, {}
        for party in self.present:
            identity = IDENTITIES[party] if context.active else None
            self.own[party], message = advertise(ctx0, party, identity=identity, random=OS)
            self.entries[party] = entry_of(party, message)
        self.graph = draw(context, self.present, OS)
        self.root, self.part = publish(context, self.entries, self.graph)

    def accept(self, party, message):
        verify_keys = [key.verify_key for key in IDENTITIES[:N]] if self.context.active else None
        own = self.own[party]
        return accept_roster(self.context, party, own, message, verify_keys=verify_keys, names=names_of(N))


@BOTH
@pytest.mark.parametrize("absent", [(), (3,), (0, 13)])
def test_what_is_published_is_accepted_by_everybody_under_one_ctx(context, absent):
    published = Published(context, absent)
    lists = {party: published.accept(party, published.part(party)) for party in published.present}
    assert {keys.ctx for keys in lists.values()} == {bind(context, published.root)}
    for party, keys in lists.items():
        assert keys.entries == {i: published.entries[i] for i in published.graph.of(party) | {party}}
        assert keys.attending == N - len(absent)
        assert keys.context == fit(context, keys.attending)


def test_on_the_complete_graph_everybody_is_sent_the_same_message_without_proofs():
    published = Published(COMPLETE, (2,))
    assert published.part(0) is published.part(13)
    assert published.part(0).proofs == []
    assert [entry.party for entry in published.part(0).entries] == published.present


def test_on_the_ring_a_party_is_sent_its_own_part_with_a_path_to_the_root_for_each():
    published = Published(RING, (2,))
    for party in published.present:
        message = published.part(party)
        assert [entry.party for entry in message.entries] == sorted(published.graph.of(party) | {party})
        assert len(message.entries) == len(message.proofs) == K + 1
        for entry, proof in zip(message.entries, message.proofs, strict=True):
            assert proof.place == published.present.index(entry.party)
            path = [proof.path[i : i + DIGEST_BYTES] for i in range(0, len(proof.path), DIGEST_BYTES)]
            root = merkle.root_from_path(key_leaf(entry), proof.place, N - 1, path)
            assert sized_root(root, N - 1) == published.root == message.root


def lies(published, message):
    """Key lists for party 0 that no honest server sends, each with what the refusal says."""
    entries, proofs = message.entries, message.proofs
    strange = next(entry for party, entry in published.entries.items() if entry not in entries)
    tree = key_tree([published.entries[party] for party in published.present])
    proof = KeyProof(strange.party, b"".join(tree.path(strange.party)))
    shuffled = sorted([*zip(entries, proofs, strict=True), (strange, proof)], key=lambda pair: pair[0].party)
    swapped = [proofs[1], proofs[0], *proofs[2:]]
    flipped = KeyProof(proofs[1].place, bytes([proofs[1].path[0] ^ 1]) + proofs[1].path[1:])
    replaced = msgspec.structs.replace(entries[0], mask_key=published.own[0].share.public)
    return {
        "wrong path": ({"proofs": [proofs[0], flipped, *proofs[2:]]}, "not under the root"),
        "swapped proofs": ({"proofs": swapped}, "not under the root"),
        "missing neighbour": ({"entries": entries[:-1], "proofs": proofs[:-1]}, "5 neighbours"),
        "extra neighbour": (
            {"entries": [pair[0] for pair in shuffled], "proofs": [pair[1] for pair in shuffled]},
            "7 neighbours",
        ),
        "too few attending": ({"attending": 10}, "10 parties advertised, a sum needs 11"),
        "too many attending": ({"attending": N + 1}, f"{N + 1} of {N} parties"),
        "own key replaced": ({"entries": [replaced, *entries[1:]]}, "own keys are missing"),
        "own entry missing": ({"entries": entries[1:], "proofs": proofs[1:]}, "own keys are missing"),
        "no proofs": ({"proofs": []}, "0 Merkle proofs"),
        "another root": ({"root": bytes(32)}, "not under the root"),
        "another plan": ({"plan_digest": b"x" * 32}, "another plan"),
    }


LIES = [
    "wrong path", "swapped proofs", "missing neighbour", "extra neighbour", "too few attending", "too many attending",
    "own key replaced", "own entry missing", "no proofs", "another root", "another plan",
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_part_that_is_not_the_plan_s_or_not_under_the_root_is_refused(lie):
    published = Published(RING)
    message = published.part(0)
    changes, reason = lies(published, message)[lie]
    with pytest.raises(RemoteProtocolError, match=reason) as caught:
        published.accept(0, msgspec.structs.replace(message, **changes))
    assert caught.value.suspects == ("server",)
    assert caught.value.remedy


def reordered(published, message, order):
    """The message of a server whose list is in this order of parties, with right paths."""
    tree = key_tree([published.entries[party] for party in order])
    places = [order.index(entry.party) for entry in message.entries]
    proofs = [KeyProof(place, b"".join(tree.path(place))) for place in places]
    return msgspec.structs.replace(message, root=sized_root(tree.root, len(order)), proofs=proofs)


def test_places_that_are_not_in_the_order_of_the_roster_are_refused_by_whoever_can_see_it():
    """Whose neighbours look as in an honest list cannot tell; every exchange is seen by somebody."""
    published = Published(RING)
    for at in range(N - 1):
        order = [*range(at), at + 1, at, *range(at + 2, N)]
        for party in published.present:
            message = published.part(party)
            lie = reordered(published, message, order)
            if {at, at + 1}.isdisjoint(entry.party for entry in message.entries):
                assert published.accept(party, lie).root == lie.root
                continue
            with pytest.raises(RemoteProtocolError, match="not in the order of the roster") as caught:
                published.accept(party, lie)
            assert caught.value.suspects == ("server",)
            assert caught.value.remedy


@pytest.mark.parametrize("off", [-1, 1])
def test_attending_off_by_one_does_not_pass_at_every_party(off):
    """The path of a place has another shape in a tree of another size for some places: the last parties notice, all get one ctx or none."""
    published = Published(RING, (5, 6))
    last = max(published.present)
    for party in {last} | published.graph.of(last):
        with pytest.raises(RemoteProtocolError):
            published.accept(party, msgspec.structs.replace(published.part(party), attending=N - 2 + off))


def test_proofs_are_refused_where_the_list_is_whole():
    published = Published(COMPLETE)
    message = msgspec.structs.replace(published.part(0), proofs=[KeyProof(0, b"")])
    with pytest.raises(RemoteProtocolError, match="1 Merkle proofs came with 14 entries on a complete graph"):
        published.accept(0, message)


def test_the_threshold_rises_and_never_falls_for_fewer_parties():
    """The page's numbers: 1 000 invited at 10 % and 10 % plan (52, 28); 950 of them need 29."""
    context = dataclasses.replace(RING, parties=1000, neighbours=52, threshold=28, max_colluders=100, min_survivors=900)
    fitted = [fit(context, attending).threshold for attending in range(901, 1001)]
    assert fitted == sorted(fitted, reverse=True)
    assert (fitted[49], fitted[-1]) == (29, 28)
    assert fit(dataclasses.replace(context, threshold=31), 950).threshold == 31
    with pytest.raises(RemoteProtocolError, match="899 parties advertised, a sum needs 900"):
        fit(context, 899)
    assert fit(COMPLETE, N - 1) is COMPLETE
