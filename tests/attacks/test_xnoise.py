"""XNoise: seeds of noise that come out too early, too often or for the wrong parties; share-holders and dealers that lie about them.

Party u's seeds 1..J give noise that is taken off the sum when fewer than j parties are missing. Whoever learns a seed j <= D, or any of
a party outside the sum, has taken off noise that was to stay.
"""

from __future__ import annotations

import itertools
import logging

import msgspec
import numpy as np
import pytest

from attacks.harness import ACTIVE, MODELS, SEMI_HONEST, Loot, Table, body_of, refused
from securefl import (
    BelowThresholdError,
    ClientPolicy,
    LocalProtocolError,
    MalformedMessageError,
    Plan,
    RemoteProtocolError,
    RoundAbortedError,
    SecAgg,
    SecAggClient,
    SecAggServer,
    SecureFLError,
    UnsafePlanError,
)
from securefl.crypto.random import OS
from securefl.dp.ledger import Budget, PrivacyLedger
from securefl.dp.mechanisms import DistributedSkellam
from securefl.dp.modular_grid import ModularGrid
from securefl.errors import SecretMisuseError
from securefl.pipeline import encode_private
from securefl.plan import Roster
from securefl.records.used_file import UsedFile
from securefl.secagg.client import ClientRound
from securefl.secagg.consistency import sign_survivors
from securefl.secagg.dealing import HeldShares, Label, commitment, deal, labels_of
from securefl.secagg.server import ServerRound
from securefl.secagg.states import ClientState, ServerState
from securefl.session import masking as session_masking
from securefl.wire.envelope import body_limit, message_limit, parse
from securefl.wire.messages import Kind, OwnedShare, Shares, Survivors, SurvivorSignature, Unmask, UnmaskShares

N, J, LIAR = 6, 2, 5
EVERYBODY = frozenset(range(N))
STEPS = {"advertise": Kind.ADVERTISE, "share_keys": Kind.SHARES, "masked_input": Kind.MASKED_INPUT}


def table_of(model, *, threshold: int = 4, lost: int = J, **how) -> Table:
    return Table(N, threshold, server=model, noise_labels=lost, **how)


def dealt(table: Table) -> dict[int, list[bytes]]:
    """Every party's seeds; to be asked before it masks."""
    dealers = {party: client._kept.dealer for party, client in enumerate(table.clients)}
    return {party: [seed.reveal() for seed in dealer.noise] for party, dealer in dealers.items() if dealer}


def ask(table: Table, survivors: frozenset[int], signers: frozenset[int] | None = None) -> Unmask:
    signed = [
        SurvivorSignature(party, sign_survivors(table.ctx, survivors, table.keys[party]))
        for party in sorted(survivors if signers is None else signers)
    ]
    return Unmask(table.members(survivors), signed if table.context.active else [])


# What an honest round opens.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("missing", range(J + 1))
def test_a_round_opens_the_seeds_beyond_the_number_missing_and_nobody_else_s(model, step, missing):
    """Success: a seed j <= D comes out, or any seed of a party that is not in the sum; or one j > D does not, and noise is left over."""
    table = Table(7, 4, server=model, noise_labels=J)
    everybody = frozenset(range(table.n))
    gone = frozenset(range(missing))
    table.silent.update(dict.fromkeys(gone, STEPS[step]))
    table.play(Kind.CIPHERTEXTS)
    seeds = dealt(table)
    loot = Loot(table)
    for party, answers in table.play(Kind.UNMASK_SHARES).items():
        loot.take(party, answers)
        for owner in everybody - {party}:
            labels = [item.label for item in body_of(answers[0]).shares if item.owner == owner]
            if owner not in gone:
                assert labels == ["self_mask", *(f"noise_{j}" for j in range(missing + 1, J + 1))]
            else:
                assert labels == (["mask_key"] if step == "masked_input" else [])
    for owner, number in itertools.product(everybody, range(1, J + 1)):
        opened = loot.opened(owner, f"noise_{number}")
        assert opened == (seeds[owner][number - 1] if owner not in gone and number > missing else None)
    result = table.finish()
    table.assert_exact(everybody - gone)
    assert result.seeds == (
        {owner: {j: seeds[owner][j - 1] for j in range(missing + 1, J + 1)} for owner in everybody - gone}
        if missing < J
        else {}
    )


