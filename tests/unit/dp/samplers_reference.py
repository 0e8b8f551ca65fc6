"""The samplers a second time: one draw after the other, probabilities in decimals of 130 digits, AES of the reference.

Nothing comes from the library. `python tests/unit/dp/samplers_reference.py` writes tests/vectors/dp/samplers.json.
"""

import json
import sys
from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
from functools import cache
from math import ceil, floor, isqrt
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path[:0] = [] if str(TESTS) in sys.path else [str(TESTS)]

from reference.aes import ctr_stream  # noqa: E402
from vectors.streams import stream  # noqa: E402

FILE = TESTS / "vectors" / "dp" / "samplers.json"
PROVENANCE = {
    "generator": "tests/unit/dp/samplers_reference.py",
    "source": "that file: an independent implementation that imports nothing from securefl",
    "seeds": "SHA-256(label || counter as u32), see tests/vectors/streams.py; the label is 'sampler <distribution> <parameter>'",
    "draws": "of one call whose 32 bytes are the first of AES-256-CTR(seed)",
}
DRAWS = 48
CASES = [
    *(("gaussian", p) for p in ("1/16", "1/4", "100", "12345/7", "16384", "100000000", "2000000000001/2", f"{2**100}")),
    *(("laplace", p) for p in ("1/16", "1/2", "31/3", "64", "10000", f"{2**47}")),
    *(("skellam", p) for p in ("1/16", "2/3", "100", "16383", "16384", "1000001/3")),
]


class Stream:
    """AES-256-CTR from block s * 2^118 on, read byte after byte."""

    def __init__(self, key, number):
        self.key, self.block, self.data, self.at = key, number << 118, b"", 0

    def integer(self, bits):
        size = bits // 8
        while self.at + size > len(self.data):
            self.data += ctr_stream(self.key, 512, counter=self.block + len(self.data) // 16)
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")


def decimal(value):
    return Decimal(value.numerator) / Decimal(value.denominator)


@cache
def bessel(mu, orders):
    """I_k(mu) / I_0(mu) for k = 0..orders, by Miller's recurrence; checked against the power series in the tests."""
    x, above, here, values = decimal(mu), Decimal(0), Decimal(1), []
    for k in range(2 * orders + 200, 0, -1):
        if k <= orders:
            values.append(here)
        above, here = here, above + 2 * k / x * here
    return [Decimal(1), *(value / here for value in reversed(values))]


def distribution(name, parameter):
    """The unnormalised probability of x >= 0, the last x of the table, and the bits of a block (0: a cell each)."""
    if name == "gaussian":
        last = isqrt(ceil(169 * parameter) - 1) + 1
        bits = max(b for b in range(64) if b == 0 or 4**b * 64**2 <= parameter)
        return lambda x: (-Decimal(x * x) / (2 * decimal(parameter))).exp(), last, bits
    if name == "laplace":
        bits = max(b for b in range(64) if b == 0 or 2**b * 32 <= parameter)
        return lambda x: (-Decimal(x) / decimal(parameter)).exp(), ceil(86 * parameter), bits
    last = 14 * (isqrt(ceil(parameter)) + 1) + 60
    bits = max(b for b in range(64) if b == 0 or 4**b * 64**2 <= parameter) if parameter >= 2**14 else 0
    values = bessel(parameter, last + 3 * 2**bits)
    return values.__getitem__, last, bits


@cache
def bounds(name, parameter):
    """Where the cells begin, as integers of 192 bits; the first value, the bits of a block."""
    f, last, bits = distribution(name, parameter)
    if bits:
        cells = -(-last // 2**bits)
        half = [f(j << bits) for j in range(cells)]
        weights, first = [*reversed(half), *half], -cells
    else:
        half = [f(x) for x in range(last + 1)]
        half = [w for w in half if w * 2**256 >= 1]
        weights, first = [*reversed(half), *half[1:]], 1 - len(half)
    total, below, starts = sum(weights), Decimal(0), []
    for weight in weights[:-1]:
        below += weight
        starts.append(floor(below / total * 2**192))
    return starts, first, bits


def draw(name, parameter, count, seed):
    """The first `count` draws of one call whose source gives AES-256-CTR(seed)."""
    with localcontext() as context:
        context.prec = 130
        key = ctr_stream(seed, 32)
        cell, refine, cell_tie, offset, accept, accept_tie = (Stream(key, i) for i in range(6))
        starts, first, bits = bounds(name, parameter)
        f = distribution(name, parameter)[0]
        buckets = {start >> 176 for start in starts}
        drawn = []
        while len(drawn) < count:
            u, known = cell.integer(16), 16
            if u in buckets:
                u, known = u << 48 | refine.integer(64) >> 16, 64
                if any(start >> 128 == u for start in starts):
                    u, known = u << 128 | cell_tie.integer(128), 192
            k = first + sum(start <= u << 192 - known for start in starts)
            if not bits:
                drawn.append(k)
                continue
            width = next(w for w in (8, 16, 32, 64) if w >= bits)
            x = (k << bits) + (offset.integer(width) >> width - bits)
            near = k << bits if k >= 0 else -k - 1 << bits
            chance, known, ratio = accept.integer(32), 32, f(abs(x)) / f(near)
            while chance < ratio * 2**known < chance + 1:
                chance, known = chance << 64 | accept_tie.integer(64), known + 64
            if chance < ratio * 2**known:
                drawn.append(x)
        return drawn


def build():
    rows = []
    for name, parameter in CASES:
        seed = stream(f"sampler {name} {parameter}", 32)
        draws = draw(name, Fraction(parameter), DRAWS, seed)
        rows.append({"distribution": name, "parameter": parameter, "seed": seed.hex(), "draws": draws})
    return rows


def text():
    lines = ",\n".join("  " + json.dumps(row) for row in build())
    return f'{{\n "provenance": {json.dumps(PROVENANCE)},\n "positive": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    getcontext().prec = 130
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text(), encoding="utf-8")
    print(FILE)
