"""Page, "Messages": one round, as its parties and its server see it. All randomness is given, so all bytes are determined.

`run` carries messages between a server and n parties of whom some fall silent.
"""

import dataclasses

from reference.agreed import STEPS, Draws, Round, check_keys, sealed_bytes
from reference.errors import Aborted
from reference.party import Party
from reference.server import Server

__all__ = ["STEPS", "Draws", "Party", "Round", "Server", "Transcript", "check_keys", "run", "sealed_bytes"]


@dataclasses.dataclass
class Transcript:
    """All that was sent, in order, as (to the server?, party, bytes), and what came of it."""

    messages: list = dataclasses.field(default_factory=list)
    dropped: dict = dataclasses.field(default_factory=dict)
    survivors: list = dataclasses.field(default_factory=list)
    total: list | None = None
    ctx: bytes = b""
    aborted: str = ""
    """The step at whose end the round ended without a sum."""
    prefetched: dict = dataclasses.field(default_factory=dict)
    """The next round's Advertise messages that came with the answers, by party."""
    graph: dict = dataclasses.field(default_factory=dict)
    seeds: dict = dataclasses.field(default_factory=dict)
    """The seeds of noise that were opened, by survivor and number."""


def run(round_, draws, vectors, drops=None, *, order=(), following=None, prefetched=None):
    """A whole round; `drops` maps a party to the step in which it falls silent, for good.

    `order`: the server's draws for the ring. `following`: the next round and everybody's draws for it. `prefetched`: the Advertise
    messages of this round that came in the one before.
    """
    drops = drops or {}
    server = Server(round_, order)
    parties = [Party(round_, i, draws[i], vectors[i]) for i in range(round_.parties)]
    if following:
        next_round, next_draws = following
        for party in parties:
            party.following = Party(next_round, party.index, next_draws[party.index], ())
    transcript = Transcript()
    ahead = server.usable(prefetched or {})

    def send(outgoing):
        transcript.messages += [(False, party, data) for party, data in sorted(outgoing.items())]
        return outgoing

    inbox = send(server.invite(ahead))
    for step in STEPS:
        if step == "consistency" and not round_.active:
            continue
        arrived = dict(ahead) if step == "advertise" else {}
        for party, data in sorted(inbox.items()):
            if drops.get(party) == step:
                continue
            answer = parties[party].advertise() if step == "advertise" else getattr(parties[party], step)(data)
            arrived[party] = answer
            parts = answer if isinstance(answer, list) else [answer]
            transcript.messages += [(True, party, part) for part in parts]
        for party in set(inbox) - set(arrived):
            transcript.dropped.setdefault(party, step)
        try:
            outcome = getattr(server, step)(arrived)
        except Aborted:
            transcript.aborted = step
            return transcript
        finally:
            transcript.ctx = server.ctx
            transcript.prefetched = server.prefetched
            transcript.graph = getattr(server, "graph", {})
        if step == "unmask":
            transcript.total, transcript.survivors = outcome, sorted(server.reported)
            transcript.seeds = server.seeds
            return transcript
        inbox = send(outcome)
    raise AssertionError
