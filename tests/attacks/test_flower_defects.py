"""The defects that were reproduced in Flower 1.41's SecAgg+, each tried here: refused by a named error, or shown to be absent."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from attacks.harness import ACTIVE, MODELS, SEMI_HONEST, Seats, Table, body_of, duplicates, order
from securefl import (
    EncodingError,
    FixedPoint,
    Plan,
    RemoteProtocolError,
    SecAgg,
    UnsafePlanError,
)
from securefl.crypto import kdf, prg
from securefl.pipeline import encode_update
from securefl.secagg import derive
from securefl.secagg.dealing import Label
from securefl.wire.messages import Advertise, Kind, Unmask, UnmaskShares


@pytest.mark.parametrize("model", MODELS)
def test_one_client_cannot_be_in_both_lists(model):
    """Flower: asked for one client in both lists (alive and dropped), it hands out both shares. Here there is one list, a set of bits,
    and who is not in it is what is left of A_u."""
    assert Unmask.__struct_fields__ == ("survivors", "signatures")
    table = Table(6, 4, server=model)
    table.silent[5] = Kind.MASKED_INPUT
    for data, *_ in table.play(Kind.UNMASK_SHARES).values():
        answer = body_of(data)
        assert isinstance(answer, UnmaskShares)
        assert duplicates(item.owner for item in answer.shares) == []
        assert {item.owner: item.label for item in answer.shares}[5] == Label.MASK_KEY


def bits_that_differ(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def test_mask_keys_have_256_bits_none_of_them_folded():
    """Flower: seeds are folded to 32 bits, 28 effective, so that two of 20 000 pairs share one and each is found by trying."""
    ctx = b"c" * 32
    keys = [derive.pair_key(ctx, bytes(32), i, j) for i in range(250) for j in range(i)]
    assert {len(key) for key in keys} == {32}
    assert duplicates(keys) == []
    for start in range(0, 32, 4):  # 31 000 pairs of 32 bits have about 0.11 collisions in each place, 2^28 would have 2
        assert len(duplicates(key[start : start + 4] for key in keys)) < 8
    columns = np.array([list(key) for key in keys], dtype=np.uint8)
    assert all(len(np.unique(columns[:, place])) == 256 for place in range(32))


@pytest.mark.parametrize("what", ["secret", "ctx", "pair"])
def test_one_bit_of_a_mask_key_s_origin_changes_half_of_it(what):
    """Flower: keys are xor-folded, so that flipped bits cancel. False alarm: 128 +- 60 bits, 7.5 standard deviations, below 1e-12."""
    ctx, agreed = bytes(range(32)), bytes(range(100, 132))
    key = derive.pair_key(ctx, agreed, 1, 2)
    for bit in range(0, 256, 5):
        flipped = bytearray(ctx if what == "ctx" else agreed)
        flipped[bit // 8] ^= 1 << bit % 8
        other = {
            "secret": lambda bad=bytes(flipped): derive.pair_key(ctx, bad, 1, 2),
            "ctx": lambda bad=bytes(flipped): derive.pair_key(bad, agreed, 1, 2),
            "pair": lambda bit=bit: derive.pair_key(ctx, agreed, 1, 3 + bit),
        }[what]()
        assert 68 <= bits_that_differ(key, other) <= 188


def test_a_mask_key_is_hkdf_s_output_and_the_generator_is_aes():
    """Flower: MT19937, whose state follows from its output. Here the key of AES-256 is HKDF-SHA256's output, as it is."""
    ctx, agreed = b"c" * 32, b"k" * 32
    info = b"pair" + (3).to_bytes(4, "big") + (9).to_bytes(4, "big")
    assert derive.pair_key(ctx, agreed, 9, 3) == kdf.derive_key(agreed, salt=ctx, info=info)
    assert derive.self_key(ctx, 5, agreed) == kdf.derive_key(agreed, salt=ctx, info=b"self" + (5).to_bytes(4, "big"))
    assert derive.share_key(ctx, agreed, 9, 3) == kdf.derive_key(
        agreed, salt=ctx, info=b"share" + (9).to_bytes(4, "big") + (3).to_bytes(4, "big")
    )
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream = Cipher(algorithms.AES256(agreed), modes.CTR(bytes(16))).encryptor().update(bytes(400))
    assert prg.keystream(agreed, 100, bits=32).tobytes() == stream
    source = inspect.getsource(prg) + inspect.getsource(derive)
    assert "np.random" not in source
    assert "default_rng" not in source


