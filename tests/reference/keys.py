"""Page, "Digests" and "Keys, masks, shares": everything that is derived from a round's context."""

from reference import merkle
from reference.digest import H, u32
from reference.hkdf import hkdf

LABELS = ("self_mask", "mask_key")


def labels(noise):
    """The secrets that a party deals, in their order; `noise` is J, the seeds of noise among them."""
    return LABELS + tuple(f"noise_{j}" for j in range(1, noise + 1))


def ctx0(session, number, roster_digest):
    return H("ctx0", 1, session, number, roster_digest)


def key_list_root(entries):
    """`entries`: (party, mask key, share key), ascending by party."""
    return sized_root(merkle.root([key_leaf(*entry) for entry in entries]), len(entries))


def sized_root(tree_root, attending):
    """A path alone says little of how long the list is, so its length is hashed with the root of its tree."""
    return H("key list", attending, tree_root)


def key_leaf(party, mask_key, share_key):
    return H("key", party, mask_key, share_key)


def ctx(context0, plan_digest, model_digest, root):
    return H("ctx", context0, plan_digest, model_digest, root)


def advertise_data(context0, party, mask_key, share_key):
    return H("advertise", context0, party, mask_key, share_key)


def survivors_data(context, survivors):
    return H("survivors", context, H("u3", b"".join(u32(party) for party in sorted(survivors))))


def commitment(context, owner, label, secret):
    return H("commitment", context, owner, label, secret)


def share_digest(context, owner, holder, label, share):
    return H("share", context, owner, holder, label, share)


def pair_key(context, agreed, u, v):
    return hkdf(agreed, context, b"pair" + u32(min(u, v)) + u32(max(u, v)))


def share_key(context, agreed, source, destination):
    return hkdf(agreed, context, b"share" + u32(source) + u32(destination))


def self_key(context, seed, party):
    return hkdf(seed, context, b"self" + u32(party))


def sealing_aad(context, source, destination):
    return context + u32(source) + u32(destination)


def point(party):
    return party + 1
