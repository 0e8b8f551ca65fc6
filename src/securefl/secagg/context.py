"""ctx0 and ctx: the two values that tie every key, ciphertext and signature to one session, round, plan, model and key list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from securefl.crypto import merkle
from securefl.crypto.digest import digest
from securefl.types import RoundContext
from securefl.wire.messages import VERSION, KeyEntry


def pre_context(context: RoundContext) -> bytes:
    """ctx0 of a round, 32 bytes; see `pre_context_of`."""
    return pre_context_of(context.session, context.round, context.roster_digest)


def pre_context_of(session: bytes, round_number: int, roster_digest: bytes) -> bytes:
    """ctx0 = H(version, session, round, roster digest), 32 bytes: all that can be known before keys are exchanged.

    Advertised keys are signed under it alone, so that they can be fetched before the model of their round exists.
    """
    return digest("ctx0", VERSION, session, round_number, roster_digest)


def bind(context: RoundContext, root: bytes) -> bytes:
    """Ctx = H(ctx0, plan digest, model digest, root of the key list), 32 bytes.

    Parties that were shown different plans, models or keys derive different masks: they get no sum at all, never a wrong one.
    """
    return digest("ctx", pre_context(context), context.plan_digest, context.model_digest, root)


def key_leaf(entry: KeyEntry) -> bytes:
    """What stands in the key list's tree for one party, 32 bytes."""
    return digest("key", entry.party, entry.mask_key, entry.share_key)


def key_tree(entries: Iterable[KeyEntry]) -> merkle.Tree:
    """The Merkle tree over the key list in the order of the roster (RFC 9162, section 2.1.1)."""
    return merkle.Tree([key_leaf(entry) for entry in entries])


def sized_root(tree_root: bytes, attending: int) -> bytes:
    """H(number of entries, root of their tree), 32 bytes: a Merkle path alone shows little of how long the list is."""
    return digest("key list", attending, tree_root)


def key_list_root(entries: Sequence[KeyEntry]) -> bytes:
    """The root of a whole key list, 32 bytes: what enters ctx."""
    return sized_root(key_tree(entries).root, len(entries))
