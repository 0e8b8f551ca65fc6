"""An active server shows different survivor sets to different parties, to have both secrets of a party opened, or to isolate a few.

Every attack here is played to its end by a real server that deviates and by colluders who sign and hand out whatever they hold; what
counts is what the adversary can compute afterwards, not which check stopped it. Controls with a plan that is too weak for the real
number of colluders show that the same attack code succeeds there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from attacks.harness import ACTIVE, SEMI_HONEST, Loot, Table, body_of
from securefl import RoundAbortedError, SecureFLError
from securefl.secagg.consistency import sign_survivors
from securefl.secagg.context import key_list_root
from securefl.secagg.dealing import Label
from securefl.wire.messages import Ciphertexts, Kind, Roster, SealedShares, Survivors, SurvivorSignature, Unmask

Sets = dict[int, frozenset[int]]
"""The survivor set that each honest party is shown."""


def masked(n: int, t: int, *, planned: int, real: int, **how) -> tuple[Table, Loot, dict[int, bytes]]:
    """A round in which everybody masked, and what the server and the last `real` parties know by then."""
    table = Table(n, t, colluders=planned, **{"floor": max(3, planned + 2), **how})
    colluders = range(n - real, n)
    private = {party: table.mask_private(party) for party in colluders}
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    for party in colluders:
        loot.collude(party)
    return table, loot, private


def split(table: Table, loot: Loot, sets: Sets, colluders: Iterable[int]) -> None:
    """Show every honest party its set, pass on whatever is signed (colluders sign all), and ask everybody to open its set."""
    table.play(Kind.SURVIVORS if table.context.active else Kind.UNMASK)
    signed: dict[frozenset[int], dict[int, bytes]] = {}
    for survivors in set(sets.values()):
        signed[survivors] = {
            party: sign_survivors(table.ctx, survivors, table.keys[party]) for party in colluders if party in survivors
        }
    if table.context.active:
        for party, survivors in sets.items():
            try:
                (answer,) = table.tell(party, Survivors(table.members(survivors)))
            except SecureFLError:
                continue
            signed[survivors][party] = body_of(answer).signature
    for party, survivors in sets.items():
        proof = [SurvivorSignature(i, signature) for i, signature in sorted(signed[survivors].items())]
        try:
            loot.take(party, table.tell(party, Unmask(table.members(survivors), proof if table.context.active else [])))
        except SecureFLError:
            continue


EDGES = [(3, 2, 0), (4, 3, 0), (5, 3, 0), (6, 4, 1), (7, 4, 0), (7, 5, 2), (8, 5, 1), (9, 7, 4)]
"""(n, t, c) at the very edge that a plan allows: 2t = n + c + 1, or one above where n + c is odd."""


@pytest.mark.parametrize(("n", "t", "c"), EDGES)
def test_no_split_in_two_opens_both_secrets_of_an_honest_party(n, t, c):
    """Success: with c colluders signing both sets, t shares of a victim's seed and t of its mask key come out."""
    for size in range(n - c):
        table, loot, _ = masked(n, t, planned=c, real=c)
        honest = range(n - c)
        everybody, victim = frozenset(range(n)), n - c - 1
        # The first `size` honest parties are shown the set without the victim, the others (it among them) the whole.
        sets = {party: everybody - {victim} if party < size else everybody for party in honest}
        split(table, loot, sets, range(n - c, n))
        assert loot.both_opened(honest) == []
        for party in honest:
            assert (loot.peel({party}) != table.vectors[party]).any()


@pytest.mark.parametrize(("n", "t", "real"), [(5, 3, 2), (7, 4, 2), (7, 5, 4), (8, 5, 3)])
def test_with_more_colluders_than_planned_the_split_succeeds(n, t, real):
    """The control: 2t <= n + c - 1 for the colluders that are really there, and the victim's vector comes back in clear."""
    table, loot, private = masked(n, t, planned=0, real=real)
    everybody, victim, honest = frozenset(range(n)), n - real - 1, n - real
    size = t - real
    assert 2 * size + 1 <= honest
    sets = {party: everybody - {victim} if party < size else everybody for party in range(honest)}
    split(table, loot, sets, range(n - real, n))
    assert loot.both_opened([victim]) == [victim]
    assert loot.peel({victim}, private).tolist() == table.vectors[victim].tolist()


@pytest.mark.parametrize(("n", "t", "c"), EDGES)
def test_no_split_whatever_opens_more_than_one_set(n, t, c):
    """Success: random sets for every party open two different sums, or both secrets of anybody."""
    rng = np.random.default_rng(n * t)
    for _ in range(6):
        table, loot, _ = masked(n, t, planned=c, real=c)
        honest = range(n - c)
        pool = [frozenset(np.flatnonzero(rng.random(n) < 0.8).tolist()) for _ in range(2)]
        sets = {party: pool[int(rng.integers(2))] | {party} for party in honest}
        split(table, loot, sets, range(n - c, n))
        assert loot.both_opened(honest) == []