@pytest.mark.parametrize("model", MODELS)
def test_who_leaves_after_its_vector_counts_as_there(model):
    """Success: a party whose vector is in the sum and whose answer never comes makes the others keep its noise."""
    table = table_of(model, threshold=3 + (model is ACTIVE))
    table.silent[LIAR] = Kind.UNMASK_SHARES
    table.play(Kind.CIPHERTEXTS)
    seeds = dealt(table)
    assert table.finish().seeds == {party: dict(enumerate(own, 1)) for party, own in seeds.items()}
    table.assert_exact(EVERYBODY)


def test_a_share_of_a_seed_goes_with_a_self_mask_and_never_with_a_mask_key():
    """Success: shares of one owner's seeds can be had with its mask key, after it, or both secrets under the name of noise."""
    labels = labels_of(J)

    def held() -> HeldShares:
        return HeldShares({label: bytes([i]) * 33 for i, label in enumerate(labels)})

    assert held().release(Label.SELF_MASK, ["noise_2"]) == [bytes(33), b"\x03" * 33]
    for label, noise in [
        (Label.MASK_KEY, ["noise_1"]),
        (Label.SELF_MASK, ["mask_key"]),
        (Label.SELF_MASK, ["noise_1", "mask_key"]),
        (Label.SELF_MASK, ["noise_3"]),
    ]:
        shares = held()
        with pytest.raises(SecretMisuseError):
            shares.release(label, noise)
        with pytest.raises(SecretMisuseError):
            shares.release(Label.SELF_MASK)
    shares = held()
    shares.release(Label.MASK_KEY)
    for noise in ([], ["noise_1"]):
        with pytest.raises(SecretMisuseError):
            shares.release(Label.SELF_MASK, noise)


# A server that lies about who is missing.


def split(table: Table, sets: dict[int, frozenset[int]]) -> Loot:
    """Show every party its set, pass on all signatures, and ask each to open its set."""
    loot = Loot(table)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        loot.take(party, answers)
    table.play(Kind.SURVIVORS if table.context.active else Kind.UNMASK)
    signed: dict[frozenset[int], dict[int, bytes]] = {survivors: {} for survivors in sets.values()}
    if table.context.active:
        for party, survivors in sets.items():
            (answer,) = table.tell(party, Survivors(table.members(survivors)))
            signed[survivors][party] = body_of(answer).signature
    for party, survivors in sets.items():
        proof = [SurvivorSignature(i, signature) for i, signature in sorted(signed[survivors].items())]
        try:
            loot.take(party, table.tell(party, Unmask(table.members(survivors), proof)))
        except SecureFLError:
            continue
    return loot


def gain(loot: Loot, without: frozenset[int]) -> bool:
    """Whether the sum of `without` is in clear, and with it the seed 1 of somebody in it, whose noise was to stay in that sum."""
    clear = (loot.peel(without) == loot.table.exact(without)).all()
    return bool(clear) and any(loot.opened(owner, "noise_1") for owner in without)


@pytest.mark.parametrize("shown", range(N))
def test_different_sets_to_different_parties_take_off_no_noise_that_was_to_stay(shown):
    """Success: some parties are told that nobody is missing and open seed 1, others that one is, and open its mask key."""
    table = table_of(ACTIVE)
    victims = EVERYBODY - {LIAR}
    loot = split(table, {party: EVERYBODY if party < shown else victims for party in victims})
    assert not gain(loot, victims)
    assert loot.both_opened(EVERYBODY) == []


def test_the_same_split_works_under_a_semi_honest_plan():
    """The control: where no survivors are signed, a server that deviates gets both; such a plan trusts it not to."""
    table = table_of(SEMI_HONEST, threshold=2)
    victims = EVERYBODY - {LIAR}
    assert gain(split(table, {party: EVERYBODY if party < 2 else victims for party in victims}), victims)


