"""X25519 (RFC 7748, section 5), after its pseudo code."""

import functools

from reference.errors import Refused

P = 2**255 - 19
A24 = 121665


def clamp(private):
    """DecodeScalar25519."""
    scalar = bytearray(private)
    scalar[0] &= 248
    scalar[31] &= 127
    scalar[31] |= 64
    return int.from_bytes(scalar, "little")


def ladder(k, u):
    """The Montgomery ladder."""
    x_1, x_2, z_2, x_3, z_3, swap = u, 1, 0, u, 1, 0
    for t in reversed(range(255)):
        k_t = (k >> t) & 1
        swap ^= k_t
        if swap:
            x_2, x_3, z_2, z_3 = x_3, x_2, z_3, z_2
        swap = k_t
        A = x_2 + z_2
        AA = A * A % P
        B = x_2 - z_2
        BB = B * B % P
        E = AA - BB
        C = x_3 + z_3
        D = x_3 - z_3
        DA = D * A % P
        CB = C * B % P
        x_3 = (DA + CB) ** 2 % P
        z_3 = x_1 * (DA - CB) ** 2 % P
        x_2 = AA * BB % P
        z_2 = E * (AA + A24 * E) % P
    if swap:
        x_2, z_2 = x_3, z_3
    return x_2 * pow(z_2, P - 2, P) % P


def x25519(private, u):
    """The function X25519(k, u) on 32 bytes each; the highest bit of u is ignored."""
    point = int.from_bytes(u, "little") & (2**255 - 1)
    return ladder(clamp(private), point % P).to_bytes(32, "little")


def public_key(private):
    return x25519(private, (9).to_bytes(32, "little"))


def agree(private, peer):
    """The shared secret of section 6.1; the all-zero one of a point of small order is refused."""
    if len(peer) != 32:
        raise Refused("a public key has 32 bytes")
    secret = x25519(private, peer)
    if secret == bytes(32):
        raise Refused("the public key is of small order")
    return secret


@functools.cache
def usable(public):
    """Whether a public key is a number below 2^255 - 19, and not of small order: no clamped private key maps it to zero."""
    return int.from_bytes(public, "little") < P and x25519(bytes(32), public) != bytes(32)
