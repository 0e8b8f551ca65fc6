"""Rounds of a private plan, in the clear and over real messages, which must come to the same integers.

In the clear there are no masks and no messages, and nothing else differs: each party's vector is the one of `encode_private`, its
share of the noise included, and the vectors are added modulo 2^b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource
from securefl.dp.ledger import PrivacyLedger
from securefl.pipeline import decode_private, encode_private, noisy_sum
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.session import RoundResult, SecAggClient, SecAggServer
from securefl.types import Step, Tree

Integers = npt.NDArray[np.int64]


class Recorded:
    """The operating system's entropy, with a record of what it gave."""

    def __init__(self) -> None:
        self.tokens: list[bytes] = []

    def token(self, size: int) -> bytes:
        """Return `size` uniform bytes, and keep them."""
        self.tokens.append(OS.token(size))
        return self.tokens[-1]

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound); encoding asks for none."""
        return OS.below(bound)


class Replayed:
    """The bytes of a record, in the order in which they were given."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = iter(tokens)

    def token(self, size: int) -> bytes:
        """Return the next bytes of the record."""
        given = next(self._tokens, b"")
        if len(given) != size:
            raise ValueError(f"{size} bytes are asked for, the record has {len(given)}: this is not what was recorded")
        return given

    def below(self, bound: int) -> int:
        """Refuse: no such draw is on record."""
        raise ValueError(
            f"an integer below {bound} is asked for, the record has bytes only: this is not what was recorded"
        )


def clear_sum(
    plan: Plan,
    updates: Mapping[str, Tree],
    rotation_seed: bytes,
    sources: Mapping[str, RandomSource],
    server: RandomSource = OS,
) -> Integers:
    """Add the parties' vectors in the clear.

    Args:
        plan: a private plan with its noise chosen.
        updates: one a party.
        rotation_seed: of the round.
        sources: of each party's rounding and noise.
        server: of the noise that the server adds, where the mechanism has it add some.

    Returns:
        The noisy sum on the grid, centred, shape (d,).
    """
    total = plan.ring.zeros(plan.length)
    for name, update in updates.items():
        plan.ring.add_into(total, encode_private(plan, update, rotation_seed, random=sources[name]).words)
    return noisy_sum(plan, total, server)


def clear_mean(plan: Plan, updates: Mapping[str, Tree], source: RandomSource) -> Any:
    """A whole round in the clear: the mean over the plan's fixed denominator; one source serves everybody."""
    seed = source.token(32)
    total = clear_sum(plan, updates, seed, dict.fromkeys(updates, source), source)
    return decode_private(plan, total, seed, len(updates))[0].mean


class SecureRounds:
    """A session of real clients and a real server, all here; each round's sum is also computed in the clear, from the same draws.

    Args:
        plan: a plan whose parties add the noise.
        parties: their names.
        ledger: the server's and everybody's.
    """

    def __init__(self, plan: Plan, parties: Sequence[str], ledger: PrivacyLedger) -> None:
        roster = Roster.unsigned(parties)
        policy = ClientPolicy.matching(plan)
        self._sources = {name: Recorded() for name in parties}
        self._clients = {
            name: SecAggClient(name, roster=roster, policy=policy, ledger=ledger, random=source)
            for name, source in self._sources.items()
        }
        self._server = SecAggServer(plan, roster=roster, ledger=ledger)
        self._number = 0

    def round(self, updates: Mapping[str, Tree], *, model: Tree | None = None) -> tuple[RoundResult, Integers]:
        """Run one round; returns its result, and the integers that the same draws give in the clear."""
        self._number += 1
        outbox, drawn = self._server.start_round(model), {}
        while not self._server.done:
            step = self._server.step
            for source in self._sources.values():
                source.tokens.clear()
            answers = [(name, reply) for name, data in outbox for reply in self._clients[name].receive(data)]
            if step is Step.ADVERTISE:
                for name, client in self._clients.items():
                    client.submit(updates[name], model=model)
            if step is Step.MASKED_INPUT:
                drawn = {name: Replayed(tuple(source.tokens)) for name, source in self._sources.items()}
            outbox = [mail for name, data in answers for mail in self._server.receive(data, party=name)]
            if not outbox and not self._server.done:
                outbox = self._server.close_phase()
        result = self._server.result()
        seed = result.plan.rotation_seed(self._server.session, self._number)
        return result, clear_sum(result.plan, updates, seed, drawn)
