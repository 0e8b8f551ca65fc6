"""AES-256 (FIPS 197), one block at a time, and CTR (NIST SP 800-38A, section 6.5). Its one table, the S-box, is computed."""


def _times(a, b):
    """Multiply in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (section 4.2)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11B
        b >>= 1
    return product


def _substitute(byte):
    """Section 5.1.1: the inverse (byte^254), then the affine map."""
    inverse = 1
    for _ in range(254):
        inverse = _times(inverse, byte)
    result = 0x63
    for shift in range(5):
        result ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
    return result


SBOX = bytes(_substitute(byte) for byte in range(256))


def _double(a):
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def expand_key(key):
    """Section 5.2, with Nk = 8: the 15 round keys of 16 bytes."""
    words = [key[i : i + 4] for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = bytes(SBOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _double(constant)
        elif i % 8 == 4:
            word = bytes(SBOX[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(words[i - 8], word, strict=True)))
    return [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]


def _mix(a, b, c, d):
    """Section 5.1.3, one column: each byte is 2a + 3b + c + d, in turn."""
    every = a ^ b ^ c ^ d
    return (
        a ^ every ^ _double(a ^ b),
        b ^ every ^ _double(b ^ c),
        c ^ every ^ _double(c ^ d),
        d ^ every ^ _double(d ^ a),
    )


def encrypt_block(round_keys, block):
    """Section 5.1. The state is kept in the order of the input: four columns of four bytes."""
    state = [a ^ b for a, b in zip(block, round_keys[0], strict=True)]
    for number in range(1, 15):
        state = [SBOX[byte] for byte in state]
        state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]  # ShiftRows: row r moves left by r columns
        if number < 14:
            state = [byte for i in range(0, 16, 4) for byte in _mix(*state[i : i + 4])]
        state = [a ^ b for a, b in zip(state, round_keys[number], strict=True)]
    return bytes(state)


def ctr_stream(key, length, *, counter=0, skip=0):
    """`length` keystream bytes from byte `skip` of the stream that starts at the 128-bit big-endian `counter`."""
    round_keys = expand_key(key)
    first, last = skip // 16, -(-(skip + length) // 16)
    blocks = [
        encrypt_block(round_keys, ((counter + block) % 2**128).to_bytes(16, "big")) for block in range(first, last)
    ]
    return b"".join(blocks)[skip - 16 * first :][:length]