@pytest.mark.parametrize("model", MODELS)
def test_declaring_a_party_there_that_is_not_opens_no_sum(model):
    """Success: the server says that nobody is missing, has all seeds opened, and yet has the sum of those who are there."""
    table = table_of(model)
    table.silent[LIAR] = Kind.MASKED_INPUT
    loot = Loot(table)
    table.play(Kind.CIPHERTEXTS)
    for party, answers in table.play(Kind.MASKED_INPUT).items():
        if party != LIAR:
            loot.take(party, answers)
    there = EVERYBODY - {LIAR}
    for party in there:
        if model is ACTIVE:
            table.tell(party, Survivors(table.members(EVERYBODY)))
    for party in there:
        loot.take(party, table.tell(party, ask(table, EVERYBODY, there)))
    assert loot.opened(0, "noise_1")
    assert not loot.opened(LIAR, Label.MASK_KEY)
    assert (loot.peel(there) != table.exact(there)).any()


@pytest.mark.parametrize("model", MODELS)
def test_more_missing_than_there_is_noise_for_is_refused_by_each_party(model):
    """Success: a party signs or opens a set without J + 1 parties, in whose sum there is less noise than agreed."""
    table = table_of(model, threshold=3 + (model is ACTIVE), lost=1)
    table.play(Kind.SURVIVORS if model is ACTIVE else Kind.UNMASK)

    def tell(party: int, survivors: frozenset[int]) -> list[bytes]:
        members = table.members(survivors)
        return table.tell(party, Survivors(members) if model is ACTIVE else Unmask(members, []))

    assert tell(0, EVERYBODY - {LIAR})
    with pytest.raises(
        RemoteProtocolError, match="2 parties are missing from the survivor set, there is noise for 1"
    ) as error:
        tell(1, EVERYBODY - {4, LIAR})
    refused(error.value, "server")
    assert table.clients[1].state is ClientState.ABORTED


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lost", [1, 2])
def test_more_missing_than_there_is_noise_for_ends_the_round_by_name(model, lost):
    """Success: the server has a sum opened with less noise in it than agreed."""
    table = Table(8, 5, server=model, noise_labels=lost)
    table.silent.update(dict.fromkeys(range(lost), Kind.MASKED_INPUT))
    table.finish()
    table.assert_exact(range(lost, 8))
    table = Table(8, 5 if model is ACTIVE else 3, server=model, noise_labels=lost)
    table.silent.update(dict.fromkeys(range(lost + 1), Kind.MASKED_INPUT))
    names = ", ".join(f"party-{party}" for party in range(lost + 1))
    with pytest.raises(BelowThresholdError, match=f"{8 - lost} are needed; missing since: {names}"):
        table.finish()
    assert table.server.state is ServerState.ABORTED
    assert all(client.state is not ClientState.DONE for client in table.clients)


def test_a_plan_cannot_promise_noise_for_fewer_missing_than_it_allows():
    """Success: min_survivors below n - J, or more components than can be dealt."""
    for floor, lost in ((3, 2), (0, 63)):
        with pytest.raises(UnsafePlanError):
            private_plan(6 + 70 * (lost > 60), lost, floor=floor or 13)


