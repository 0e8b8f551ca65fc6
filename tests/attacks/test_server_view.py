"""What the server sees together with the plan's colluders: the rest must look like noise.

The uniformity tests compare the topmost and the lowest six bits of 2^16 words with the uniform distribution by chi-square, as a
standard normal quantile. The bound 7 is passed by chance with probability below 1e-11, so all of this file gives a false alarm less
than once in 10^8 runs.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attacks.harness import ACTIVE, MODELS, SEMI_HONEST, Loot, Seats, Table, body_of, chi_square, order, tally
from securefl.crypto.prg import apply_masks
from securefl.crypto.random import SystemRandom
from securefl.secagg.dealing import Label
from securefl.secagg.derive import pair_sign
from securefl.wire.messages import Kind, Unmask

LENGTH = 1 << 16
LIMIT = 7.0


def uniform(words: np.ndarray, bits: int) -> bool:
    """Whether top and bottom bits, and the differences of neighbours, pass for uniform."""
    differences = (words[1:] - words[:-1]) & np.array((1 << bits) - 1).astype(words.dtype)
    return all(chi_square(counts) < LIMIT for part in (words, differences) for counts in tally(part, bits))


def alike(one: np.ndarray, other: np.ndarray, bits: int) -> bool:
    """Whether two vectors have anything in common: their difference is not uniform."""
    return not uniform((one - other) & np.array((1 << bits) - 1).astype(one.dtype), bits)


def masked(n: int, t: int, **how) -> tuple[Table, Loot]:
    """A round up to the masked vectors; every input is all zeros, the least random there is."""
    table = Table(n, t, length=LENGTH, **how)
    for vector in table.vectors:
        vector[:] = 0
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    return table, loot


@pytest.mark.statistical
@pytest.mark.parametrize("bits", [8, 16, 23, 32, 33, 64])
def test_a_masked_vector_of_zeros_is_uniform(bits):
    """Success: something of a vector shows through its masks. False alarm: below 1e-9."""
    _, loot = masked(4, 3, bits=bits)
    for words in loot.masked.values():
        assert uniform(words, bits)


@pytest.mark.statistical
@pytest.mark.parametrize("model", MODELS)
def test_the_same_input_in_two_rounds_gives_unrelated_vectors(model):
    """Success: keys or masks are used again in the next round (a difference of two rounds is in clear). False alarm: below 1e-9."""
    _, first = masked(4, 3, server=model)
    _, second = masked(4, 3, server=model, round=8)
    _, again = masked(4, 3, server=model)
    views = [loot.masked[party] for loot in (first, second, again) for party in range(4)]
    for one, other in itertools.combinations(views, 2):
        assert not alike(one, other, 20)


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "t", "c"), [(5, 4, 2), (6, 4, 1)])
def test_with_its_colluders_masks_removed_a_vector_is_still_uniform(n, t, c):
    """Success: with c colluders' keys, and the seeds of all survivors open, one honest vector shows. False alarm: below 1e-9."""
    table = Table(n, t, colluders=c, floor=max(3, c + 2), length=LENGTH)
    for vector in table.vectors:
        vector[:] = 0
    private = {party: table.mask_private(party) for party in range(n - c, n)}
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    for party in private:
        loot.collude(party)
    for party in range(n - c):
        assert loot.opened(party, Label.SELF_MASK) is None
        assert uniform(loot.peel({party}, private), 20)
    for party, answers in table.play(Kind.UNMASK_SHARES).items():
        loot.take(party, answers)
    honest = range(n - c)
    for party in honest:
        assert loot.opened(party, Label.SELF_MASK)
        assert uniform(loot.peel({party}, private), 20)
    for group in itertools.combinations(honest, len(honest) - 1):
        assert uniform(loot.peel(group, private), 20)
    assert not loot.peel(honest, private).any()


@pytest.mark.statistical
def test_a_lost_party_s_vector_is_uniform_when_its_mask_key_is_open():
    """Success: without the self mask, a late vector would show (the reason for double masking). False alarm: below 1e-9."""
    table, loot = masked(6, 4, server=SEMI_HONEST)
    table.play(Kind.UNMASK)
    for party in range(5):
        loot.take(party, table.tell(party, Unmask(table.members(range(5)), [])))
    assert loot.opened(5, Label.MASK_KEY)
    assert uniform(loot.peel({5}), 20)


