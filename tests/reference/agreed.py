"""Page, "Messages": what everybody knows of a round, what a party draws for it, and the checks that both roles make."""

import dataclasses

from reference import ed25519, k_regular, keys, msgpack, x25519
from reference.errors import Refused
from reference.plan import NO_MODEL, plan_digest

STEPS = ("advertise", "share_keys", "masked_input", "consistency", "unmask")


@dataclasses.dataclass(frozen=True)
class Round:
    """What is known to everybody. `identities` are the seeds of the Ed25519 keys, given under an active server only."""

    session: bytes
    number: int
    roster_digest: bytes
    plan: bytes
    parties: int
    threshold: int
    min_survivors: int
    bits: int
    length: int
    max_colluders: int = 0
    model_digest: bytes = NO_MODEL
    identities: tuple = ()
    chunk_words: int = 2**17
    degree: int = 0
    """k on the k-regular graph, 0 on the complete one."""
    prefetch: bool = False
    noise: int = 0
    """J, the seeds of noise that each party deals."""

    @property
    def active(self):
        return bool(self.identities)

    @property
    def ctx0(self):
        return keys.ctx0(self.session, self.number, self.roster_digest)

    @property
    def quorum(self):
        return max(self.threshold + 1, self.min_survivors)

    @property
    def min_shares(self):
        """The least A_u."""
        return self.threshold if self.degree else self.quorum - 1

    @property
    def labels(self):
        """The secrets that each party deals."""
        return keys.labels(self.noise)

    @property
    def floor(self):
        """The least U3: with seeds of noise at most J parties may be missing from the roster."""
        return max(self.threshold, self.min_survivors, self.parties - self.noise if self.noise else 0)

    def owed(self, owner, survivors):
        """The labels of the shares that are opened of `owner`, in their order."""
        if owner not in survivors:
            return ("mask_key",)
        missing = self.parties - len(survivors)
        return ("self_mask", *(f"noise_{j}" for j in range(missing + 1, self.noise + 1)))

    def neighbours(self, attending):
        """How many each party has."""
        return min(self.degree or attending, attending - 1)

    def fitted(self, attending):
        """The round for those that advertised: the rule for t again, and on the k-regular graph t as it must be for so many."""
        if attending < self.quorum or (self.active and 2 * self.threshold <= attending + self.max_colluders):
            raise Refused("too few parties, or a threshold that is unsafe for so many")
        if not self.degree:
            return self
        missing, k = attending - self.min_survivors, self.neighbours(attending)
        threshold = k_regular.refit(attending, self.max_colluders, missing, k, self.threshold)
        return dataclasses.replace(self, threshold=threshold)

    def verify_key(self, party):
        return ed25519.public_key(self.identities[party]) if self.active else None

    def ctx(self, model_digest, root):
        return keys.ctx(self.ctx0, plan_digest(self.plan), model_digest, root)

    def chunks(self):
        """(first, end) of each part of the vector."""
        starts = range(0, max(self.length, 1), self.chunk_words)
        return [(start, min(start + self.chunk_words, self.length)) for start in starts]


@dataclasses.dataclass(frozen=True)
class Draws:
    """All that a party draws: two private keys, b_u, the seeds of noise, a_1..a_(t-1) by label, a nonce for each holder in ascending order.

    Of coefficients and nonces there may be more than are used.
    """

    mask_private: bytes
    share_private: bytes
    seed: bytes = b""
    coefficients: dict = dataclasses.field(default_factory=dict)
    nonces: tuple = ()
    noise: tuple = ()


def check_keys(round_, party, mask_key, share_key, signature):
    """What both roles check of an advertised pair of keys."""
    if not (x25519.usable(mask_key) and x25519.usable(share_key)):
        raise Refused("a key of small order, or not below 2^255 - 19")
    if mask_key == share_key:
        raise Refused("the two keys are the same")
    data = keys.advertise_data(round_.ctx0, party, mask_key, share_key)
    if round_.active and not ed25519.verify(round_.verify_key(party), signature, data):
        raise Refused("the keys are not signed by that party")
    if not round_.active and signature:
        raise Refused("a signature that nobody would check")


def sealed_bytes(labels):
    """The length of what is sealed: nonce and tag around a bundle of one share a label."""
    return 12 + 16 + len(msgpack.encode([[[label, bytes(33)] for label in labels]]))
