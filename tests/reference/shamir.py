"""Page, "Secret sharing": Shamir over GF(2^256 + 297). Lagrange at zero on fractions, with one inversion at the end."""

from reference.errors import Refused

P = 2**256 + 297


def split(secret, coefficients, points):
    """f(x) = secret + a_1 x + ... + a_(t-1) x^(t-1), with a_1 first in `coefficients`; 33 bytes a point."""
    polynomial = [int.from_bytes(secret, "big"), *coefficients]
    return {x: (sum(a * x**power for power, a in enumerate(polynomial)) % P).to_bytes(33, "big") for x in points}


def combine(shares):
    """The secret from exactly t shares, given as (x, 33 bytes)."""
    points = [x for x, _ in shares]
    if not points or len(set(points)) < len(points) or not all(0 < x < P for x in points):
        raise Refused("no points, a point twice, or the point zero")
    numerator, denominator = 0, 1
    for x_i, share in shares:
        value = int.from_bytes(share, "big")
        if len(share) != 33 or value >= P:
            raise Refused("a share is no field element")
        top, bottom = value, 1
        for x_j in points:
            if x_j != x_i:
                top *= x_j
                bottom *= x_j - x_i
        numerator, denominator = numerator * bottom + top * denominator, denominator * bottom
    secret = numerator * pow(denominator, -1, P) % P
    if secret >= 2**256:
        raise Refused("the secret has more than 32 bytes")
    return secret.to_bytes(32, "big")
