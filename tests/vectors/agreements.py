"""What a session agrees on, and how a party encodes: plans, rosters, layouts, models, vectors."""

import dataclasses
import math
import struct
from fractions import Fraction

from reference import ed25519, encoding, msgpack
from reference import plan as plans
from reference.errors import Malformed, Refused
from vectors.spoiled import exchanged
from vectors.streams import Tape, below, stream

LEAVES = (("b", (2,), "float32"), ("layers[0]", (2, 1), "float64"), ("n", (), "int64"))
BASE = plans.Plan("semi-honest", 3, 2, 0, 3, 10, 8, 1.0, 1, (), LEAVES)
RING = dataclasses.replace(BASE, parties=100, threshold=6, max_colluders=5, min_survivors=95, degree=12, ring_bits=15)
PLANS = {
    "the smallest": BASE,
    "active": dataclasses.replace(BASE, server="active", purpose="Prüfung", policy_digest=stream("policy", 32)),
    "prefetch": dataclasses.replace(BASE, prefetch=True),
    "weights and metrics": dataclasses.replace(
        BASE, max_weight=1000, ring_bits=20, metrics=(("loss", 0, 10), ("accuracy", 0.0, 1.0))
    ),
    "refuses saturation": dataclasses.replace(BASE, on_saturation="refuse", bound=0.1, value_bits=32, ring_bits=64),
    "one scalar": dataclasses.replace(BASE, leaves=(("x", (), "bool"),)),
    "200 parties": dataclasses.replace(
        BASE, server="active", parties=200, threshold=134, max_colluders=67, min_survivors=134, ring_bits=16
    ),
    "k-regular": RING,
    "k-regular with prefetch": dataclasses.replace(RING, prefetch=True),
    "k-regular, 8 parties": dataclasses.replace(
        BASE, parties=8, max_colluders=1, min_survivors=6, degree=4, ring_bits=11
    ),
    "k-regular, 1000 parties": dataclasses.replace(
        BASE, parties=1000, threshold=28, max_colluders=100, min_survivors=900, degree=52, ring_bits=18
    ),
}
FLOATS = (("b", (3,), "float32"), ("w", (5, 4), "float64"))
PRIVATE = dataclasses.replace(
    BASE,
    parties=20,
    threshold=14,
    max_colluders=2,
    min_survivors=16,
    ring_bits=16,
    value_bits=0,
    bound=0.0,
    on_saturation="",
    leaves=FLOATS,
    # mechanism, multiplier, clip, adaptive, relation, unit, slack, min_sigma, max_dropouts, denominator, wrap, k, radius, variance
    privacy=[
        *("distributed-discrete-gaussian", 2.0, [1.5], None, "zero-out", "party", 1.0, 2.0, 0, None, "never", None),
        *(961.3146362304688, 264313.4375),
    ],
)
PLANS |= {
    "private: distributed discrete Gaussian": PRIVATE,
    "private: XNoise": dataclasses.replace(
        PRIVATE,
        ring_bits=20,
        privacy=[
            *("distributed-skellam", 1.0, [1.0], None, "zero-out", "party", 1.0, 0.25, 4, None, "never", None),
            *(17774.998046875, 315968352.0),
        ],
    ),
    "private: central, a clip a leaf, weights within it": dataclasses.replace(
        PRIVATE,
        max_weight=9,
        privacy=[
            *("central-discrete-gaussian", 1.0, [0.6, 0.8], None, "add-remove", "party", 1.0, 0.25, 0, None, "never"),
            *(None, 1116.7650146484375, 1248291.125),
        ],
    ),
    "private: local, an adaptive clip, sums that may wrap": dataclasses.replace(
        PRIVATE,
        ring_bits=12,
        privacy=[
            *(
                "local-discrete-gaussian",
                0.9,
                [0.1],
                [0.5, 0.2, None],
                "zero-out",
                "user",
                1.0,
                0.25,
                0,
                18.0,
                "modular",
            ),
            *(2.0, 190.84619140625, 29664.630859375),
        ],
    ),
}
PRIVACY = (
    *("mechanism", "noise_multiplier", "clip", "adaptive", "relation", "unit", "slack", "min_sigma", "max_dropouts"),
    *("denominator", "wrap", "k", "radius", "variance"),
)
FIELDS = list(plans.PLAN(msgpack.decode(BASE.to_bytes())))