def pair_left_alone(table: Table) -> Sets:
    """Sets by which 7 parties with t = 4 open every mask key but those of parties 0 and 1, no set smaller than t."""
    sets = {}
    hidden = {2: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    for party in range(2, 7):
        others = [2 + (party - 2 + step) % 5 for step in (1, 2, 3)]
        sets[party] = frozenset(range(7)) - set(others)
        for other in others:
            hidden[other] += 1
    for party, left in ((0, {2, 3, 4}), (1, {5, 6, 2})):
        sets[party] = frozenset(range(7)) - left
        for other in left:
            hidden[other] += 1
    assert min(hidden.values()) >= table.context.threshold
    assert min(map(len, sets.values())) >= table.context.threshold
    return sets


def test_a_server_that_shows_everybody_another_set_isolates_two_parties_under_a_semi_honest_plan():
    """The control, and what SECURITY.md says: t alone, without the consistency round, does not hold the floor of a sum."""
    table, loot, _ = masked(7, 4, planned=0, real=0, server=SEMI_HONEST, floor=4)
    split(table, loot, pair_left_alone(table), ())
    pair = loot.peel({0, 1})
    assert pair.tolist() == table.exact({0, 1})


def test_the_same_server_isolates_nobody_under_an_active_plan():
    """Success: the sum over fewer parties than the floor comes out, because somebody opens a set that t parties did not sign."""
    table, loot, _ = masked(7, 4, planned=0, real=0, server=ACTIVE, floor=4)
    split(table, loot, pair_left_alone(table), ())
    assert loot.shares == {}
    for size in (1, 2, 3):
        for group in itertools.combinations(range(7), size):
            assert loot.peel(group).tolist() != table.exact(group)


@pytest.mark.parametrize(("n", "t", "c"), [(6, 4, 1), (7, 5, 2), (8, 5, 1)])
def test_only_the_honest_sum_over_the_opened_set_can_be_peeled(n, t, c):
    """Success: with everything that one opened set yields, and all that c colluders know, a smaller honest group stands bare."""
    table, loot, private = masked(n, t, planned=c, real=c)
    survivors = frozenset(range(n)) - {0}
    sets = {party: survivors if party else frozenset(range(n)) for party in range(n - c)}
    split(table, loot, sets, range(n - c, n))
    honest = survivors & frozenset(range(n - c))
    assert loot.peel(honest, private).tolist() == table.exact(honest)
    for size in range(1, len(honest)):
        for group in itertools.combinations(sorted(honest), size):
            assert loot.peel(group, private).tolist() != table.exact(group)


@pytest.mark.parametrize("shown", [4, 5])
def test_a_party_that_is_shown_few_neighbours_is_not_isolated_by_a_set_that_avoids_them(shown):
    """Success: a victim masks with `shown` neighbours only, a set that leaves most of them out is opened, and the victim stands bare,
    alone or beside one other. 2t > n + c leaves more parties in both sets than there are colluders."""
    n, t = 7, 4
    table, few = Table(n, t), list(range(7 - shown, 7))
    loot = Loot(table)
    mail = table.play(Kind.CIPHERTEXTS)
    mail[0] = [table.forge(Ciphertexts([item for item in body_of(mail[0][0]).sealed if item.party in few]))]
    table.step()
    for party, answers in table.mail.items():
        loot.take(party, answers)
    survivors = frozenset(range(n)) - set(few[: n - t])
    signed = {
        party: body_of(table.tell(party, Survivors(table.members(survivors)))[0]).signature
        for party in sorted(survivors - {0})
    }
    with pytest.raises(SecureFLError, match="dealt this one no shares"):
        table.tell(0, Survivors(table.members(survivors)))
    proof = [SurvivorSignature(party, signature) for party, signature in signed.items()]
    for party in signed:
        with pytest.raises(SecureFLError, match="3 signatures of the survivor set came, 4 are needed"):
            table.tell(party, Unmask(table.members(survivors), proof))
    for group in itertools.chain.from_iterable(itertools.combinations(sorted(survivors), size) for size in (1, 2, 3)):
        assert loot.peel(group).tolist() != table.exact(group)


def test_two_key_lists_make_two_rounds_that_lend_each_other_nothing():
    """Success: parties that were shown different key lists take each other's shares, so that small groups reach t together."""
    table = Table(9, 5)
    entries = body_of(table.play(Kind.ROSTER)[0][0]).entries
    dealt = {}
    for party in range(9):
        listed = entries[:6] if party < 4 else entries[3:]
        plan, model = table.context.plan_digest, table.context.model_digest
        (answer,) = table.tell(party, Roster(plan, model, key_list_root(listed), len(listed), listed, []))
        dealt[party] = {item.party: item for item in body_of(answer).sealed}
    contexts = {client._kept.keys.ctx for client in table.clients}
    assert len(contexts) == 2
    # Party 3 is in both lists. It holds the first; the dealers 4 and 5 hold the second, and sealed for it under that.
    assert 3 in dealt[4]
    sealed = [
        SealedShares(dealer, dealt[dealer][3].ciphertext, dealt[dealer][3].share_digests) for dealer in (0, 1, 2, 4, 5)
    ]
    with pytest.raises(RoundAbortedError, match="party-4"):
        table.tell(3, Ciphertexts(sealed), binding=table.clients[3]._kept.keys.ctx)


def test_the_loot_counts_shares_by_secret():
    """The harness counts what it says: t shares of one secret open that one and not the other."""
    _, loot, _ = masked(5, 3, planned=0, real=3)
    assert loot.both_opened([0]) == [0]
    del loot.shares[0, Label.MASK_KEY][4]
    assert loot.opened(0, Label.SELF_MASK)
    assert loot.opened(0, Label.MASK_KEY) is None
    assert loot.both_opened([0]) == []
