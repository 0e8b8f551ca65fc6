"""Page, "Digests" and "Plan bytes": what a session agrees on before its first round."""

import dataclasses

from reference import k_regular, messages, msgpack, privacy
from reference.digest import H
from reference.errors import Malformed, Refused

NO_MODEL = bytes(32)


def roster_digest(names, verify_keys=None, version=1):
    keys = verify_keys or [b""] * len(names)
    return H("roster", version, *(field for member in zip(names, keys, strict=True) for field in member))


def _text(most):
    def check(value):
        if type(value) is not str or len(value) > most:
            raise Malformed("no text, or too long")
        return value

    return check


def _float(value):
    if type(value) is not float:
        raise Malformed("no float")
    return value


def _maybe(kind):
    def check(value):
        return None if value is None else kind(value)

    return check


def _one_of(*choices):
    def check(value):
        if value not in choices:
            raise Malformed(f"{value!r} is none of {choices}")
        return value

    return check


_SIZE = messages.integer(2**53)
_METRIC = messages.struct(name=_text(64), low=_float, high=_float)
_LEAF = messages.struct(name=_text(1024), shape=messages.listed(_SIZE, 32), dtype=_text(16))
_QUANTILE = messages.struct(quantile=_float, learning_rate=_float, bit_noise=_maybe(_float))
_PRIVACY = messages.struct(
    mechanism=_one_of(
        "distributed-discrete-gaussian", "distributed-skellam", "central-discrete-gaussian", "local-discrete-gaussian"
    ),
    noise_multiplier=_float,
    clip=messages.listed(_float, 1 << 14, 1),
    adaptive=_maybe(_QUANTILE),
    relation=_text(16),
    unit=_text(16),
    slack=_float,
    min_sigma=_float,
    max_dropouts=messages.integer(2**32),
    denominator=_maybe(_float),
    wrap=_text(16),
    k=_maybe(_float),
    radius=_float,
    variance=_float,
)

PLAN = messages.struct(
    version=messages.integer(2, 1),
    protocol=_one_of("secagg"),
    server=_text(16),
    graph=_text(16),
    parties=_SIZE,
    threshold=_SIZE,
    max_colluders=_SIZE,
    min_survivors=_SIZE,
    neighbours=_SIZE,
    prefetch=messages.boolean,
    ring_bits=_SIZE,
    value_bits=_SIZE,
    bound=_float,
    on_saturation=_text(16),
    max_weight=_SIZE,
    metrics=messages.listed(_METRIC, 64),
    leaves=messages.listed(_LEAF, 1 << 14),
    privacy=_maybe(_PRIVACY),
    purpose=_text(256),
    policy_digest=messages.blob(32, 0),
)


def read(data):
    """The plan in `data`, as far as its bytes and the bounds on n, t, c and b say whether it can be."""
    fields = PLAN(msgpack.decode(data))
    names = [metric["name"] for metric in fields["metrics"]]
    if names != sorted(set(names)):
        raise Malformed("metrics that are unordered or doubled")
    n, t, c = fields["parties"], fields["threshold"], fields["max_colluders"]
    k, floor, active = fields["neighbours"], fields["min_survivors"], fields["server"] == "active"
    if fields["server"] not in {"semi-honest", "active"} or fields["graph"] not in {"complete", "k-regular"}:
        raise Refused("an unknown server model or graph")
    if not max(3, c + 2) <= floor <= n:
        raise Refused("an unsafe floor")
    if fields["graph"] == "k-regular":
        if active:
            raise Refused("a k-regular graph under an active server")
        k_regular.check(n, c, n - floor, k, t)
    elif not 2 <= t < n or k != n - 1 or (2 * t <= n + c if active else t <= c):
        raise Refused("an unsafe threshold, or another degree than the complete graph's")
    if fields["privacy"] is not None:
        if fields["metrics"]:
            raise Refused("metrics beside a private sum")
        if any(not leaf["dtype"].startswith("float") for leaf in fields["leaves"]):
            raise Refused("leaves that cannot be clipped")
        values = sum(_size(leaf["shape"]) for leaf in fields["leaves"])
        near = t if fields["graph"] == "complete" else None
        privacy.check(fields["privacy"], values=values, parties=n, survivors=floor, colluders=c, threshold=near)
    elif 2 ** fields["ring_bits"] <= 2 * n * fields["max_weight"] * (2 ** (fields["value_bits"] - 1) - 1):
        raise Refused("a ring that overflows")
    return fields


@dataclasses.dataclass(frozen=True)
class Plan:
    """The fields in the order of the page; `metrics` are (name, low, high), `leaves` (name, shape, dtype)."""

    server: str
    parties: int
    threshold: int
    max_colluders: int
    min_survivors: int
    ring_bits: int
    value_bits: int
    bound: float
    max_weight: int
    metrics: tuple
    leaves: tuple
    purpose: str = ""
    policy_digest: bytes = b""
    on_saturation: str = "clamp"
    degree: int = 0
    """k on the k-regular graph, 0 on the complete one."""
    prefetch: bool = False
    privacy: list | None = None
    """The mechanism as a list in the order of the page, or none."""

    def fields(self):
        """The struct as a list, which a test may spoil."""
        metrics = [[name, float(low), float(high)] for name, low, high in sorted(self.metrics)]
        leaves = [[name, list(shape), dtype] for name, shape, dtype in self.leaves]
        graph, k = ("k-regular", self.degree) if self.degree else ("complete", self.parties - 1)
        head = [1, "secagg", self.server, graph, self.parties, self.threshold, self.max_colluders]
        ring = [
            self.min_survivors,
            k,
            self.prefetch,
            self.ring_bits,
            self.value_bits,
            float(self.bound),
            self.on_saturation,
        ]
        return [*head, *ring, self.max_weight, metrics, leaves, self.privacy, self.purpose, self.policy_digest]

    def to_bytes(self):
        return msgpack.encode(self.fields())

    @property
    def noise(self):
        """J, the seeds of noise that each party deals."""
        return self.privacy[8] if self.privacy else 0

    @property
    def length(self):
        """Coordinates of the vector."""
        values = sum(_size(shape) for _, shape, _ in self.leaves)
        if self.privacy is not None:
            return privacy.dimension(values, self.privacy[3])
        return values + (self.max_weight > 1) + len(self.metrics)


def _size(shape):
    size = 1
    for axis in shape:
        size *= axis
    return size


def plan_digest(data):
    return H("plan", data)


def layout_digest(leaves):
    fields = [len(leaves)]
    for name, shape, dtype in leaves:
        fields += [name, dtype, len(shape), *shape]
    return H("layout", *fields)


def model_digest(leaves, tensors):
    """`tensors`: each leaf's values as bytes, C order, little-endian."""
    return H("model", layout_digest(leaves), *(H("tensor", tensor) for tensor in tensors))


def fingerprint(key):
    """What people compare, of a key or a roster digest: 16 bytes in hex, in groups of four digits."""
    text = H("fingerprint", key)[:16].hex()
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def owner_data(digest):
    """What a roster's owner signs."""
    return H("roster-owner", digest)