# A share-holder that lies when it is asked to open.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "lie",
    [
        "a seed that was to stay",
        "its share relabelled",
        "one seed missing",
        "no seeds",
        "a seed twice",
        "seeds exchanged",
        "seed before self mask",
        "an unknown label",
        "the mask key with the self mask",
        "a seed of who left",
        "altered",
        "another owner's",
    ],
)
def test_an_answer_with_other_seeds_than_owed_is_refused_and_its_sender_named(model, lie):
    """Success: the sum loses noise that was to stay, or keeps noise that was to go; or an honest round ends for one liar."""
    table = Table(8, 5, server=model, noise_labels=3)
    table.silent[0] = Kind.MASKED_INPUT
    table.play(Kind.UNMASK)
    mine = table.held(LIAR)
    table.step()
    (gone, seed, second, third, *rest) = body_of(table.mail[LIAR][0]).shares
    assert [item.label for item in (gone, seed, second, third)] == ["mask_key", "self_mask", "noise_2", "noise_3"]
    first = OwnedShare(1, "noise_1", mine[1, "noise_1"])
    forged = {
        "a seed that was to stay": [gone, seed, first, second, third],
        "its share relabelled": [gone, seed, OwnedShare(1, "noise_2", first.share), third],
        "one seed missing": [gone, seed, second],
        "no seeds": [gone, seed],
        "a seed twice": [gone, seed, second, second],
        "seeds exchanged": [gone, seed, third, second],
        "seed before self mask": [gone, second, seed, third],
        "an unknown label": [gone, seed, second, OwnedShare(1, "noise_4", third.share)],
        "the mask key with the self mask": [gone, seed, OwnedShare(1, "mask_key", mine[1, "mask_key"]), third],
        "a seed of who left": [gone, OwnedShare(0, "noise_3", mine[0, "noise_3"]), seed, second, third],
        "altered": [gone, seed, second, OwnedShare(1, "noise_3", bytes(33))],
        "another owner's": [gone, seed, second, OwnedShare(1, "noise_3", mine[2, "noise_3"])],
    }[lie]
    with pytest.raises(RemoteProtocolError) as error:
        table.give(table.write_as(LIAR, UnmaskShares([*forged, *rest], b"")))
    assert error.value.suspects == (f"party-{LIAR}",)
    del table.mail[LIAR]
    table.finish()
    table.assert_exact(range(1, 8))


@pytest.mark.parametrize("model", MODELS)
def test_a_plan_without_seeds_takes_none(model):
    """Success: where no seeds were dealt an answer says that there were."""
    table = table_of(model, lost=0)
    table.play(Kind.UNMASK_SHARES)
    (first, *rest) = body_of(table.mail[LIAR][0]).shares
    with pytest.raises(RemoteProtocolError) as error:
        table.give(table.write_as(LIAR, UnmaskShares([first, OwnedShare(0, "noise_1", bytes(33)), *rest], b"")))
    assert error.value.suspects == (f"party-{LIAR}",)
    table.finish()
    table.assert_exact(EVERYBODY)


def test_an_answer_has_room_for_the_seeds_of_its_plan_and_no_more():
    """Success: an honest answer is too long to be taken, or a long one is taken where few seeds were dealt."""
    for lost in (0, J, 62):
        labels = ("self_mask", *labels_of(lost)[2:])
        whole = UnmaskShares([OwnedShare(65_000, label, bytes(33)) for _ in range(N) for label in labels], bytes(512))
        assert len(msgspec.msgpack.encode(whole)) <= body_limit(Kind.UNMASK_SHARES, N, None, lost)
        assert body_limit(Kind.UNMASK_SHARES, N, None, lost) < message_limit(N)
    table = table_of(SEMI_HONEST)
    table.play(Kind.UNMASK_SHARES)
    shares = body_of(table.mail[LIAR][0]).shares
    long = table.write_as(LIAR, UnmaskShares(shares * 3, b""))
    with pytest.raises(MalformedMessageError, match="at most"):
        parse(long, parties=N, noise_labels=J)
    with pytest.raises(MalformedMessageError, match="at most"):  # whatever a transport lets through
        table.server.receive(parse(long, parties=N, noise_labels=62))


# A dealer that lies about its seeds.


