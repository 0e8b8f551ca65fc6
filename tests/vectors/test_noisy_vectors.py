"""The library against the vectors of XNoise, which the reference made: equal bytes for what is right, the named error for what is wrong."""

import functools
import json
from fractions import Fraction
from pathlib import Path

import pytest

import securefl.errors
from reference import protocol
from reference.errors import Aborted, Malformed, Refused
from securefl.errors import RoundAbortedError, SecureFLError
from securefl.plan import Plan
from securefl.secagg.dealing import labels_of, sealed_bytes
from securefl.wire.envelope import body_limit
from securefl.wire.messages import Kind
from vectors.noisy import SHAPES, NoisyCase
from vectors.noisy_replay import NoisyReplay
from vectors.played import deliver

FILE = json.loads((Path(__file__).parent / "xnoise.json").read_text(encoding="utf-8"))
ROUNDS = {row["name"]: row for row in FILE["positive"]}


@functools.cache
def cases():
    return {name: NoisyCase(name) for name in SHAPES}


def named(row):
    return f"{row['round']}-{row['kind']}-{row['what'].replace(' ', '_')}"


@pytest.mark.parametrize("name", ROUNDS)
def test_a_round_is_equal_to_the_bit_and_its_excess_comes_off(name, tmp_path):
    row, replay = ROUNDS[name], NoisyReplay(ROUNDS[name], tmp_path)
    server, outbox = replay.new_server()
    clients = {party: replay.new_client(party) for party in replay.names}
    sent, aborted = [], None
    while not server.done:
        step = server.step
        sent += [(party, False, data) for party, data in outbox]
        inbox, outbox = outbox, []
        for party, data in inbox:
            if replay.drops.get(party) == step:
                continue
            for answer in clients[party].receive(data):
                sent.append((party, True, answer))
                outbox += server.receive(answer, party=party)
        if server.step == step and not outbox:
            try:
                outbox = server.close_phase()
            except RoundAbortedError:
                aborted = str(step)
    assert sent == [message[1:] for message in replay.messages]
    assert aborted == row["aborted"]
    if aborted:
        return
    ring_sum = server._round.result()
    assert ring_sum.total.tolist() == row["sum"]
    opened = {str(party): {str(j): seed.hex() for j, seed in seeds.items()} for party, seeds in ring_sum.seeds.items()}
    assert opened == row["opened"]
    assert server.result().integers.tolist() == row["centred"]


@pytest.mark.parametrize("name", [name for name, row in ROUNDS.items() if not row["aborted"]])
def test_a_seed_gives_the_noise_that_its_row_says(name):
    row, release = ROUNDS[name], Plan.from_bytes(bytes.fromhex(ROUNDS[name]["plan"])).release
    assert release.mechanism.components(release.exact_variance, release.floor) == [*map(Fraction, row["variances"])]
    for party in row["parties"]:
        for number, (seed, drawn) in enumerate(zip(party["noise_seeds"], party["noise"], strict=True), 1):
            assert release.draw_excess({number: bytes.fromhex(seed)}).tolist() == drawn


def test_the_rounds_open_every_number_of_seeds_there_can_be():
    opened = {len(seeds) for row in FILE["positive"] if not row["aborted"] for seeds in [row["opened"].get("0", {})]}
    assert opened == {0, 1, 2}
    assert any(row["aborted"] for row in FILE["positive"])


def test_sizes():
    for row in FILE["sizes"]:
        noise = row["noise_labels"]
        assert (labels_of(noise)[-1], sealed_bytes(noise)) == (row["last"], row["sealed"])
        assert row["bundle"] == row["sealed"] - 28
        # As the page has it.
        assert row["sealed"] == 121 + 44 * min(noise, 9) + 45 * max(0, noise - 9) + 2 * (noise >= 14)
        assert row["digests"] == 32 * len(labels_of(noise))
        assert body_limit(Kind.UNMASK_SHARES, 100, None, noise) == row["answer_limit"]


def test_plans():
    for row in FILE["plans"]:
        data = bytes.fromhex(row["plan"])
        plan = Plan.from_bytes(data)
        assert (plan.to_bytes(), plan.release.seeds) == (data, row["noise_labels"])
    for row in FILE["plans_negative"]:
        with pytest.raises(getattr(securefl.errors, row["error"])):
            Plan.from_bytes(bytes.fromhex(row["plan"]))


PLACES = {(row["round"], row["kind"], row["receiver"]): row for row in FILE["negative"]}


@pytest.mark.parametrize("row", PLACES.values(), ids=lambda row: f"{row['round']}-{row['kind']}")
def test_where_bad_messages_are_refused_the_good_one_is_taken(row, tmp_path):
    replay, receiver = NoisyReplay(ROUNDS[row["round"]], tmp_path), row["receiver"]
    receive = replay.play("server" if receiver == "server" else replay.names[receiver], row["instead_of"])
    receive(replay.messages[row["instead_of"]][3])


@pytest.mark.parametrize("row", FILE["negative"], ids=named)
def test_a_bad_message_is_refused_by_name(row, tmp_path):
    replay, receiver = NoisyReplay(ROUNDS[row["round"]], tmp_path), row["receiver"]
    receive = replay.play("server" if receiver == "server" else replay.names[receiver], row["instead_of"])
    with pytest.raises(SecureFLError) as caught:
        receive(bytes.fromhex(row["data"]))
    assert type(caught.value).__name__ == row["error"]


@pytest.mark.parametrize("row", FILE["negative"], ids=named)
def test_the_reference_refuses_it_as_well(row):
    kinds = {"MalformedMessageError": Malformed, "RemoteProtocolError": Refused, "RoundAbortedError": Aborted}
    with pytest.raises(kinds[row["error"]]):
        deliver(cases()[row["round"]], row, bytes.fromhex(row["data"]))


def test_negative_rows_have_names_of_their_own():
    assert len({named(row) for row in FILE["negative"]}) == len(FILE["negative"])


@pytest.mark.parametrize("row", FILE["late"], ids=named)
def test_a_dealer_that_lied_about_a_seed_ends_the_round_at_its_last_step(row, tmp_path):
    replay, case = NoisyReplay(ROUNDS[row["round"]], tmp_path), cases()[row["round"]]
    place, data = row["instead_of"], bytes.fromhex(row["data"])
    kind, liar, *_ = replay.messages[place]
    messages = [(kind, liar, True, data) if i == place else message for i, message in enumerate(replay.messages)]
    server, _ = replay.new_server()
    replay.carry(server, messages[:-1])
    with pytest.raises(RoundAbortedError) as caught:
        server.receive(messages[-1][3])
    assert type(caught.value).__name__ == row["error"]
    assert caught.value.suspects == (liar,)
    with pytest.raises(Aborted):
        play_all(case, place, data)


def play_all(case, place, data):
    """The reference's server with one message exchanged."""
    server, arrived = protocol.Server(case.round, case.order), {}
    steps = [step for step in protocol.STEPS if case.identities or step != "consistency"]
    for i, (up, party, message) in enumerate(case.transcript.messages):
        if up:
            sent = data if i == place else message
            arrived[party] = [sent] if case.kind(i) == "masked_input" else sent
        elif arrived:
            getattr(server, steps.pop(0))(arrived)
            arrived = {}
    assert steps == ["unmask"]
    server.unmask(arrived)
