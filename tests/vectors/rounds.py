"""Whole rounds, played by the reference."""

import dataclasses
import struct

from reference import ed25519, encoding, messages, msgpack, protocol, shamir
from reference import plan as plans
from vectors.streams import Tape, below, stream

COMPLETE = {"active": False, "bits": 10, "max_weight": 1, "metrics": (), "drops": {}}
# 4 of 8 neighbours, of whom one may collude and two may leave: then t = 2, and 6 must stay.
RING = {**COMPLETE, "n": 8, "t": 2, "k": 4, "colluders": 1, "floor": 6, "bits": 11}
AHEAD = {**COMPLETE, "n": 5, "t": 3, "active": True, "bits": 11, "prefetch": True}
RING_AHEAD = {**COMPLETE, "n": 7, "t": 3, "k": 4, "colluders": 1, "floor": 6, "bits": 16, "prefetch": True}

SHAPES = {
    "semi-honest-3": {**COMPLETE, "n": 3, "t": 2},
    "active-3": {
        **COMPLETE,
        "n": 3,
        "t": 2,
        "active": True,
        "bits": 13,
        "max_weight": 10,
        "metrics": (("loss", 0, 10),),
    },
    "semi-honest-5-drops": {
        **COMPLETE,
        "n": 5,
        "t": 2,
        "bits": 23,
        "max_weight": 3,
        "drops": {1: "masked_input", 3: "share_keys"},
    },
    "active-5-drop": {**COMPLETE, "n": 5, "t": 3, "active": True, "bits": 33, "drops": {3: "masked_input"}},
    "active-5-drop-at-advertise": {**COMPLETE, "n": 5, "t": 3, "active": True, "bits": 11, "drops": {0: "advertise"}},
    "active-5-drop-at-consistency": {
        **COMPLETE,
        "n": 5,
        "t": 3,
        "active": True,
        "bits": 11,
        "drops": {1: "consistency"},
    },
    "semi-honest-3-too-few": {**COMPLETE, "n": 3, "t": 2, "drops": {1: "masked_input"}},
    "k-regular-8": RING,
    "k-regular-8-drops-at-advertise": {**RING, "drops": {0: "advertise", 5: "advertise"}},
    "k-regular-8-drops-at-share-keys": {**RING, "drops": {2: "share_keys", 3: "share_keys"}},
    "k-regular-8-drops-at-masked-input": {
        **RING,
        "max_weight": 5,
        "bits": 14,
        "drops": {1: "masked_input", 7: "masked_input"},
    },
    "k-regular-8-drops-at-unmask": {**RING, "drops": {4: "unmask", 6: "unmask"}},
    "k-regular-8-mixed-drops": {**RING, "bits": 33, "drops": {3: "advertise", 6: "masked_input", 0: "unmask"}},
    "k-regular-8-too-few": {**RING, "drops": {1: "advertise", 4: "share_keys", 5: "masked_input"}},
    "k-regular-7-attended-by-few": {
        **RING,
        "n": 7,
        "k": 6,
        "floor": 5,
        "t": 3,
        "drops": {1: "advertise", 2: "advertise"},
    },
    "active-5-prefetch-1": {**AHEAD, "drops": {4: "unmask"}},
    "active-5-prefetch-2": {**AHEAD, "after": "active-5-prefetch-1"},
    "k-regular-7-prefetch-1": RING_AHEAD,
    "k-regular-7-prefetch-2": {**RING_AHEAD, "drops": {2: "masked_input"}, "after": "k-regular-7-prefetch-1"},
}
LEAVES = (("b", (2,), "float32"), ("layers[0]", (2, 1), "float64"), ("n", (), "int64"))
MODELS = {
    "active-3": [[0.5, -0.25], [1.0, 2.0], [3]],
    "active-5-drop": [[0.0, 1.0], [-1.0, 0.125], [-7]],
    "k-regular-8": [[1.5, -2.0], [0.0, 0.5], [9]],
    "k-regular-7-prefetch-2": [[-1.0, 2.0], [0.5, 0.5], [-1]],
}


def kind_of(data):
    return messages.NAMES[msgpack.decode(data)[1]]


