"""The rounds of rounds.json, played by the library's sessions."""

import numpy as np

from securefl.crypto.signing import SigningKey
from securefl.plan import Plan, Roster
from securefl.plan.roster import Member
from securefl.policy import ClientPolicy
from securefl.session import SecAggClient, SecAggServer


class Scripted:
    """A random source that says what it was told to."""

    def __init__(self, data, integers=()):
        self.load(data, integers)

    def load(self, data, integers=()):
        """Say this from now on."""
        self._data, self._integers = data, list(integers)

    @property
    def spent(self):
        """Whether all of it was said."""
        return not self._data and not self._integers

    def token(self, size):
        assert len(self._data) >= size, "more was drawn than the vector has"
        token, self._data = self._data[:size], self._data[size:]
        return token

    def below(self, bound):
        return self._integers.pop(0) % bound


class ReplayedClient:
    """A party of the library that hands in its update as soon as it may."""

    def __init__(self, replay, name):
        self.replay, self.name, self.random = replay, name, Scripted(b"")
        self.submitted = False
        self.session = SecAggClient(
            name,
            roster=replay.roster,
            policy=ClientPolicy.matching(replay.plan),
            identity=replay.identity(name),
            random=self.random,
        )
        self.enter(replay)

    def enter(self, replay):
        """Draw what the vector of this round says."""
        self.replay, self.submitted = replay, False
        party = replay.vector["parties"][replay.names.index(self.name)]
        ahead = str(replay.names.index(self.name)) in replay.prefetched
        tokens = [] if ahead else [party["mask_private"], party["share_private"]]
        tokens += [party["seed"], *party["nonces"], party["rounding"]]
        tokens += [party["next_mask_private"], party["next_share_private"]]
        integers = [int(a, 16) for label in ("self_mask", "mask_key") for a in reversed(party["coefficients"][label])]
        self.random.load(b"".join(map(bytes.fromhex, tokens)), integers)

    def receive(self, data):
        answers = self.session.receive(data)
        if self.session.state == "shared" and not self.submitted:
            party = self.replay.vector["parties"][self.replay.names.index(self.name)]
            update = self.replay.tree(party["update"])
            self.session.submit(update, weight=party["weight"], metrics=party["metrics"], model=self.replay.model)
            self.submitted = True
        return answers


class Replay:
    """One round of the file; `play` brings a server or a party to the place before a message.

    `before` is the vector of the round whose answers carried this one's keys; `ledger` the server's, for a private plan.
    """

    ledger = None

    def __init__(self, vector, before=None):
        self.vector = vector
        self.before = before and Replay(before)
        self.prefetched = before["prefetched"] if before else {}
        self.names = vector["names"]
        keys = vector["verify_keys"] or [""] * len(self.names)
        members = (Member(name, bytes.fromhex(key)) for name, key in zip(self.names, keys, strict=True))
        self.roster = Roster(tuple(members))
        self.plan = Plan.from_bytes(bytes.fromhex(vector["plan"]))
        self.model = None if vector["model"] is None else self.tree(vector["model"])
        self.drops = {self.names[int(i)]: step for i, step in vector["drops"].items()}
        self.messages = [
            (m["kind"], self.names[m["party"]], m["up"], bytes.fromhex(m["data"])) for m in vector["messages"]
        ]

    def identity(self, name):
        seeds = self.vector["identities"]
        return SigningKey.from_bytes(bytes.fromhex(seeds[self.names.index(name)])) if seeds else None

    def tree(self, leaves):
        arrays = [
            np.array(values, leaf["dtype"]).reshape(leaf["shape"])
            for values, leaf in zip(leaves, self.vector["leaves"], strict=True)
        ]
        return self.plan.layout.unflatten(arrays)

    def start(self, server):
        """Begin this round on a server; what it draws for the ring is what the vector says."""
        server._random.load(b"", self.vector["order_draws"])
        return server.start_round(self.model)

    def new_server(self):
        """A server that has begun this round, and what it sends first."""
        if self.before:
            server, _ = self.before.new_server()
            self.before.carry(server, self.before.messages)
        else:
            random = Scripted(bytes.fromhex(self.vector["session"]))
            server = SecAggServer(self.plan, roster=self.roster, random=random, ledger=self.ledger)
        return server, self.start(server)

    def carry(self, server, messages):
        """Hand the parties' messages to the server; a step that somebody missed is closed."""
        for kind, name, up, data in messages:
            if up:
                reach(server, kind)
                server.receive(data, party=name)
        if messages is self.messages and not server.done:
            server.close_phase()

    def new_client(self, name):
        """A party that has not yet been told of this round."""
        if not self.before:
            return ReplayedClient(self, name)
        client = self.before.new_client(name)
        for kind, to, up, data in self.before.messages:
            if not up and to == name and not (kind == "unmask" and self.before.drops.get(name) == "unmask"):
                client.receive(data)
        client.enter(self)
        return client

    def play(self, receiver, place):
        """What takes the message at `place`, as a function of its bytes."""
        if receiver == "server":
            server, _ = self.new_server()
            self.carry(server, self.messages[:place])
            reach(server, self.messages[place][0])
            return server.receive
        client = self.new_client(receiver)
        for _, name, up, data in self.messages[:place]:
            if not up and name == receiver:
                client.receive(data)
        return client.receive


def reach(server, kind):
    """Close what somebody missed, up to the step of that message."""
    steps = ("advertise", "shares", "masked_input", "consistency", "unmask_shares")
    while server.step is not None and steps.index(kind) > steps.index(_KIND.get(server.step, server.step)):
        server.close_phase()


_KIND = {"share_keys": "shares", "unmask": "unmask_shares"}
"""The message of a step, where it has another name."""
