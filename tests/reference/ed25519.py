"""Ed25519 (RFC 8032, section 5.1), in extended homogeneous coordinates; verification without the cofactor."""

import functools
import hashlib

from reference.errors import Refused

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def _sha512(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little")


def add(one, other):
    """Section 5.1.4."""
    X1, Y1, Z1, T1 = one
    X2, Y2, Z2, T2 = other
    A = (Y1 - X1) * (Y2 - X2) % P
    B = (Y1 + X1) * (Y2 + X2) % P
    C = 2 * T1 * T2 * D % P
    E, F, G, J = B - A, 2 * Z1 * Z2 - C, 2 * Z1 * Z2 + C, B + A
    return E * F % P, G * J % P, F * G % P, E * J % P


def multiply(scalar, point):
    """Double and add."""
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def recover_x(y, sign):
    """Section 5.1.3, steps 2 to 4."""
    if y >= P:
        raise Refused("the y coordinate is not reduced")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        raise Refused("no such point")
    return x if x & 1 == sign else P - x


def encode(point):
    """Section 5.1.2."""
    X, Y, Z, _ = point
    inverse = pow(Z, -1, P)
    x, y = X * inverse % P, Y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = recover_x(y, sign)
    return x, y, 1, x * y % P


_BASE_Y = 4 * pow(5, -1, P) % P
BASE = (recover_x(_BASE_Y, 0), _BASE_Y, 1, recover_x(_BASE_Y, 0) * _BASE_Y % P)


@functools.cache
def _expand(seed):
    """Section 5.1.5: the scalar, the prefix and the public key."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:], encode(multiply(scalar, BASE))


def public_key(seed):
    return _expand(seed)[2]


def sign(seed, message):
    """Section 5.1.6; 64 bytes."""
    scalar, prefix, public = _expand(seed)
    r = _sha512(prefix + message) % L
    R = encode(multiply(r, BASE))
    k = _sha512(R + public + message) % L
    return R + ((r + k * scalar) % L).to_bytes(32, "little")


@functools.cache
def verify(public, signature, message):
    """Section 5.1.7, as the equation [S]B = R + [k]A on encoded points."""
    if len(public) != 32 or len(signature) != 64:
        return False
    R, S = signature[:32], int.from_bytes(signature[32:], "little")
    if S >= L:
        return False
    try:
        X, Y, Z, T = decode(public)
    except Refused:
        return False
    k = _sha512(R + public + message) % L
    return encode(add(multiply(S, BASE), multiply(k, (P - X, Y, Z, P - T)))) == R