def plan_files():
    rows = []
    for what, plan in PLANS.items():
        data = plan.to_bytes()
        fields = plans.read(data)
        rows.append(
            {"what": what, "fields": fields, "length": plan.length, "plan": data, "digest": plans.plan_digest(data)}
        )
    bad = []

    def spoil(what, plan, **changes):
        fields = plan.fields()
        for name, value in changes.items():
            fields[FIELDS.index(name)] = value
        refuse(what, msgpack.encode(fields))

    def refuse(what, data):
        try:
            plans.read(data)
        except Malformed:
            error = "MalformedMessageError"
        except Refused:
            error = "UnsafePlanError"
        else:
            raise AssertionError(what)
        bad.append({"what": what, "plan": data, "error": error})

    good = BASE.to_bytes()
    refuse("empty", b"")
    refuse("truncated", good[:-1])
    refuse("extended", good + b"\x00")
    refuse("a field too few", msgpack.encode(BASE.fields()[:-1]))
    refuse("a field too many", msgpack.encode([*BASE.fields(), 0]))
    refuse("a plan of before neighbours and prefetch", msgpack.encode(BASE.fields()[:8] + BASE.fields()[10:]))
    refuse("a wider integer than needed", good[:3] + b"\xcc\x01" + good[4:])
    for place, name in enumerate(FIELDS):
        refuse(f"{name}: a list", msgpack.encode(exchanged(BASE.fields(), [place], [[]])))
    spoil("version 0", BASE, version=0)
    spoil("version 2", BASE, version=2)
    spoil("another protocol", BASE, protocol="plain")
    spoil("prefetch as an integer", BASE, prefetch=1)
    spoil("bound as an integer", BASE, bound=1)
    spoil("parties of 2^53", BASE, parties=2**53)
    spoil("a purpose of 257 characters", BASE, purpose="x" * 257)
    spoil("a policy digest of 33 bytes", BASE, policy_digest=bytes(33))
    spoil("metrics out of order", BASE, metrics=[["b", 0.0, 1.0], ["a", 0.0, 1.0]])
    spoil("an unknown server model", BASE, server="honest")
    spoil("an unknown graph", BASE, graph="star")
    spoil("a floor of two", BASE, min_survivors=2)
    spoil("a floor above the number of parties", BASE, min_survivors=4)
    spoil("threshold 1", BASE, threshold=1)
    spoil("a threshold of all", BASE, threshold=3)
    spoil("2t <= n + c under an active server", PLANS["200 parties"], threshold=133)
    spoil("t <= c under a semi-honest server", PLANS["200 parties"], server="semi-honest", threshold=67)
    spoil("no neighbours on the complete graph", BASE, neighbours=0)
    spoil("a neighbour less on the complete graph", BASE, neighbours=1)
    spoil("as many neighbours as parties", BASE, neighbours=3)
    spoil("a ring that overflows", BASE, ring_bits=9)

    def weaken(what, plan, **changes):
        stated = list(plan.privacy)
        for name, value in changes.items():
            stated[PRIVACY.index(name)] = value
        spoil(what, plan, privacy=stated)

    for what, plan in PLANS.items():
        if plan.privacy is None:
            continue
        variance, radius = plan.privacy[PRIVACY.index("variance")], plan.privacy[PRIVACY.index("radius")]
        weaken(f"{what}: less noise than it says", plan, variance=variance * (1 - 2.0**-20))
        weaken(f"{what}: a finer grid than it says", plan, radius=radius * 1.001)
        weaken(f"{what}: no noise", plan, variance=0.0)
        weaken(f"{what}: a multiplier of nothing", plan, noise_multiplier=0.0)
        spoil(f"{what}: metrics beside it", plan, metrics=[["loss", 0.0, 1.0]])
        spoil(f"{what}: a counter in it", plan, leaves=[["n", [], "int64"]])
    for place, name in enumerate(PRIVACY):
        weaken(f"privacy.{name}: an integer in a list", PRIVATE, **{name: [1]})
        spoil(f"privacy without {name}", PRIVATE, privacy=exchanged(PRIVATE.privacy, [place], None))
    weaken("an unknown mechanism", PRIVATE, mechanism="laplace")
    spoil("as many colluders as shares", PRIVATE, max_colluders=13)
    spoil("k-regular under an active server", RING, server="active")
    spoil("k-regular: an odd degree", RING, neighbours=11)
    spoil("k-regular: two neighbours fewer than are safe", RING, neighbours=10)
    spoil("k-regular: a threshold that colluders reach", RING, threshold=5)
    spoil("k-regular: a threshold that does not live", RING, threshold=9)
    spoil("k-regular: one colluder more", RING, max_colluders=6)
    spoil("k-regular: ten dropouts more", RING, min_survivors=85)
    spoil("k-regular: all others as neighbours", RING, neighbours=99)
    spoil("k-regular: more neighbours than parties", RING, neighbours=100)
    spoil("the degree of a ring on the complete graph", RING, graph="complete")
    return {"positive": rows, "negative": bad}


