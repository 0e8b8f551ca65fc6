"""Rounds with XNoise, played by the reference: each party deals J seeds of noise, and those for dropouts that were none are opened."""

from fractions import Fraction

from reference import encoding, messages, privacy, protocol
from reference import plan as plans
from reference.errors import Malformed, Refused
from reference.keys import labels
from unit.dp import samplers_reference
from vectors.rounds import COMPLETE, Case
from vectors.streams import below

LEAVES = (("b", (3,), "float32"), ("w", (2,), "float64"))
RADIUS, VARIANCE = 64.0, 4164.0
"""The clip in grid points, and the noise that a multiplier of 1 asks for on 8 coordinates."""

XNOISE = {**COMPLETE, "n": 5, "t": 2, "colluders": 0, "floor": 3, "bits": 20, "noise": 2}
SHAPES = {
    "xnoise-5": XNOISE,
    "xnoise-5-one-missing": {**XNOISE, "t": 3, "colluders": 1, "drops": {3: "masked_input"}},
    "xnoise-5-two-missing": {**XNOISE, "drops": {1: "advertise", 4: "masked_input"}},
    "xnoise-5-too-few": {**XNOISE, "drops": {0: "share_keys", 1: "masked_input", 2: "masked_input"}},
    "xnoise-active-5": {**XNOISE, "t": 3, "active": True, "drops": {2: "consistency"}},
    "xnoise-k-regular-8": {
        **XNOISE,
        "n": 8,
        "k": 4,
        "colluders": 1,
        "floor": 6,
        "drops": {3: "share_keys", 6: "unmask"},
    },
}


def skellam(variance, count, seed):
    return samplers_reference.draw("skellam", variance, count, seed)


class NoisyCase(Case):
    """One round of xnoise.json; a party's vector is given as integers, its noise from seeds besides."""

    shapes = SHAPES

    def _encoding(self):
        privacy_fields = [
            *("distributed-skellam", 1.0, [1.0], None, "zero-out", "party", 1.0, 0.25, self.shape["noise"]),
            *(None, "never", None, RADIUS, VARIANCE),
        ]
        return {"value_bits": 0, "bound": 0.0, "on_saturation": "", "leaves": LEAVES, "privacy": privacy_fields}

    @property
    def components(self):
        """The variances of a party's shares of noise: the one that stays, then those of the seeds."""
        r = self.round
        return privacy.components(Fraction(VARIANCE), r.parties, r.max_colluders, r.noise)

    def _input(self, i):
        """`values` stand for the rounded update and the noise that stays: both are a party's own business."""
        values = [below(f"{self.name} {i} value {place}", 400) - 200 for place in range(self.round.length)]
        _, *variances = self.components
        seeds = self.draws[i].noise
        drawn = [skellam(variance, len(values), seed) for variance, seed in zip(variances, seeds, strict=True)]
        return {"values": values, "noise_seeds": seeds, "noise": drawn}

    def _vector(self, given):
        return [sum(column) % 2**self.round.bits for column in zip(given["values"], *given["noise"], strict=True)]

    def excess(self):
        """What the server takes off the sum: the noise of the seeds that were opened."""
        opened = [(self.components[j], seed) for seeds in self.transcript.seeds.values() for j, seed in seeds.items()]
        drawn = [skellam(variance, self.round.length, seed) for variance, seed in opened]
        return [sum(column) for column in zip([0] * self.round.length, *drawn, strict=True)]

    def described(self):
        row, r = super().described(), self.round
        if row["aborted"] is not None:
            return {**row, "noise_labels": r.noise}
        centred = encoding.centre([(a - b) % 2**r.bits for a, b in zip(row["sum"], self.excess(), strict=True)], r.bits)
        # What is left: the values, and the noise of the seeds 1..D that were not opened.
        missing = r.parties - len(row["survivors"])
        left = [self.inputs[i] for i in row["survivors"]]
        parts = [part for given in left for part in (given["values"], *given["noise"][:missing])]
        assert centred == [sum(column) for column in zip(*parts, strict=True)]
        return {
            **row,
            "noise_labels": r.noise,
            "variances": [str(variance) for variance in self.components],
            "opened": self.transcript.seeds,
            "excess": self.excess(),
            "centred": centred,
        }


def sizes():
    """What a party deals to another: labels, bytes of digests, of the bundle in clear, and of what is sealed."""
    rows = []
    for noise in range(63):
        names = labels(noise)
        sealed = protocol.sealed_bytes(names)
        rows.append(
            {
                "noise_labels": noise,
                "last": names[-1],
                "digests": 32 * len(names),
                "bundle": sealed - 28,
                "sealed": sealed,
                "answer_limit": messages.body_limit(messages.UNMASK_SHARES, 100, noise=noise),
            }
        )
    return rows


def plan_rows():
    """Plans with XNoise that can be, and such whose noise could not be drawn, dealt or taken off."""
    base = plans.Plan("semi-honest", 6, 3, 1, 4, 20, 0, 0.0, 1, (), LEAVES, on_saturation="")
    kept = plans.Plan("semi-honest", 70, 40, 1, 8, 20, 0, 0.0, 1, (), LEAVES, on_saturation="")

    def plan(
        base, noise, kind="distributed-skellam", relation="zero-out", variance=VARIANCE, multiplier=1.0, **changes
    ):
        fields = [kind, multiplier, [1.0], None, relation, "party", 1.0, 0.25, noise, None, "never", None]
        made = {**base.__dict__, **changes, "privacy": [*fields, RADIUS, variance]}
        return plans.Plan(**made).to_bytes()

    good = [
        {"what": what, "plan": data, "noise_labels": plans.read(data)["privacy"]["max_dropouts"]}
        for what, data in (
            ("two seeds", plan(base, 2)),
            ("62 seeds", plan(kept, 62, variance=1e6)),
            (
                "a k-regular graph, where t does not bound c",
                plan(base, 1, parties=8, threshold=2, min_survivors=7, degree=4),
            ),
            ("Skellam noise without seeds", plan(base, 0)),
        )
    ]
    bad = []
    small = Fraction(1, 16) / min(privacy.components(1, 6, 1, 2)) * Fraction(2**40 - 1, 2**40)
    for what, data in (
        ("63 seeds of noise", plan(kept, 63, variance=1e6, min_survivors=7)),
        ("a survivor fewer than there is noise for", plan(base, 2, min_survivors=3)),
        ("noise for two survivors", plan(base, 4, max_colluders=0)),
        ("one colluder more than n - J - 2", plan(base, 3, threshold=4, max_colluders=2)),
        ("one colluder more than t - 2", plan(base, 2, max_colluders=2)),
        ("a component below 1/16", plan(base, 2, variance=float(small), multiplier=0.001)),
        ("seeds under a central mechanism", plan(base, 2, "central-discrete-gaussian", "add-remove")),
    ):
        try:
            plans.read(data)
        except (Malformed, Refused) as error:
            name = "MalformedMessageError" if isinstance(error, Malformed) else "UnsafePlanError"
            bad.append({"what": what, "plan": data, "error": name})
        else:
            raise AssertionError(what)
    return good, bad
