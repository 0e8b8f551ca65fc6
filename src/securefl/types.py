"""Words that every layer shares: steps, models of the server, and the context of one round."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
"""A vector over Z_{2^b}: uint32 for b <= 32, uint64 above."""

Tree: TypeAlias = Any
"""Nested dicts, lists and tuples whose leaves are arrays or numbers."""

SERVER = "server"
"""The name of the server in error messages and reports; no party may bear it."""

KEY_HOLDER = "key-holder"
"""The name of whoever holds a Paillier key and is no party; no party may bear it."""


class Step(enum.StrEnum):
    """The steps of a secure-aggregation round, by what a party completes in each (Bonawitz et al. 2017, figure 4).

    A Paillier round has two of them: its parties' encrypted vectors are the masked inputs, and decryption of the sum is the unmasking.
    """

    ADVERTISE = "advertise"
    SHARE_KEYS = "share_keys"
    MASKED_INPUT = "masked_input"
    CONSISTENCY = "consistency"
    UNMASK = "unmask"


class ServerModel(enum.StrEnum):
    """What the server is assumed to do: follow the protocol and look (semi-honest), or anything at all (active)."""

    SEMI_HONEST = "semi-honest"
    ACTIVE = "active"


class KeyModel(enum.StrEnum):
    """Who holds the key that a Paillier sum is decrypted with."""

    SEPARATE = "separate"
    CLIENTS = "clients"
    THRESHOLD = "threshold"


class Graph(enum.StrEnum):
    """Which pairs of parties share masks."""

    COMPLETE = "complete"
    K_REGULAR = "k-regular"


@dataclasses.dataclass(frozen=True, slots=True)
class RoundContext:
    """Everything the protocol needs to know of a round: integers and bytes, no floats, no plan.

    Args:
        session: 16 random bytes that name the session.
        round: number of the round in its session; a retry has a new number.
        roster_digest: 32 bytes, of the ordered roster.
        plan_digest: 32 bytes, of the whole plan.
        model_digest: 32 bytes, of the model that the round starts from; 32 zero bytes for none.
        parties: n, the number of parties on the roster.
        threshold: t, the number of shares that rebuild a secret.
        max_colluders: c, the parties assumed to collude with the server.
        min_survivors: the least number of vectors that a sum may hold; at least 3.
        server: the server model.
        ring_bits: b; sums are taken modulo 2^b.
        length: number of coordinates of the masked vector.
        graph: which pairs share masks.
        neighbours: k, with how many others a party shares masks on the k-regular graph; 0 on the complete one: with all.
        prefetch: whether the keys of the round that follows ride in the last answer.
        noise_labels: J, the seeds that each party deals beside its two secrets; of each party in the sum those are opened that have a
            higher number than parties are missing from it. More than J may not be missing.
    """

    session: bytes
    round: int
    roster_digest: bytes
    plan_digest: bytes
    model_digest: bytes
    parties: int
    threshold: int
    max_colluders: int
    min_survivors: int
    server: ServerModel
    ring_bits: int
    length: int
    graph: Graph = Graph.COMPLETE
    neighbours: int = 0
    prefetch: bool = False
    noise_labels: int = 0

    @property
    def active(self) -> bool:
        """Whether the server is assumed to be active, so that signatures are mandatory."""
        return self.server is ServerModel.ACTIVE

    @property
    def quorum(self) -> int:
        """Parties without whom no sum can be opened: a secret's t share-holders and, since nobody keeps a share of its own, its owner."""
        return max(self.threshold + 1, self.min_survivors)

    @property
    def max_dropouts(self) -> int:
        """D: parties that may be missing from the sum."""
        return self.parties - self.min_survivors

    @property
    def noise_floor(self) -> int:
        """Vectors without which the sum cannot hold the noise that was agreed: n - J; 0 where no seeds are dealt."""
        return self.parties - self.noise_labels if self.noise_labels else 0

    @property
    def min_shares(self) -> int:
        """Neighbours without whose shares a party has nothing to open: a threshold of them, on the complete graph a quorum."""
        return self.threshold if self.graph is Graph.K_REGULAR else self.quorum - 1

    def degree(self, attending: int) -> int:
        """With how many others each of the parties that advertised shares masks."""
        return min(self.neighbours, attending - 1) if self.graph is Graph.K_REGULAR else attending - 1
