"""Whole rounds, played by the reference."""

import struct

from reference import ed25519, encoding, messages, msgpack, protocol, shamir
from reference import plan as plans
from reference.keys import LABELS
from vectors.streams import below, stream

SHAPES = {
    "semi-honest-3": {"n": 3, "t": 2, "active": False, "bits": 10, "max_weight": 1, "metrics": (), "drops": {}},
    "active-3": {
        "n": 3,
        "t": 2,
        "active": True,
        "bits": 13,
        "max_weight": 10,
        "metrics": (("loss", 0, 10),),
        "drops": {},
    },
    "semi-honest-5-drops": {
        "n": 5,
        "t": 2,
        "active": False,
        "bits": 23,
        "max_weight": 3,
        "metrics": (),
        "drops": {1: "masked_input", 3: "share_keys"},
    },
    "active-5-drop": {
        "n": 5,
        "t": 3,
        "active": True,
        "bits": 33,
        "max_weight": 1,
        "metrics": (),
        "drops": {3: "masked_input"},
    },
}
LEAVES = (("b", (2,), "float32"), ("layers[0]", (2, 1), "float64"), ("n", (), "int64"))
MODELS = {"active-3": [[0.5, -0.25], [1.0, 2.0], [3]], "active-5-drop": [[0.0, 1.0], [-1.0, 0.125], [-7]]}


def kind_of(data):
    return messages.NAMES[msgpack.decode(data)[1]]


class Case:
    """One round of the file: what its parties drew and encoded, and its transcript."""

    def __init__(self, name):
        shape = SHAPES[name]
        n, t = shape["n"], shape["t"]
        self.name, self.shape = name, shape
        self.names = [f"hospital-{i}" for i in range(n)]
        self.identities = tuple(stream(f"{name} identity {i}", 32) for i in range(n)) if shape["active"] else ()
        verify_keys = [ed25519.public_key(seed) for seed in self.identities]
        colluders = min(2 * t - n - 1, t - 2) if shape["active"] else t - 2
        self.plan = plans.Plan(
            server="active" if shape["active"] else "semi-honest",
            parties=n,
            threshold=t,
            max_colluders=colluders,
            min_survivors=max(3, t, colluders + 2),
            ring_bits=shape["bits"],
            value_bits=8,
            bound=1.0,
            max_weight=shape["max_weight"],
            metrics=shape["metrics"],
            leaves=LEAVES,
            purpose="vectors",
        )
        self.verify_keys = verify_keys
        self.model = MODELS.get(name)
        self.round = protocol.Round(
            session=stream(f"{name} session", 16),
            number=1,
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
        )
        self.draws = [self._draws(i) for i in range(n)]
        self.inputs = [self._input(i) for i in range(n)]
        self.vectors = [
            encoding.encode_vector(self.plan, i["update"], i["weight"], i["metrics"], iter(i["uniforms"]))
            for i in self.inputs
        ]
        self.transcript = protocol.run(self.round, self.draws, self.vectors, shape["drops"])

    def _draws(self, i):
        name, n, t = f"{self.name} {i}", self.shape["n"], self.shape["t"]
        return protocol.Draws(
            stream(f"{name} mask", 32),
            stream(f"{name} share", 32),
            stream(f"{name} seed", 32),
            {label: [below(f"{name} {label} {power}", shamir.P) for power in range(1, t)] for label in LABELS},
            tuple(stream(f"{name} nonce {j}", 12) for j in range(n - 1)),
        )

    def _input(self, i):
        name = f"{self.name} {i}"
        values = [[(below(f"{name} value {j} {k}", 400) - 200) / 128 for k in range(2)] for j in range(2)]
        uniforms = [stream(f"{name} uniform {j}", 8) for j in range(4 + len(self.shape["metrics"]))]
        return {
            "update": [*values, [below(f"{name} count", 300) - 150]],
            "weight": 1 + below(f"{name} weight", self.shape["max_weight"]),
            "metrics": {metric: below(f"{name} {metric}", 1200) / 100 for metric, *_ in self.shape["metrics"]},
            "uniforms": uniforms,
        }

    def described(self):
        r, transcript = self.round, self.transcript
        parties = [
            {
                "mask_private": draws.mask_private,
                "share_private": draws.share_private,
                "seed": draws.seed,
                "coefficients": {label: [a.to_bytes(33, "big") for a in draws.coefficients[label]] for label in LABELS},
                "nonces": draws.nonces,
                **given,
                "vector": vector,
            }
            for draws, given, vector in zip(self.draws, self.inputs, self.vectors, strict=True)
        ]
        signed = encoding.centre(transcript.total, r.bits)
        return {
            "name": self.name,
            "session": r.session,
            "round": r.number,
            "names": self.names,
            "identities": self.identities,
            "verify_keys": self.verify_keys,
            "roster_digest": r.roster_digest,
            "plan": r.plan,
            "plan_digest": plans.plan_digest(r.plan),
            "leaves": [{"name": name, "shape": shape, "dtype": dtype} for name, shape, dtype in LEAVES],
            "layout_digest": plans.layout_digest(LEAVES),
            "model": self.model,
            "model_digest": r.model_digest,
            "ctx0": r.ctx0,
            "ctx": transcript.ctx,
            "parties": parties,
            "drops": self.shape["drops"],
            "messages": [
                {"kind": self.kind(place), "up": up, "party": party, "data": data}
                for place, (up, party, data) in enumerate(transcript.messages)
            ],
            "survivors": transcript.survivors,
            "sum": transcript.total,
            "centred": signed,
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
