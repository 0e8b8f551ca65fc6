"""The key list between R0 and R1: the server publishes who advertised which keys, each party checks it and fixes ctx by it.

On the complete graph everybody sees the whole list and recomputes its root. On the k-regular one a party sees its own entry and its
neighbours', each with its Merkle path, so that all of them stand on one list although nobody sees it whole.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

from securefl.crypto import merkle
from securefl.crypto.digest import DIGEST_BYTES, equal
from securefl.errors import CryptoError, RemoteProtocolError, UnsafePlanError
from securefl.secagg.advertise import Advertised, check_entry
from securefl.secagg.context import bind, key_leaf, key_list_root, key_tree, pre_context, sized_root
from securefl.secagg.graph import Neighbourhoods
from securefl.secagg.k_regular import refit
from securefl.types import SERVER, Graph, RoundContext, Step
from securefl.wire.messages import KeyEntry, KeyProof, Roster


@dataclasses.dataclass(frozen=True, slots=True)
class KeyList:
    """The keys that a party accepted, its own and its neighbours', and the context that follows from them.

    Args:
        context: the round, with its model digest and the threshold for the parties that advertised.
        ctx: 32 bytes.
        root: of the whole key list, 32 bytes.
        entries: by party.
        attending: how many parties advertised.
    """

    context: RoundContext
    ctx: bytes
    root: bytes
    entries: Mapping[int, KeyEntry]
    attending: int


def publish(
    context: RoundContext, entries: Mapping[int, KeyEntry], graph: Neighbourhoods
) -> tuple[bytes, Callable[[int], Roster]]:
    """The root of the key list, and the message that shows each party its part of it."""
    listed = [entries[party] for party in sorted(entries)]
    tree = key_tree(listed)
    root = sized_root(tree.root, len(listed))

    def roster(shown: list[KeyEntry], proofs: list[KeyProof]) -> Roster:
        return Roster(context.plan_digest, context.model_digest, root, len(listed), shown, proofs)

    if context.graph is Graph.COMPLETE:
        whole = roster(listed, [])
        return root, lambda _: whole
    proofs = {entry.party: KeyProof(place, b"".join(tree.path(place))) for place, entry in enumerate(listed)}

    def part(party: int) -> Roster:
        shown = sorted({party} | graph.of(party))
        return roster([entries[member] for member in shown], [proofs[member] for member in shown])

    return root, part


def accept_roster(
    context: RoundContext,
    party: int,
    own: Advertised,
    message: Roster,
    *,
    verify_keys: Sequence[bytes] | None,
    names: Sequence[str],
) -> KeyList:
    """Check the key list as a party does that trusts nobody.

    Args:
        context: the round as this party knows it; its model digest is taken from the message.
        party: this party's index.
        own: the keys it advertised.
        message: what the server sent.
        verify_keys: identity keys by index, from this party's own disk; None under a semi-honest server.
        names: party names by index, for errors.

    Raises:
        RemoteProtocolError: another plan, keys that are missing, doubled, foreign or wrongly signed, too few parties or neighbours,
            another root, or places that are not in the order of the roster.
    """
    if not equal(message.plan_digest, context.plan_digest):
        raise _refuse(
            "the key list is for another plan than the one agreed", "compare `securefl plan show` on both sides"
        )
    context = dataclasses.replace(context, model_digest=message.model_digest)
    parties = [entry.party for entry in message.entries]
    if parties != sorted(set(parties)) or (parties and parties[-1] >= context.parties):
        raise _refuse(
            "the key list is unordered, names a party twice, or one that is not on the roster", "leave this server"
        )
    entries = {entry.party: entry for entry in message.entries}
    mine = entries.get(party)
    if mine is None or (mine.mask_key, mine.share_key) != (own.mask.public, own.share.public):
        raise _refuse("this party's own keys are missing from the key list or were replaced", "leave this server")
    published = [key for entry in message.entries for key in (entry.mask_key, entry.share_key)]
    if len(set(published)) != len(published):
        doubled = [names[e.party] for e in message.entries if {e.mask_key, e.share_key} & _repeated(published)]
        raise _refuse("a key appears twice in the key list", "leave out the parties named", SERVER, *doubled)
    ctx0 = pre_context(context)
    for entry in message.entries:
        verify_key = verify_keys[entry.party] if verify_keys is not None else None
        check_entry(ctx0, entry, verify_key=verify_key, name=names[entry.party])
    _check_degree(context, message)
    context = fit(context, message.attending)
    _check_root(context, message)
    return KeyList(context, bind(context, message.root), message.root, entries, message.attending)


def _check_degree(context: RoundContext, message: Roster) -> None:
    """A party's entries are its own and all of its neighbours'; proofs come where the list is not whole."""
    if message.attending > context.parties:
        raise _refuse(f"{message.attending} of {context.parties} parties are said to attend", "leave this server")
    shown = len(message.entries) - 1
    if shown != context.degree(message.attending):
        raise _refuse(
            f"{shown} neighbours are on the key list of {message.attending} parties, the plan says "
            f"{context.degree(message.attending)}",
            "leave this server: each neighbour less is a mask less",
        )
    if len(message.proofs) != (len(message.entries) if context.graph is Graph.K_REGULAR else 0):
        raise _refuse(
            f"{len(message.proofs)} Merkle proofs came with {len(message.entries)} entries on a {context.graph} graph",
            "leave this server",
        )


def _check_root(context: RoundContext, message: Roster) -> None:
    if context.graph is Graph.COMPLETE:
        if not equal(key_list_root(message.entries), message.root):
            raise _refuse("the key list does not have the root that was sent with it", "leave this server")
        return
    memo: dict[bytes, bytes] = {}
    for entry, proof in zip(message.entries, message.proofs, strict=True):
        path = [proof.path[start : start + DIGEST_BYTES] for start in range(0, len(proof.path), DIGEST_BYTES)]
        try:
            root = merkle.root_from_path(key_leaf(entry), proof.place, message.attending, path, memo=memo)
        except CryptoError as error:
            raise _refuse(f"a Merkle proof of the key list is none: {error.message}", "leave this server") from error
        if not equal(sized_root(root, message.attending), message.root):
            raise _refuse("an entry of the key list is not under the root that was sent with it", "leave this server")
    _check_places(context, message)


def _check_places(context: RoundContext, message: Roster) -> None:
    """The list ascends by party: the next party stands further on, by no more places than there are parties on the way.

    Where everybody came, each must stand at its own index, and nobody can be listed twice, with other keys for other neighbours.
    """
    parties = [-1, *(entry.party for entry in message.entries), context.parties]
    places = [-1, *(proof.place for proof in message.proofs), message.attending]
    for parted, distance in zip(_steps(parties), _steps(places), strict=True):
        if not 0 < distance <= parted:
            raise _refuse("the places in the key list are not in the order of the roster", "leave this server")


def _steps(ascending: Sequence[int]) -> list[int]:
    return [after - before for before, after in itertools.pairwise(ascending)]


def _repeated(keys: Sequence[bytes]) -> set[bytes]:
    seen: set[bytes] = set()
    return {key for key in keys if key in seen or seen.add(key)}  # type: ignore[func-returns-value]


def fit(context: RoundContext, attending: int) -> RoundContext:
    """The round for the parties that advertised: the rules for t, checked again for their number by both sides.

    On the k-regular graph t rises where fewer parties came, so that the colluders among them still have too few shares.

    Raises:
        RemoteProtocolError: too few to ever open a sum, or a threshold or graph that is unsafe for so few.
    """
    if attending < context.quorum:
        raise _refuse(
            f"{attending} parties advertised, a sum needs {context.quorum}",
            "wait for more parties and start a new round",
        )
    if context.active and 2 * context.threshold <= attending + context.max_colluders:
        raise _refuse(
            f"threshold {context.threshold} is unsafe for {attending} parties and {context.max_colluders} colluders",
            "refuse; 2t > n + c keeps a server from collecting both shares of anybody's secrets",
        )
    if context.graph is Graph.COMPLETE:
        return context
    dropped = attending - context.min_survivors
    try:
        threshold = refit(attending, context.max_colluders, dropped, context.degree(attending), context.threshold)
    except UnsafePlanError as error:
        raise _refuse(str(error), "start a new round when more parties are there") from error
    return dataclasses.replace(context, threshold=threshold)


def _refuse(reason: str, remedy: str, *suspects: str) -> RemoteProtocolError:
    return RemoteProtocolError(reason, phase=Step.SHARE_KEYS, suspects=suspects or (SERVER,), remedy=remedy)
