from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from securefl.crypto import prg
from securefl.crypto.prg import apply_masks, keystream
from securefl.crypto.random import OS

KEY = bytes(range(32))
TILE_WORDS = prg._TILE_BYTES // 4


def reference(key: bytes, count: int, bits: int, offset: int = 0) -> list[int]:
    """The keystream from its definition: AES-ECB of block counters, cut into little-endian words."""
    width = 4 if bits <= 32 else 8
    first, last = offset * width // 16, ((offset + count) * width + 15) // 16
    counters = b"".join(block.to_bytes(16, "big") for block in range(first, last))
    stream = Cipher(AES(key), ECB()).encryptor().update(counters)  # noqa: S305 - CTR, by definition
    start = offset * width - 16 * first
    cuts = range(start, start + count * width, width)
    return [int.from_bytes(stream[i : i + width], "little") % 2**bits for i in cuts]


def test_nist_sp_800_38a_f_5_5():
    # NIST SP 800-38A, appendix F.5.5 (CTR-AES256.Encrypt), output blocks; its initial counter is reached by seeking.
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = 0xF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF
    blocks = (
        "0bdf7df1591716335e9a8b15c860c502"
        "5a6e699d536119065433863c8f657b94"
        "1bc12c9c01610d5d0d8bd6a3378eca62"
        "2956e1c8693536b1bee99c73a31576b6"
    )
    assert keystream(key, 16, bits=32, offset=4 * counter).astype("<u4").tobytes().hex() == blocks
    assert keystream(key, 8, bits=64, offset=2 * counter).astype("<u8").tobytes().hex() == blocks


def test_the_stream_starts_at_a_zero_counter():
    # AES-256 of the zero block under the zero key: H of test case 13 in McGrew and Viega, GCM, appendix B.
    assert keystream(bytes(32), 4, bits=32).astype("<u4").tobytes().hex() == "dc95c078a2408989ad48a21492842087"


@pytest.mark.parametrize("bits", [8, 23, 31, 32, 33, 63, 64])
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 5, 1000])
def test_keystream_equals_the_reference(bits, offset):
    words = keystream(KEY, 37, bits=bits, offset=offset)
    assert words.dtype == (np.uint32 if bits <= 32 else np.uint64)
    assert words.tolist() == reference(KEY, 37, bits, offset)


@pytest.mark.parametrize("bits", [8, 32, 33, 64])
def test_sums_of_signed_masks_over_several_tiles_equal_the_reference(bits):
    size = 2 * TILE_WORDS + 7
    keys = [bytes([i]) * 32 for i in range(3)]
    vector = np.arange(size, dtype=np.uint32 if bits <= 32 else np.uint64)
    apply_masks(vector, [(keys[0], 1), (keys[1], -1), (keys[2], 1)], bits=bits, offset=3, threads=1)
    masks = [np.array(reference(key, size, bits, 3), dtype=object) for key in keys]
    expected = (np.arange(size) + masks[0] - masks[1] + masks[2]) % 2**bits
    assert np.array_equal(vector, expected.astype(vector.dtype))


@pytest.mark.parametrize("bits", [23, 40])
@pytest.mark.parametrize("threads", [2, 3, 7, None])
@pytest.mark.parametrize("size", [1, 5, 4 * TILE_WORDS + 3])
def test_any_number_of_threads_gives_what_one_gives(bits, threads, size):
    masks = [(bytes([i]) * 32, 1 - 2 * (i % 2)) for i in range(4)]
    one, many = (np.zeros(size, dtype=prg._word_type(bits)) for _ in range(2))
    apply_masks(one, masks, bits=bits, offset=1, threads=1)
    apply_masks(many, masks, bits=bits, offset=1, threads=threads)
    assert np.array_equal(one, many)


def test_more_masks_than_live_streams():
    count = prg._LIVE_STREAMS + 3
    keys = [i.to_bytes(32, "big") for i in range(count)]
    vector = np.zeros(9, dtype=np.uint32)
    apply_masks(vector, [(key, 1) for key in keys], bits=20)
    assert vector.tolist() == [sum(words) % 2**20 for words in zip(*(reference(k, 9, 20) for k in keys), strict=True)]


