"""Page, "The vector": one party's values, weight and metrics as integers mod 2^b."""

import math
from fractions import Fraction


def round_all(values, token):
    """Each x as floor(x) or floor(x) + 1, by a U of 69 bits; `token(size)` gives random bytes, first 2 for every value at once.

    The other 53 bits are drawn, again at once, for the values whose fraction has the same first 16 bits as their U.
    """
    parts = [Fraction(x - math.floor(x)) for x in values]  # the difference is a float64
    pairs = token(2 * len(values))
    first = [int.from_bytes(pairs[2 * i : 2 * i + 2], "little") for i in range(len(values))]
    equal = [i for i, part in enumerate(parts) if first[i] == math.floor(part * 2**16)]
    words = token(8 * len(equal)) if equal else b""
    uniforms = [Fraction(high, 2**16) for high in first]
    for place, i in enumerate(equal):
        uniforms[i] += Fraction(int.from_bytes(words[8 * place : 8 * place + 8], "little") >> 11, 2**69)
    return [math.floor(x) + (uniform < part) for x, uniform, part in zip(values, uniforms, parts, strict=True)]


def clamp(x, low, high):
    return min(max(x, low), high)


def most(value_bits):
    """Q."""
    return 2 ** (value_bits - 1) - 1


def scaled(x, value_bits, bound):
    """A value of a float leaf before it is rounded."""
    Q = most(value_bits)
    return clamp(clamp(x, -bound, bound) * (Q / bound), -Q, Q)


def scaled_metric(x, value_bits, low, high):
    return (2 * ((clamp(x, low, high) - low) / (high - low)) - 1) * most(value_bits)


def encode_vector(plan, leaves, weight, metrics, token):
    """The vector of a party.

    `leaves` are the values of each leaf in the plan's order, fewer than 2^15 each; `metrics` maps name to value.
    """
    vector = []
    for (_, _, dtype), values in zip(plan.leaves, leaves, strict=True):
        if dtype.startswith("float"):
            rounded = round_all([scaled(x, plan.value_bits, plan.bound) for x in values], token) if values else []
        else:
            rounded = [clamp(int(x), -most(plan.value_bits), most(plan.value_bits)) for x in values]
        vector += [weight * value for value in rounded]
    if plan.max_weight > 1:
        vector.append(weight)
    for name, low, high in sorted(plan.metrics):
        vector.append(weight * round_all([scaled_metric(metrics[name], plan.value_bits, low, high)], token)[0])
    return [value % 2**plan.ring_bits for value in vector]


def centre(words, bits):
    """Residues as signed integers."""
    return [word - 2**bits if word >> (bits - 1) else word for word in words]