def sessions():
    rosters = []
    for what, names, signed, version in (
        ("unsigned", ["a", "b", "c"], False, 1),
        ("signed", ["hospital-0", "hospital-1", "Universitätsklinik"], True, 4),
        ("one party", ["only"], True, 2**32 - 1),
    ):
        verify_keys = (
            [ed25519.public_key(stream(f"roster {what} {i}", 32)) for i in range(len(names))] if signed else None
        )
        digest = plans.roster_digest(names, verify_keys, version)
        rosters.append(
            {
                "what": what,
                "version": version,
                "names": names,
                "verify_keys": verify_keys or [],
                "digest": digest,
                "fingerprint": plans.fingerprint(digest),
                "owner_signs": plans.owner_data(digest),
                "key_fingerprints": [plans.fingerprint(key) for key in verify_keys or []],
            }
        )
    models = []
    packing = {"float32": "f", "float64": "d", "int64": "q", "uint8": "B", "bool": "?", "int16": "h"}
    for leaves, values in (
        (LEAVES, [[0.5, -0.25], [1.0, 2.0], [-3]]),
        ((("x", (), "float32"),), [[1.0]]),
        ((("x", (1,), "float32"),), [[1.0]]),
        (
            (("a/b", (2, 2), "int16"), ("c", (3,), "uint8"), ("d", (2,), "bool")),
            [[1, -2, 300, 4], [0, 128, 255], [True, False]],
        ),
    ):
        tensors = [
            struct.pack(f"<{len(items)}{packing[dtype]}", *items)
            for (_, _, dtype), items in zip(leaves, values, strict=True)
        ]
        models.append(
            {
                "leaves": [{"name": name, "shape": shape, "dtype": dtype} for name, shape, dtype in leaves],
                "layout_digest": plans.layout_digest(leaves),
                "values": values,
                "tensors": tensors,
                "model_digest": plans.model_digest(leaves, tensors),
            }
        )
    return {"rosters": rosters, "models": models}


def ties():
    """Values whose fraction begins with the 16 bits that are drawn, so that the 53 that follow decide; the 11 below them never do."""
    rows = []
    for x in (0.5, 0.3, -0.7, 2.0**-20, 2.0**-80, -(2.0**-53), 1 - 2.0**-53, -126.1, 0.0, -3.0, 7 + 2.0**-16):
        part = Fraction(x - math.floor(x)) * 2**16
        high, low = math.floor(part), math.ceil((part % 1) * 2**53)
        for what, below_it in (("the last draw that rounds up", 1), ("the first draw that does not", 0)):
            if 0 <= low - below_it < 2**53:
                word = (low - below_it) << 11 | 2047 * below_it
                # Between two values that the first draw decides.
                data = b"\xff\xff" + high.to_bytes(2, "little") + bytes(2) + word.to_bytes(8, "little")
                values, tape = [0.5, x, 0.5], Tape(data)
                rounded = encoding.round_all(values, tape)
                assert tape.used == data
                assert rounded == [0, math.floor(x) + below_it, 1]
                rows.append({"what": f"a tie of {x}, {what}", "values": values, "draws": data, "rounded": rounded})
    data = bytes(2) * 3 + bytes(8) + b"\xff" * 8 + (1 << 59).to_bytes(8, "little")
    values, tape = [2.0**-17, 2.0**-17, 2.0**-20], Tape(data)
    rounded = encoding.round_all(values, tape)
    assert tape.used == data
    rows.append({"what": "three ties, in order", "values": values, "draws": data, "rounded": rounded})
    return rows