def test_without_masks_the_vector_is_reduced():
    vector = np.array([2**31 + 5], dtype=np.uint32)
    apply_masks(vector, [], bits=8)
    assert vector.tolist() == [5]


def test_an_empty_vector_is_left_alone():
    for threads in (1, 2, None):
        apply_masks(np.empty(0, dtype=np.uint32), [(KEY, 1)], bits=8, threads=threads)
    assert len(keystream(KEY, 0, bits=8)) == 0


def test_memory_beyond_the_vector_is_one_tile():
    vector = np.zeros(8 * TILE_WORDS, dtype=np.uint32)
    masks = [(i.to_bytes(32, "big"), 1) for i in range(20)]
    tracemalloc.start()
    try:
        apply_masks(vector, masks, bits=32, threads=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.25 * prg._TILE_BYTES


@pytest.mark.statistical
def test_every_bit_of_a_mask_is_fair():
    """Each of 23 bits is set in half of 2^18 words, within 7 standard deviations; false alarms 23 * 2.6e-12 < 1e-10."""
    words = keystream(OS.token(32), 2**18, bits=23)
    ones = np.array([np.count_nonzero(words >> np.uint32(bit) & np.uint32(1)) for bit in range(23)])
    assert np.all(np.abs(ones - 2**17) < 7 * 2**8)
    assert int(words.max()) < 2**23


@pytest.mark.statistical
def test_masks_reach_every_residue_evenly():
    """Chi-square of 2^18 words over 256 residues: 255 expected, deviation 22.6; a bound of 9 deviations alarms < 1e-12.

    A generator that never takes the top residue, as in Flower's SecAgg+, gives more than 1000.
    """
    counts = np.bincount(keystream(OS.token(32), 2**18, bits=8), minlength=256)
    assert counts.min() > 0
    assert float(((counts - 1024.0) ** 2 / 1024.0).sum()) < 255 + 9 * 22.6


@pytest.mark.parametrize("bits", [7, 65, 0, -1])
def test_bits_outside_8_to_64_are_refused(bits):
    with pytest.raises(ValueError, match=r"needs 8\.\.64"):
        apply_masks(np.zeros(4, dtype=np.uint32), [], bits=bits)
    with pytest.raises(ValueError, match=r"needs 8\.\.64"):
        keystream(KEY, 4, bits=bits)


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [(np.uint64, 32), (np.uint32, 33), (np.int32, 32), (np.float32, 32), (np.dtype(np.uint32).newbyteorder("S"), 32)],
)
def test_the_wrong_dtype_is_refused(dtype, bits):
    with pytest.raises(ValueError, match="needs uint"):
        apply_masks(np.zeros(4, dtype=dtype), [(KEY, 1)], bits=bits)


@pytest.mark.parametrize("view", [lambda v: v[::2], lambda v: v[::-1], lambda v: v.reshape(4, 4)])
def test_a_vector_that_is_not_one_contiguous_axis_is_refused(view):
    with pytest.raises(ValueError, match="contiguous"):
        apply_masks(view(np.zeros(16, dtype=np.uint32)), [(KEY, 1)], bits=32)


def test_a_read_only_vector_is_refused():
    vector = np.zeros(4, dtype=np.uint32)
    vector.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        apply_masks(vector, [(KEY, 1)], bits=32)


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33])
def test_keys_other_than_256_bits_are_refused(size):
    with pytest.raises(ValueError, match="needs 32"):
        apply_masks(np.zeros(4, dtype=np.uint32), [(bytes(size), 1)], bits=32)


@pytest.mark.parametrize("sign", [0, 2, -2])
def test_signs_other_than_one_are_refused(sign):
    with pytest.raises(ValueError, match="needs \\+1 or -1"):
        apply_masks(np.zeros(4, dtype=np.uint32), [(KEY, sign)], bits=32)