def dealing(
    table: Table, *, seeds: dict[int, bytes] | None = None, committed: dict[int, bytes] | None = None
) -> Shares:
    """What the liar deals, with other seeds of these numbers, or commitments to others."""
    table.play(Kind.ROSTER)
    private, mask = table.share_private(LIAR), table.mask_private(LIAR)
    table.play(Kind.SHARES)
    dealer = table.clients[LIAR]._kept.dealer
    own = {number: seed.reveal() for number, seed in enumerate(dealer.noise, 1)}
    secrets = {Label.SELF_MASK: dealer.seed.reveal(), Label.MASK_KEY: mask}
    secrets |= {f"noise_{number}": seed for number, seed in {**own, **(seeds or {})}.items()}
    keys = table.sealing_keys(LIAR, private)
    message = deal(table.ctx, LIAR, secrets, keys=keys, threshold=table.context.threshold, random=OS)
    said = secrets | {f"noise_{number}": seed for number, seed in (committed or {}).items()}
    return msgspec.structs.replace(
        message, commitments=[commitment(table.ctx, LIAR, label, secret) for label, secret in said.items()]
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_dealer_whose_seed_is_not_the_one_it_committed_to_is_named(model, number):
    """Success: noise is taken off that was never put on, or share-holders are blamed."""
    table = table_of(model)
    table.mail[LIAR] = [table.write_as(LIAR, dealing(table, committed={number: b"\x09" * 32}))]
    table.play(Kind.UNMASK_SHARES)
    assert not table.refusals
    with pytest.raises(RoundAbortedError, match=f"shares that party-{LIAR} dealt cannot be used") as error:
        table.finish()
    assert error.value.suspects == (f"party-{LIAR}",)
    assert table.server.state is ServerState.ABORTED


@pytest.mark.parametrize("model", MODELS)
def test_a_seed_that_stays_closed_cannot_spoil_a_round(model):
    """The control: the seed that one missing party calls for is never opened, so that a false one harms nobody else."""
    table = table_of(model)
    table.mail[LIAR] = [table.write_as(LIAR, dealing(table, committed={1: b"\x09" * 32}))]
    table.silent[0] = Kind.MASKED_INPUT
    table.finish()
    table.assert_exact(EVERYBODY - {0})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_dealing_of_another_number_of_seeds_is_refused(model, count):
    """Success: a party deals fewer seeds than it adds components, and its noise cannot be taken off; or more."""
    table = table_of(model)
    message = dealing(table, seeds={3: bytes(32)})
    labels = 2 + count
    sealed = [msgspec.structs.replace(item, share_digests=item.share_digests[: 32 * labels]) for item in message.sealed]
    for forged in (
        Shares(message.commitments[:labels], sealed),
        Shares(message.commitments[: 2 + J], sealed),
        Shares(message.commitments[:labels], message.sealed),
    ):
        with pytest.raises(MalformedMessageError, match="dealt another number of secrets than 4") as error:
            table.give(table.write_as(LIAR, forged))
        assert error.value.suspects == (f"party-{LIAR}",)
    del table.mail[LIAR]
    table.finish()
    table.assert_exact(EVERYBODY - {LIAR})


# A party's own seeds.


@pytest.mark.parametrize("model", MODELS)
def test_seeds_are_given_out_once_and_wiped_when_the_vector_is_masked(model):
    """Success: two vectors bear the same noise, or the seeds lie about after the vector has left."""
    table = table_of(model)
    table.play(Kind.CIPHERTEXTS)
    client = table.clients[0]
    with pytest.raises(LocalProtocolError):
        client.noise_seeds()  # shares have not arrived
    client.receive(parse(table.mail[0][0], parties=N))
    seeds = client.noise_seeds()
    assert len(seeds) == J
    assert len({seed.reveal() for seed in seeds}) == J
    assert "redacted" in repr(seeds)
    with pytest.raises(LocalProtocolError):
        client.noise_seeds()
    list(client.mask(table.vectors[0].copy()))
    for seed in seeds:
        with pytest.raises(SecretMisuseError):
            seed.reveal()
    with pytest.raises(LocalProtocolError):
        client.noise_seeds()


def test_seeds_are_wiped_when_the_round_is_left():
    """Success: a party that aborts keeps the seeds that it dealt."""
    table = table_of(ACTIVE)
    table.play(Kind.CIPHERTEXTS)
    seeds = table.clients[0]._kept.dealer.noise
    table.clients[0].abort()
    for seed in seeds:
        with pytest.raises(SecretMisuseError):
            seed.reveal()


def test_a_result_does_not_show_the_seeds_that_were_opened(caplog):
    """Success: seeds end up in a log beside the sum that their noise was taken off."""
    table = table_of(SEMI_HONEST)
    result = table.finish()
    with caplog.at_level(logging.INFO):
        logging.getLogger("anybody").info("%r", result)
    assert result.seeds
    assert "seeds" not in caplog.text


# Crashes.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("missing", range(J))
def test_parties_and_server_that_come_back_at_every_step_open_the_same_seeds(model, missing):
    """Success: a party comes back with other seeds than it dealt, or holds shares under other names; or a server has other seeds."""
    table = Table(7, 4, server=model, noise_labels=J)
    table.silent.update(dict.fromkeys(range(missing), Kind.MASKED_INPUT))
    seeds: dict[int, list[bytes]] = {}
    while table.kind is not None:
        table.step()
        for party, client in enumerate(table.clients):
            again = ClientRound(
                client.context, party, names=table.names, identity=table.keys[party], verify_keys=table.verify_keys
            )
            again.resume(client.save())
            table.clients[party] = again
        if table.kind is Kind.CIPHERTEXTS:
            seeds = dealt(table)
        server = ServerRound(table.context, names=table.names, verify_keys=table.verify_keys)
        server.resume(table.server.save())
        table.server = server
    table.assert_exact(range(missing, 7))
    assert table.server.result().seeds == {
        party: {j: seeds[party][j - 1] for j in range(missing + 1, J + 1)} for party in range(missing, 7)
    }


def private_plan(n: int, lost: int, *, floor: int) -> Plan:
    return Plan(
        template={"w": ((64,), "float64")},
        parties=n,
        protocol=SecAgg(threshold=2, server="semi-honest", min_survivors=floor, max_colluders=0),
        encoding=ModularGrid(ring_bits=24),
        privacy=DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=lost),
    )