def encodings():
    rows = []
    for what, values in (
        ("integers stay", [0.0, 1.0, -1.0, 127.0, -127.0]),
        ("halves", [0.5, -0.5, 1.5, -1.5, 126.5, -126.5]),
        ("near an integer", [1e-9, -1e-9, 1 - 2**-53, 2.0**-53, 0.999999]),
        ("any", [(below(f"rounding {i}", 2**40) - 2**39) / 2**32 for i in range(40)]),
    ):
        for draws in ("low", "high", "any"):
            ends = {"low": bytes(4000), "high": b"\xff" * 4000, "any": stream(f"draws {what}", 4000)}
            tape = Tape(ends[draws])
            rounded = encoding.round_all(values, tape)
            rows.append({"what": f"{what}, {draws} draws", "values": values, "draws": tape.used, "rounded": rounded})
    rows += ties()
    scaled = [
        {"value": x, "value_bits": bits, "bound": bound, "scaled": encoding.scaled(x, bits, bound)}
        for bits, bound in ((8, 1.0), (16, 0.1), (32, 3e5), (4, 1e-100), (24, 0.3))
        for x in (0.0, bound, -bound, bound / 3, -bound / 7, 2 * bound, -1e300, bound * (1 - 2**-53), 5e-324)
    ]
    vectors = []
    for name, plan in PLANS.items():
        if plan.leaves != LEAVES:
            continue
        update = [[0.5 * plan.bound, -1.5 * plan.bound], [plan.bound / 3, -plan.bound], [-200]]
        if plan.on_saturation == "refuse":
            update[0][1] = -0.5 * plan.bound
        # A float32 leaf holds float32 values.
        update[0] = list(struct.unpack("<2f", struct.pack("<2f", *update[0])))
        metrics = {metric: low + 0.3 * (high - low) for metric, low, high in plan.metrics}
        weight = min(plan.max_weight, 999)
        tape = Tape(stream(f"encoding {name}", 1000))
        vector = encoding.encode_vector(plan, update, weight, metrics, tape)
        row = {"what": name, "plan": plan.to_bytes(), "update": update, "weight": weight, "metrics": metrics}
        vectors.append(
            {**row, "draws": tape.used, "vector": vector, "centred": encoding.centre(vector, plan.ring_bits)}
        )
    weighted, strict = PLANS["weights and metrics"].to_bytes(), PLANS["refuses saturation"].to_bytes()
    good, spans = [[0.0, 0.0], [0.0, 0.0], [0]], {"loss": 1.0, "accuracy": 1.0}
    plain = BASE.to_bytes()
    bad = [
        ("not a number", plain, [["nan", 0.0], *good[1:]], 1, {}, "NonFiniteError"),
        ("infinity", plain, [good[0], [0.0, "-inf"], good[2]], 1, {}, "NonFiniteError"),
        ("weight 0", weighted, good, 0, spans, "EncodingError"),
        ("a weight above the greatest", weighted, good, 1001, spans, "EncodingError"),
        ("a metric missing", weighted, good, 1, {"loss": 1.0}, "EncodingError"),
        ("a metric too many", plain, good, 1, {"loss": 1.0}, "EncodingError"),
        ("a metric that is no number", weighted, good, 1, {**spans, "loss": "nan"}, "NonFiniteError"),
        ("saturation where the plan refuses it", strict, [[0.0, 0.0], [0.0, 0.2], [0]], 1, {}, "SaturationError"),
    ]
    names = ("what", "plan", "update", "weight", "metrics", "error")
    refused = [dict(zip(names, row, strict=True)) for row in bad]
    return {"rounding": rows, "scaled": scaled, "vectors": vectors, "negative": refused}