def test_what_is_not_masked_is_seen_by_these_tests():
    """The control: zeros, a Gaussian, a vector with one bit fixed, and one whose topmost value never comes, are all told apart."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 1 << 20, LENGTH).astype(np.uint32)
    assert uniform(noise, 20)
    assert not uniform(np.zeros(LENGTH, np.uint32), 20)
    assert not uniform(np.full(LENGTH, 77_777, np.uint32), 20)
    assert not uniform((rng.normal(0, 1 << 17, LENGTH).astype(np.int64) & 0xFFFFF).astype(np.uint32), 20)
    assert not uniform(noise | np.uint32(1), 20)
    assert not uniform(noise & np.uint32(0x7FFFF), 20)
    assert alike(noise, (noise + np.uint32(5)) & np.uint32(0xFFFFF), 20)


@pytest.mark.parametrize("bits", [8, 9, 10])
def test_masks_take_every_residue_the_topmost_too(bits):
    """Success: masks stop below the modulus, so that extreme sums are told apart. False alarm: 1024 (1 - 2^-10)^65536 < 1e-24."""
    _, loot = masked(3, 2, bits=bits)
    assert set(np.unique(loot.masked[0]).tolist()) == set(range(1 << bits))


@pytest.mark.parametrize("model", MODELS)
def test_the_same_round_twice_has_no_bytes_in_common_but_the_public_ones(model):
    """Success: a key, ciphertext, share, seal or signature is the same in two rounds with the same inputs."""
    views = []
    for _ in range(2):
        table = Table(4, 3, server=model, length=64)
        views.append({kind: [sent[0] for sent in table.play(kind).values()] for kind in order(model)})
    for kind in order(model):
        for one, other in zip(views[0][kind], views[1][kind], strict=True):
            assert len(one) == len(other)
            if kind is Kind.SURVIVORS:
                continue
            body, again = body_of(one), body_of(other)
            for field in set(pieces(body)) & set(pieces(again)):
                assert len(field) < 16 or field in {b"p" * 32, b"m" * 32}, f"{kind.name} repeats {field.hex()}"


def pieces(value) -> list[bytes]:
    """Every byte string inside a message."""
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, list):
        return [piece for item in value for piece in pieces(item)]
    if hasattr(value, "__struct_fields__"):
        return [piece for name in value.__struct_fields__ for piece in pieces(getattr(value, name))]
    return []


def test_every_pair_and_every_party_has_its_own_mask():
    """Success: two pairs, a pair and a party, or two directions share a keystream, so that differences of vectors are in clear."""
    used: list[tuple[bytes, int]] = []

    def spy(vector, masks, **how):
        used.extend(masks)
        apply_masks(vector, masks, **how)

    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr("securefl.secagg.masked_input.apply_masks", spy)
        Table(7, 4).play(Kind.MASKED_INPUT)
    keys = [key for key, _ in used]
    assert len(keys) == 7 * 7
    assert {len(key) for key in keys} == {32}
    assert len(set(keys)) == 7 * 6 // 2 + 7
    signs = {key: sorted(sign for other, sign in used if other == key) for key in keys}
    assert sorted(map(tuple, signs.values())) == [(-1, 1)] * 21 + [(1,)] * 7


def test_the_lower_index_adds():
    """Success: both sides of a pair use one sign, and the masks do not cancel."""
    for one, other in itertools.combinations(range(6), 2):
        assert pair_sign(one, other) == 1
        assert pair_sign(other, one) == -1


def test_nothing_but_the_operating_system_is_asked_for_secrets():
    """Success: some secret comes from another source than the one handed in (numpy's, a hash of public things, a constant)."""

    class Counting(SystemRandom):
        __slots__ = ("drawn",)

        def __init__(self) -> None:
            self.drawn = 0

        def token(self, size: int) -> bytes:
            self.drawn += size
            return super().token(size)

        def below(self, bound: int) -> int:
            self.drawn += bound.bit_length() // 8
            return super().below(bound)

    table = Table(4, 3)
    sources = []
    for client in table.clients:
        client._random = Counting()
        sources.append(client._random)
    table.finish()
    # A seed of 32 bytes, and for each of two secrets two coefficients of 32 bytes, and three nonces of 12.
    assert [source.drawn for source in sources] == [32 + 2 * 2 * 32 + 3 * 12] * 4


def test_no_secret_is_on_the_wire():
    """Success: a seed, a private key, or the vector itself travels in clear in some message."""
    table = Table(4, 3, length=16, bits=32)
    sent, secrets = [], []
    for kind in order(ACTIVE):
        mail = table.play(kind)
        sent += [data for messages in mail.values() for data in messages]
        for party, client in enumerate(table.clients):
            if client._kept.advertised:
                pairs = [client._kept.advertised.mask, client._kept.advertised.share]
                secrets += [pair.private.reveal() for pair in pairs if not pair.private._wiped]
            if client._kept.dealer and not client._kept.dealer.seed._wiped:
                secrets.append(client._kept.dealer.seed.reveal())
            if client._kept.holder and kind in {Kind.MASKED_INPUT, Kind.SURVIVORS}:
                secrets += [share for (owner, label), share in table.held(party).items() if label is Label.MASK_KEY]
    secrets += [vector.tobytes() for vector in table.vectors]
    table.finish()
    wire = b"".join(sent)
    assert len(set(secrets)) >= 4 * 3 + 4 * 3 + 4
    for secret in set(secrets):
        assert secret not in wire
        assert secret[:16] not in wire


@pytest.mark.parametrize("model", MODELS)
def test_a_weight_is_as_hidden_as_the_vector(model):
    """Success: a party's number of examples shows, in a field, a length or a value, to who watches all bytes."""
    views = []
    for weight in (1, 999):
        seats = Seats(3, server=model, max_weight=1000, metrics={"loss": (0.0, 1.0)})
        mail = seats.server.start_round()
        sent = list(mail)
        answers = seats.exchange(mail)
        for name, client in seats.clients.items():
            mine = weight if name == "hospital-0" else 5
            client.submit(seats.updates[name], weight=mine, metrics={"loss": weight / 1000})
        while True:
            sent += answers
            mail = seats.collect(answers)
            sent += mail
            if seats.server.done:
                break
            answers = seats.exchange(mail)
        assert seats.server.result().weight_sum == weight + 10
        views.append([(name, len(data), shape(body_of(data))) for name, data in sent])
    assert views[0] == views[1]


def shape(value):
    """A message's structure, with integers (they are all public) and the lengths of everything else."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return [shape(item) for item in value]
    if hasattr(value, "__struct_fields__"):
        return [shape(getattr(value, name)) for name in value.__struct_fields__]
    return value