def test_a_party_that_crashed_before_masking_adds_the_noise_that_it_dealt(tmp_path, monkeypatch):
    """Success: between dealing and masking a party is restored from its snapshot, and its noise is not that of its dealt seeds."""
    monkeypatch.setattr("securefl.crypto.password._LOG2_N", 1)
    plan = private_plan(5, 2, floor=3)
    names = [f"party-{i}" for i in range(5)]
    roster, update = Roster.unsigned(names), {"w": np.zeros(64)}
    ledger = PrivacyLedger(tmp_path / "ledger.jsonl", Budget(epsilon=1000.0, delta=1e-5))
    drawn: list[list[bytes]] = []

    def noted(*args, noise_seeds, **kwargs):
        drawn.append(list(noise_seeds))
        return encode_private(*args, noise_seeds=noise_seeds, **kwargs)

    monkeypatch.setattr(session_masking, "encode_private", noted)
    given = {"roster": roster, "policy": ClientPolicy.matching(plan), "ledger": ledger}
    clients = {name: SecAggClient(name, used=UsedFile.open_or_create(tmp_path / name), **given) for name in names}
    server = SecAggServer(plan, roster=roster, ledger=ledger, used=UsedFile.open_or_create(tmp_path / "server"))
    mail = server.start_round()
    while not server.done:
        answers = [(name, answer) for name, data in mail for answer in clients[name].receive(data)]
        for name, client in clients.items():
            snapshot, used = client.save("password"), UsedFile.open(tmp_path / name)
            clients[name] = SecAggClient.restore(snapshot, "password", used=used, **given)
            clients[name].submit(update)
        mail = [sent for name, data in answers for sent in server.receive(data, party=name)]
        snapshot, used = server.save("password"), UsedFile.open(tmp_path / "server")
        server = SecAggServer.restore(snapshot, "password", roster=roster, ledger=ledger, used=used)
    assert len(drawn) == 5
    opened = server._round.result().seeds
    assert [list(opened[party].values()) for party in range(5)] == drawn
    assert server.result().survivors == tuple(names)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_no_vector_with_less_noise_than_its_plan_says(count):
    """Success: a session that lost its seeds sends a vector with component 0 only, or under seeds that nobody holds."""
    plan = private_plan(5, 2, floor=3)
    with pytest.raises(LocalProtocolError, match="seeds of noise for 2 components"):
        encode_private(plan, {"w": np.zeros(64)}, bytes(32), noise_seeds=[bytes(32)] * count)