def test_nothing_is_added_when_one_mask_is_malformed():
    vector = np.zeros(4, dtype=np.uint32)
    with pytest.raises(ValueError, match="needs 32"):
        apply_masks(vector, [(KEY, 1), (b"short", 1)], bits=32)
    assert not vector.any()


def test_negative_offsets_and_no_threads_are_refused():
    vector = np.zeros(4, dtype=np.uint32)
    with pytest.raises(ValueError, match="offset"):
        apply_masks(vector, [(KEY, 1)], bits=32, offset=-1)
    with pytest.raises(ValueError, match="threads"):
        apply_masks(vector, [(KEY, 1)], bits=32, threads=0)


@pytest.mark.parametrize("count", [0, 1, 31, 33, 2 * prg._LIVE_STREAMS + 1])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [40_000, TILE_WORDS + 3])
def test_masks_drawn_from_an_iterator_are_those_of_a_list(count, threads, size):
    masks = [(i.to_bytes(32, "big"), 1 - 2 * (i % 2)) for i in range(count)]
    listed, drawn = (np.full(size, 2**31 + 5, dtype=np.uint32) for _ in range(2))
    apply_masks(listed, masks, bits=20, offset=3, threads=1)
    apply_masks(drawn, iter(masks), bits=20, offset=3, threads=threads)
    assert np.array_equal(listed, drawn)
    assert int(drawn.max()) < 2**20


@pytest.mark.parametrize("threads", [1, 2, None])
@pytest.mark.parametrize("size", [50_000, TILE_WORDS + 1])
def test_what_an_iterator_of_masks_raises_reaches_the_caller(threads, size):
    def failing():
        yield from ((i.to_bytes(32, "big"), 1) for i in range(100))
        raise RuntimeError("no more keys")

    with pytest.raises(RuntimeError, match="no more keys"):
        apply_masks(np.zeros(size, dtype=np.uint32), failing(), bits=32, threads=threads)
    with pytest.raises(ValueError, match="needs 32"):
        apply_masks(np.zeros(size, dtype=np.uint32), iter([(KEY, 1), (b"short", 1)]), bits=32, threads=threads)


def test_an_iterator_of_masks_is_never_drawn_from_by_two_threads_at_once():
    busy = threading.Lock()

    def exclusive():
        for i in range(200):
            assert busy.acquire(blocking=False)
            time.sleep(1e-5)  # gives the other threads their chance
            busy.release()
            yield i.to_bytes(32, "big"), 1

    apply_masks(np.zeros(50_000, dtype=np.uint32), exclusive(), bits=32, threads=4)


def test_memory_does_not_grow_with_the_number_of_masks():
    vector = np.zeros(1000, dtype=np.uint32)
    tracemalloc.start()
    try:
        apply_masks(vector, ((i.to_bytes(32, "big"), 1) for i in range(20_000)), bits=32, threads=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(("masks", "threads", "turn"), [(0, 2, 1), (1, 2, 1), (20, 2, 10), (100, 2, 25), (1000, 2, 32)])
def test_threads_share_out_masks_in_even_turns(masks, threads, turn):
    assert prg._even_turns(masks, threads) == turn


def test_threads_are_used_where_there_is_work_for_them(monkeypatch):
    monkeypatch.setattr(prg.os, "cpu_count", lambda: 4)
    short, medium, long = (np.zeros(size, dtype=np.uint32) for size in (1000, 100_000, 10_000_000))
    masks = [(KEY, 1)] * 1000
    assert prg._worthwhile_threads(short, masks) == 1
    assert prg._worthwhile_threads(medium, masks[:5]) == 1
    assert prg._worthwhile_threads(medium, masks[:25]) == 2
    assert prg._worthwhile_threads(medium, masks) == prg._worthwhile_threads(medium, iter(masks)) == 4
    assert prg._worthwhile_threads(long, masks[:1]) == 4
    assert prg._worthwhile_threads(long, []) == 1
