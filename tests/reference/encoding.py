"""Page, "The vector": one party's values, weight and metrics as integers mod 2^b."""

import math


def _round(x, uniform):
    """`uniform`: 8 random bytes."""
    floor = math.floor(x)
    return floor + ((int.from_bytes(uniform, "little") >> 11) * 2.0**-53 < x - floor)


def _clamp(x, low, high):
    return min(max(x, low), high)


def encode_vector(plan, leaves, weight, metrics, uniforms):
    """The vector of a party.

    `leaves` are the values of each leaf in the plan's order, `metrics` maps name to value, `uniforms` yields 8 bytes for each value
    of a float leaf and for each metric, in the vector's order.
    """
    most = 2 ** (plan.value_bits - 1) - 1
    scale = most / plan.bound
    vector = []
    for (_, _, dtype), values in zip(plan.leaves, leaves, strict=True):
        for x in values:
            if dtype.startswith("float"):
                scaled = _clamp(_clamp(x, -plan.bound, plan.bound) * scale, -most, most)
                vector.append(weight * _round(scaled, next(uniforms)))
            else:
                vector.append(weight * _clamp(int(x), -most, most))
    if plan.max_weight > 1:
        vector.append(weight)
    for name, low, high in sorted(plan.metrics):
        share = (_clamp(metrics[name], low, high) - low) / (high - low)
        vector.append(weight * _round((2 * share - 1) * most, next(uniforms)))
    return [value % 2**plan.ring_bits for value in vector]


def centre(words, bits):
    """Residues as signed integers."""
    return [word - 2**bits if word >> (bits - 1) else word for word in words]