class Case:
    """One round of the file: what its parties drew and encoded, and its transcript."""

    shapes = SHAPES

    def __init__(self, name):
        shape = self.shapes[name]
        n, t = shape["n"], shape["t"]
        # Two rounds that follow each other are of one session.
        self.name, self.shape, session = name, shape, shape.get("after", name)
        self.names = [f"hospital-{i}" for i in range(n)]
        self.identities = tuple(stream(f"{session} identity {i}", 32) for i in range(n)) if shape["active"] else ()
        verify_keys = [ed25519.public_key(seed) for seed in self.identities]
        colluders = shape.get("colluders", min(2 * t - n - 1, t - 2) if shape["active"] else t - 2)
        self.plan = plans.Plan(
            server="active" if shape["active"] else "semi-honest",
            parties=n,
            threshold=t,
            max_colluders=colluders,
            min_survivors=shape.get("floor", max(3, t, colluders + 2)),
            ring_bits=shape["bits"],
            max_weight=shape["max_weight"],
            metrics=shape["metrics"],
            purpose="vectors",
            degree=shape.get("k", 0),
            prefetch=shape.get("prefetch", False),
            **self._encoding(),
        )
        self.verify_keys = verify_keys
        self.model = MODELS.get(name)
        self.round = protocol.Round(
            session=stream(f"{session} session", 16),
            number=2 if "after" in shape else 1,
            roster_digest=plans.roster_digest(self.names, verify_keys or None),
            plan=self.plan.to_bytes(),
            parties=n,
            threshold=t,
            min_survivors=self.plan.min_survivors,
            bits=shape["bits"],
            length=self.plan.length,
            max_colluders=colluders,
            model_digest=plans.NO_MODEL if self.model is None else plans.model_digest(LEAVES, tensors(self.model)),
            identities=self.identities,
            degree=self.plan.degree,
            prefetch=self.plan.prefetch,
            noise=self.plan.noise,
        )
        self.attending = n - list(shape["drops"].values()).count("advertise")
        self.draws = [self._draws(i) for i in range(n)]
        self.order = self._order()
        self.inputs = [self._input(i) for i in range(n)]
        self.vectors = [self._vector(given) for given in self.inputs]
        self.before = Case(shape["after"]) if "after" in shape else None
        self.transcript = protocol.run(
            self.round,
            self.draws,
            self.vectors,
            shape["drops"],
            order=self.order,
            following=self._following() if self.plan.prefetch else None,
            prefetched=self.before and self.before.transcript.prefetched,
        )

    def _encoding(self):
        """The fields of the plan that say what is in the vector."""
        return {"value_bits": 8, "bound": 1.0, "leaves": LEAVES}

    def _vector(self, given):
        return encoding.encode_vector(
            self.plan, given["update"], given["weight"], given["metrics"], Tape(given["rounding"])
        )

    def _following(self):
        """The next round as far as its keys go: they are drawn under the name of that round, so that its case draws the same."""
        name = f"{self.name[:-1]}{self.round.number + 1}"
        next_round = dataclasses.replace(self.round, number=self.round.number + 1)
        return next_round, [self._keys(name, i) for i in range(self.round.parties)]

    def _keys(self, name, i):
        return protocol.Draws(stream(f"{name} {i} mask", 32), stream(f"{name} {i} share", 32))

    def _draws(self, i):
        name, t = f"{self.name} {i}", self.shape["t"]
        holders = min(self.shape.get("k", self.attending), self.attending - 1)
        return dataclasses.replace(
            self._keys(self.name, i),
            seed=stream(f"{name} seed", 32),
            coefficients={
                label: [below(f"{name} {label} {power}", shamir.P) for power in range(1, t)]
                for label in self.round.labels
            },
            nonces=tuple(stream(f"{name} nonce {j}", 12) for j in range(holders)),
            noise=tuple(stream(f"{name} noise {j}", 32) for j in range(1, self.round.noise + 1)),
        )

    def _order(self):
        """What the server draws for the ring: a number in 0..last for each place from the last one down."""
        if not self.shape.get("k") or self.shape["k"] >= self.attending - 1:
            return []
        return [below(f"{self.name} place {last}", last + 1) for last in range(self.attending - 1, 0, -1)]

    def _input(self, i):
        name = f"{self.name} {i}"
        values = [[(below(f"{name} value {j} {k}", 400) - 200) / 128 for k in range(2)] for j in range(2)]
        update = [*values, [below(f"{name} count", 300) - 150]]
        weight = 1 + below(f"{name} weight", self.shape["max_weight"])
        metrics = {metric: below(f"{name} {metric}", 1200) / 100 for metric, *_ in self.shape["metrics"]}
        tape = Tape(stream(f"{name} rounding", 1000))
        encoding.encode_vector(self.plan, update, weight, metrics, tape)
        return {"update": update, "weight": weight, "metrics": metrics, "rounding": tape.used}

    def described(self):
        r, transcript = self.round, self.transcript
        ahead = self._following()[1] if self.plan.prefetch else [protocol.Draws(b"", b"")] * r.parties
        parties = [
            {
                "mask_private": draws.mask_private,
                "share_private": draws.share_private,
                "seed": draws.seed,
                "coefficients": {
                    label: [a.to_bytes(33, "big") for a in powers] for label, powers in draws.coefficients.items()
                },
                "nonces": draws.nonces,
                **given,
                "next_mask_private": following.mask_private,
                "next_share_private": following.share_private,
                "vector": vector,
            }
            for draws, given, vector, following in zip(self.draws, self.inputs, self.vectors, ahead, strict=True)
        ]
        return {
            "name": self.name,
            "after": self.shape.get("after"),
            "session": r.session,
            "round": r.number,
            "names": self.names,
            "identities": self.identities,
            "verify_keys": self.verify_keys,
            "roster_digest": r.roster_digest,
            "plan": r.plan,
            "plan_digest": plans.plan_digest(r.plan),
            "leaves": [{"name": name, "shape": shape, "dtype": dtype} for name, shape, dtype in self.plan.leaves],
            "layout_digest": plans.layout_digest(self.plan.leaves),
            "model": self.model,
            "model_digest": r.model_digest,
            "ctx0": r.ctx0,
            "ctx": transcript.ctx,
            "order_draws": self.order,
            "neighbours": {party: sorted(others) for party, others in transcript.graph.items()},
            "parties": parties,
            "drops": self.shape["drops"],
            "messages": [
                {"kind": self.kind(place), "up": up, "party": party, "data": data}
                for place, (up, party, data) in enumerate(transcript.messages)
            ],
            "prefetched": transcript.prefetched,
            "aborted": transcript.aborted or None,
            "survivors": transcript.survivors,
            "sum": transcript.total,
            "centred": transcript.total and encoding.centre(transcript.total, r.bits),
        }

    def kind(self, place):
        return kind_of(self.transcript.messages[place][2])

    def fields(self, place):
        """The fields of a message's envelope, as a list."""
        return msgpack.decode(self.transcript.messages[place][2])

    def places(self):
        """The first message of each kind."""
        found = {}
        for place in range(len(self.transcript.messages)):
            found.setdefault(self.kind(place), place)
        return found


def tensors(model):
    b, layer, number = model
    return [struct.pack("<2f", *b), struct.pack("<2d", *layer), struct.pack("<q", *number)]


def bodies(cases):
    """A message of each kind in plain sight: its fields, its body, its envelope."""
    rows = []
    for name in ("active-3", "semi-honest-3", "k-regular-8", "active-5-prefetch-1"):
        case = cases[name]
        for kind, place in case.places().items():
            envelope = messages.ENVELOPE(case.fields(place))
            early = envelope["kind"] <= messages.ROSTER
            binding = case.round.ctx0 if early else case.transcript.ctx
            head = {key: envelope[key] for key in ("kind", "session", "round", "sender")}
            rows.append(
                {
                    "from": name,
                    "place": place,
                    "name": kind,
                    "direction": "to the server" if case.transcript.messages[place][0] else "to a party",
                    "fields": messages.read(envelope["kind"], envelope["body"]),
                    "body": envelope["body"],
                    **head,
                    "binding": binding,
                    "sealed": messages.sealed_data(binding, *head.values(), envelope["body"]),
                    "seal": envelope["seal"],
                    "envelope": case.transcript.messages[place][2],
                }
            )
    return {"positive": rows}
