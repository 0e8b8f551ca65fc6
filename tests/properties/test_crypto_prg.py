from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.prg import apply_masks, keystream

bits_in_range = st.integers(8, 64)
keys = st.binary(min_size=32, max_size=32)
mask_lists = st.lists(st.tuples(keys, st.sampled_from([1, -1])), max_size=5)


def vector_of(values: list[int], bits: int) -> np.ndarray:
    return np.array([value % 2**bits for value in values], dtype=np.uint32 if bits <= 32 else np.uint64)


vectors = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=60)


@given(keys, bits_in_range, st.integers(0, 2**40), st.lists(st.integers(0, 20), max_size=8))
def test_chunks_at_any_offset_join_to_the_whole(key, bits, offset, sizes):
    whole = keystream(key, sum(sizes), bits=bits, offset=offset)
    starts = np.cumsum([0, *sizes])
    chunks = [keystream(key, n, bits=bits, offset=offset + int(s)) for n, s in zip(sizes, starts, strict=False)]
    assert [word for chunk in chunks for word in chunk.tolist()] == whole.tolist()


@given(vectors, mask_lists, bits_in_range, st.integers(0, 1000))
def test_adding_then_subtracting_masks_is_the_identity(values, masks, bits, offset):
    vector = vector_of(values, bits)
    before = vector.copy()
    apply_masks(vector, masks, bits=bits, offset=offset)
    apply_masks(vector, [(key, -sign) for key, sign in masks], bits=bits, offset=offset)
    assert np.array_equal(vector, before)


@given(vectors, mask_lists, bits_in_range)
def test_masking_is_the_sum_of_keystreams_modulo_two_to_the_bits(values, masks, bits):
    vector = vector_of(values, bits)
    streams = [[sign * word for word in keystream(key, len(values), bits=bits).tolist()] for key, sign in masks]
    expected = [sum(words) % 2**bits for words in zip(values, *streams, strict=True)]
    apply_masks(vector, masks, bits=bits)
    assert vector.tolist() == expected


@given(vectors, mask_lists, bits_in_range, st.randoms(use_true_random=False))
def test_the_order_of_masks_does_not_matter(values, masks, bits, rng):
    one, other = vector_of(values, bits), vector_of(values, bits)
    apply_masks(one, masks, bits=bits)
    apply_masks(other, rng.sample(masks, len(masks)), bits=bits)
    assert np.array_equal(one, other)


@given(vectors, mask_lists, bits_in_range, st.integers(0, 1000), st.integers(2, 4))
def test_threads_do_not_change_the_result(values, masks, bits, offset, threads):
    one, many = vector_of(values, bits), vector_of(values, bits)
    apply_masks(one, masks, bits=bits, offset=offset, threads=1)
    apply_masks(many, masks, bits=bits, offset=offset, threads=threads)
    assert np.array_equal(one, many)