def test_masks_reach_the_topmost_residue():
    """Flower: masks are drawn below 2^b - 1, and never take the last value. False alarm: 256 (255/256)^100000 < 1e-167."""
    words = prg.keystream(bytes(range(32)), 100_000, bits=8)
    assert words.min() == 0
    assert words.max() == 255
    assert prg.keystream(bytes(range(32)), 1 << 17, bits=12).max() == 4095


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lost", [Kind.ADVERTISE, Kind.SHARES, Kind.MASKED_INPUT, Kind.UNMASK_SHARES])
def test_a_client_lost_at_any_step_breaks_nobody(model, lost):
    """Flower: a client lost before share-keys breaks everyone's unmask."""
    table = Table(6, 4, server=model)
    table.silent[2] = lost
    table.finish()
    gone = {2} if lost is not Kind.UNMASK_SHARES else set()
    table.assert_exact(set(range(6)) - gone)
    assert table.refusals == []


@pytest.mark.parametrize("threshold", [0, 1])
def test_a_threshold_of_one_is_refused_by_everybody(threshold):
    """Flower: threshold 1 is accepted from the server, so that any one share-holder opens all."""
    for server in (SEMI_HONEST, ACTIVE):
        with pytest.raises(UnsafePlanError, match="threshold"):
            Plan(template={"w": ((2,), "float32")}, parties=5, protocol=SecAgg(threshold, server=server))


def test_a_key_that_nobody_signed_is_refused():
    """Flower: keys are unsigned, and the server may put its own in their place."""
    table = Table(4, 3)
    body = body_of(table.play(Kind.ADVERTISE)[0][0])
    with pytest.raises(RemoteProtocolError, match="not signed by the identity"):
        table.give(table.write_as(0, Advertise(body.mask_key, body.share_key, b"")))


@pytest.mark.parametrize("field", ["session", "round", "roster_digest", "plan_digest", "model_digest"])
def test_everything_is_bound_to_session_round_roster_plan_and_model(field):
    """Flower: nothing is. Here ctx moves with each, and with it every key, commitment, ciphertext and seal."""
    from securefl.secagg.context import bind, pre_context

    other = {"round": 9}.get(field, b"x" * (16 if field == "session" else 32))
    base, changed = Table(3, 2).context, Table(3, 2, **{field: other}).context
    assert bind(base, bytes(32)) != bind(changed, bytes(32))
    assert bind(base, bytes(32)) != bind(base, b"x" * 32)
    assert (pre_context(base) == pre_context(changed)) == (field in {"plan_digest", "model_digest"})


def test_the_number_of_examples_is_not_in_clear():
    """Flower: example counts are. Here the weight is one more masked coordinate: with the masks of two rounds the same, and one
    weight different, the bytes differ in that coordinate and nowhere else."""
    seats = Seats(3, server=SEMI_HONEST, max_weight=100_000)
    zeros = {"w": np.zeros(4, np.float32)}
    vectors = [encode_update(seats.plan, zeros, weight=weight).vector for weight in (1, 77_777)]
    assert (vectors[0][:-1] == vectors[1][:-1]).all()
    assert vectors[0][-1] == 1
    assert vectors[1][-1] == 77_777
    assert seats.plan.length == 5
    kinds = {kind for kind in order(SEMI_HONEST) if "weight" in str(kind)}
    assert kinds == set()


@pytest.mark.parametrize("weight", [0, -1, 11, 1 << 40, 1.5, True, None, "7"])
def test_a_weight_out_of_bounds_is_refused_not_warned_of(weight):
    """Flower: too large a weight only warns, and biases the result."""
    plan = Seats(3, max_weight=10).plan
    with pytest.raises(EncodingError, match="is not a whole number in"):
        encode_update(plan, {"w": np.zeros(4, np.float32)}, weight=weight)


def test_a_ring_that_the_largest_weights_overflow_is_refused():
    """Flower: a sum may wrap. Here 2^b holds 2 n w Q + 1 values, or there is no plan."""
    fields = {"template": {"w": ((2,), "float32")}, "parties": 5, "encoding": FixedPoint(16)}
    for weight, needed in ((1, 19), (100, 25)):
        assert Plan(**fields, max_weight=weight).ring.bits == needed
        with pytest.raises(UnsafePlanError, match="overflow"):
            Plan(**fields, max_weight=weight, ring_bits=needed - 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_of_all_comes_back_exactly(sign):
    """Flower: values at the ends wrap or are cut. Every party at the bound, with the largest weight, decodes exactly."""
    seats = Seats(3, server=SEMI_HONEST, max_weight=1000)
    mail = seats.server.start_round()
    answers = seats.exchange(mail)
    for client in seats.clients.values():
        client.submit({"w": np.full(4, sign, np.float32)}, weight=1000)
    result = seats.finish(seats.collect(answers))
    assert result.weight_sum == 3000
    assert np.allclose(result.sum["w"], sign * 3000, rtol=1e-12)
