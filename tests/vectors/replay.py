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
        self._data, self._integers = data, list(integers)

    def token(self, size):
        assert len(self._data) >= size, "more was drawn than the vector has"
        token, self._data = self._data[:size], self._data[size:]
        return token

    def below(self, bound):
        return self._integers.pop(0) % bound


class Replay:
    """One round of the file; `play` brings a server or a party to the place before a message."""

    def __init__(self, vector):
        self.vector = vector
        self.names = vector["names"]
        keys = vector["verify_keys"] or [""] * len(self.names)
        members = (Member(name, bytes.fromhex(key)) for name, key in zip(self.names, keys, strict=True))
        self.roster = Roster(tuple(members))
        self.plan = Plan.from_bytes(bytes.fromhex(vector["plan"]))
        self.model = None if vector["model"] is None else self.tree(vector["model"])
        self.messages = [
            (m["kind"], self.names[m["party"]], m["up"], bytes.fromhex(m["data"])) for m in vector["messages"]
        ]

    def tree(self, leaves):
        arrays = [
            np.array(values, leaf["dtype"]).reshape(leaf["shape"])
            for values, leaf in zip(leaves, self.vector["leaves"], strict=True)
        ]
        return self.plan.layout.unflatten(arrays)

    def new_server(self):
        server = SecAggServer(self.plan, roster=self.roster, random=Scripted(bytes.fromhex(self.vector["session"])))
        return server, server.start_round(self.model)

    def new_client(self, name):
        party = self.vector["parties"][self.names.index(name)]
        tokens = [party["mask_private"], party["share_private"], party["seed"], *party["nonces"], *party["uniforms"]]
        integers = [int(a, 16) for label in ("self_mask", "mask_key") for a in reversed(party["coefficients"][label])]
        seeds = self.vector["identities"]
        client = SecAggClient(
            name,
            roster=self.roster,
            policy=ClientPolicy.matching(self.plan),
            identity=SigningKey.from_bytes(bytes.fromhex(seeds[self.names.index(name)])) if seeds else None,
            random=Scripted(b"".join(map(bytes.fromhex, tokens)), integers),
        )
        update = self.tree(party["update"])
        client.submit(update, weight=party["weight"], metrics=party["metrics"], model=self.model)
        return client

    def play(self, receiver, place):
        """What takes the message at `place`, as a function of its bytes."""
        if receiver == "server":
            server, _ = self.new_server()
            for _, name, up, data in self.messages[:place]:
                if up:
                    server.receive(data, party=name)
            return server.receive
        client = self.new_client(receiver)
        for _, name, up, data in self.messages[:place]:
            if not up and name == receiver:
                client.receive(data)
        return client.receive
