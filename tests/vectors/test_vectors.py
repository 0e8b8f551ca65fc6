"""The library against the vectors, which the reference made: equal bytes for what is right, the named error for what is wrong."""

import functools
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import securefl.errors
from reference import protocol
from reference.errors import Aborted, Malformed, Refused
from securefl.crypto import aead, digest, merkle, shamir
from securefl.crypto.kex import KeyPair
from securefl.crypto.prg import apply_masks, keystream
from securefl.crypto.signing import SigningKey, fingerprint, verify
from securefl.encoding import fixed_point
from securefl.encoding.layout import Layout, Leaf, tree_digest
from securefl.encoding.rounding import stochastic_round
from securefl.encoding.words import pack, unpack
from securefl.errors import CryptoError, RoundAbortedError, SecureFLError
from securefl.pipeline import encode_update
from securefl.plan import Plan, Roster
from securefl.plan.roster import Member
from securefl.plan.serialize import PlanMessage
from securefl.secagg import context, dealing, derive, graph, k_regular, parameters
from securefl.secagg.advertise import _signed_data
from securefl.secagg.consistency import survivors_data
from securefl.types import Graph, RoundContext, ServerModel
from securefl.wire import bitmap, codec
from securefl.wire import messages as wire
from securefl.wire.envelope import parse
from securefl.wire.messages import KeyEntry
from vectors import generate
from vectors.played import deliver
from vectors.replay import Replay, Scripted
from vectors.rounds import SHAPES, Case
from vectors.spoiled import flip

HERE = Path(__file__).parent


@functools.cache
def load(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def rows(name, section="positive"):
    return load(name)[section]


def unhex(row, *names):
    return [bytes.fromhex(row[name]) for name in names]


def error(row):
    return getattr(securefl.errors, row["error"], None) or {"ValueError": ValueError}[row["error"]]


@pytest.mark.heavy
def test_the_files_are_what_the_reference_makes():
    made = generate.build()
    assert {path.name for path in HERE.glob("*.json")} == set(made)
    for name, content in made.items():
        assert (HERE / name).read_text(encoding="utf-8") == generate.text(content), name


# Derivations


def fields_of(row):
    values = ((kind, value) for field in row["fields"] for kind, value in field.items())
    return [bytes.fromhex(value) if kind == "bytes" else value for kind, value in values]


def test_digests():
    for row in rows("digests"):
        assert digest.digest(row["label"], *fields_of(row)).hex() == row["digest"]
        assert digest.checksum(row["label"], *fields_of(row)).hex() == row["checksum"]
    for row in rows("digests", "negative"):
        with pytest.raises(error(row)):
            digest.digest(row["label"], *fields_of(row))


def test_contexts():
    for row in rows("contexts"):
        session, roster, plan, model, root = unhex(
            row, "session", "roster_digest", "plan_digest", "model_digest", "root"
        )
        made = RoundContext(
            session=session,
            round=row["round"],
            roster_digest=roster,
            plan_digest=plan,
            model_digest=model,
            parties=3,
            threshold=2,
            max_colluders=0,
            min_survivors=3,
            server=ServerModel.ACTIVE,
            ring_bits=8,
            length=1,
        )
        entries = [KeyEntry(e["party"], *unhex(e, "mask_key", "share_key"), b"") for e in row["entries"]]
        assert context.pre_context(made).hex() == row["ctx0"]
        assert context.key_list_root(entries).hex() == row["root"]
        assert context.key_tree(entries).root.hex() == row["tree_root"]
        assert context.sized_root(bytes.fromhex(row["tree_root"]), len(entries)).hex() == row["root"]
        assert [context.key_leaf(entry).hex() for entry in entries] == row["leaves"]
        assert context.bind(made, root).hex() == row["ctx"]


def leaves_of(size):
    return [i.to_bytes(4, "big") for i in range(size)]


def path_of(row):
    data = bytes.fromhex(row["path"])
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def test_merkle_trees():
    for row in rows("merkle", "roots"):
        assert merkle.root(leaves_of(row["size"])).hex() == row["root"]
    for row in rows("merkle", "paths"):
        leaf = bytes.fromhex(row["leaf"])
        assert merkle.path(leaves_of(row["size"]), row["place"]) == path_of(row)
        assert merkle.root_from_path(leaf, row["place"], row["size"], path_of(row)).hex() == row["root"]
    for row in rows("merkle", "negative"):
        claim = functools.partial(
            merkle.root_from_path, bytes.fromhex(row["leaf"]), row["place"], row["size"], path_of(row)
        )
        if row["refused"] == "by its shape":
            with pytest.raises(CryptoError):
                claim()
        else:
            assert claim().hex() != row["root"]


def test_rings():
    for row in rows("graphs", "rings"):
        made = graph.draw(ring_context(row["neighbours"]), reversed(row["parties"]), Scripted(b"", row["draws"]))
        assert made.parties == set(row["parties"])
        assert row["order"] is None or made.order == tuple(row["order"])
        assert {str(party): sorted(made.of(party)) for party in row["parties"]} == row["graph"]


def ring_context(neighbours):
    none = bytes(32)
    return RoundContext(
        bytes(16), 1, none, none, none, 40, 2, 1, 3, ServerModel.SEMI_HONEST, 8, 1, Graph.K_REGULAR, neighbours
    )


def test_degrees_and_thresholds():
    for row in rows("graphs", "degrees"):
        found = k_regular.choose_degree(row["parties"], row["colluders"], row["dropped"])
        assert (found.neighbours, found.threshold) == (row["neighbours"], row["threshold"])
        assert (found.least, found.most) == (row["t1"] + 1, row["t2"])
    names = ("attending", "colluders", "dropped", "neighbours", "threshold")
    for row in rows("graphs", "refits"):
        assert k_regular.refit(*(row[name] for name in names)) == row["refitted"]
    assert any(row["refitted"] > row["threshold"] for row in rows("graphs", "refits"))
    for row in rows("graphs", "negative"):
        with pytest.raises(error(row)):
            parameters.choose(
                row["parties"],
                ServerModel.SEMI_HONEST,
                threshold=row["threshold"],
                max_colluders=row["colluders"],
                min_survivors=row["parties"] - row["dropped"],
                graph=Graph.K_REGULAR,
                neighbours=row["neighbours"],
            )
    for row in rows("graphs", "refits_negative"):
        with pytest.raises(error(row)):
            k_regular.refit(*(row[name] for name in names))


def test_plans():
    for row in rows("plans"):
        data = bytes.fromhex(row["plan"])
        plan = Plan.from_bytes(data)
        assert (plan.to_bytes(), plan.digest().hex(), plan.length) == (data, row["digest"], row["length"])
        assert in_json(codec.decode(PlanMessage, data, limit=len(data))) == row["fields"]
    for row in rows("plans", "negative"):
        with pytest.raises(error(row)):
            Plan.from_bytes(bytes.fromhex(row["plan"]))


def test_rosters_and_models():
    for row in rows("sessions", "rosters"):
        keys = [bytes.fromhex(key) for key in row["verify_keys"]] or [b""] * len(row["names"])
        roster = Roster(tuple(Member(*pair) for pair in zip(row["names"], keys, strict=True)), row["version"])
        assert (roster.digest().hex(), roster.fingerprint) == (row["digest"], row["fingerprint"])
        assert roster._signed_data().hex() == row["owner_signs"]
        assert [fingerprint(key) for key in keys if key] == row["key_fingerprints"]
    for row in rows("sessions", "models"):
        layout = Layout(tuple(Leaf(leaf["name"], tuple(leaf["shape"]), leaf["dtype"]) for leaf in row["leaves"]))
        assert layout.digest().hex() == row["layout_digest"]
        arrays = [
            np.array(values, leaf["dtype"]).reshape(leaf["shape"])
            for values, leaf in zip(row["values"], row["leaves"], strict=True)
        ]
        assert [array.tobytes().hex() for array in arrays] == row["tensors"]
        assert tree_digest(layout, layout.unflatten(arrays)).hex() == row["model_digest"]


def test_encoding():
    for row in rows("encoding", "rounding"):
        draws = Scripted(bytes.fromhex(row["draws"]))
        assert stochastic_round(np.array(row["values"]), draws).tolist() == row["rounded"]
        assert draws.spent
    for row in rows("encoding", "scaled"):
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                fixed_point, "stochastic_round", lambda values, _, seen=seen: seen.append(values.copy()) or values
            )
            fixed = fixed_point.FixedPoint(row["value_bits"], row["bound"])
            fixed.encode_into(np.array([row["value"]]), np.zeros(1, np.int64))
        assert seen[0].tolist() == [row["scaled"]]
    for row in rows("encoding", "vectors"):
        plan, draws = Plan.from_bytes(bytes.fromhex(row["plan"])), Scripted(bytes.fromhex(row["draws"]))
        made = encode_update(plan, tree_of(plan, row), weight=row["weight"], metrics=row["metrics"], random=draws)
        assert made.vector.tolist() == row["vector"]
        assert plan.ring.centre(made.vector).tolist() == row["centred"]
        assert draws.spent
    for row in rows("encoding", "negative"):
        plan = Plan.from_bytes(bytes.fromhex(row["plan"]))
        metrics = {name: float(value) for name, value in row["metrics"].items()}
        with pytest.raises(error(row)) as caught:
            encode_update(plan, tree_of(plan, row), weight=row["weight"], metrics=metrics)
        assert type(caught.value) is error(row)


def tree_of(plan, row):
    return plan.layout.unflatten(
        [
            np.array([float(x) for x in values]).astype(leaf.dtype).reshape(leaf.shape)
            for values, leaf in zip(row["update"], plan.layout.leaves, strict=True)
        ]
    )


# Messages


def in_json(value):
    """A struct of the library as it stands in the files."""
    if isinstance(value, msgspec.Struct):
        return {name: in_json(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list):
        return [in_json(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def test_every_field_of_every_message():
    for row in rows("messages"):
        struct = getattr(wire, "".join(part.capitalize() for part in row["name"].split("_")))
        body, data, binding = unhex(row, "body", "envelope", "binding")
        message = codec.decode(struct, body, limit=len(body))
        assert in_json(message) == row["fields"]
        assert codec.encode(message) == body
        envelope = parse(data, parties=8)
        assert in_json(envelope) == {
            "version": 1,
            **{name: row[name] for name in ("kind", "session", "round", "sender", "body", "seal")},
        }
        assert codec.encode(envelope) == data
        fields = (binding, row["kind"], envelope.session, row["round"], row["sender"], body)
        assert digest.digest("envelope", *fields).hex() == row["sealed"]
        assert len(envelope.seal) == 64 or row["seal"] == row["sealed"][:32]
    for name in ("active-3", "active-5-prefetch-1"):
        assert {row["name"] for row in rows("messages") if row["from"] == name} == {
            kind.name.lower() for kind in wire.SECAGG_KINDS
        }


def test_keys():
    for row in rows("keys", "agreement"):
        pair = KeyPair.from_private(bytes.fromhex(row["private"]))
        assert pair.public.hex() == row["public"]
        assert pair.exchange(bytes.fromhex(row["peer"])).hex() == row["agreed"]
        assert pair.private.reveal().hex() == row["private"]  # dealt unclamped
    for row in rows("keys", "pair"):
        ctx, agreed = unhex(row, "ctx", "agreed")
        one, other = row["parties"]
        assert derive.pair_key(ctx, agreed, one, other).hex() == row["key"]
        assert derive.pair_key(ctx, agreed, other, one).hex() == row["key"]
    for row in rows("keys", "share"):
        ctx, agreed = unhex(row, "ctx", "agreed")
        assert derive.share_key(ctx, agreed, row["source"], row["destination"]).hex() == row["key"]
    for row in rows("keys", "self"):
        ctx, seed = unhex(row, "ctx", "seed")
        assert derive.self_key(ctx, row["party"], seed).hex() == row["key"]
    for row in rows("keys", "negative"):
        with pytest.raises(error(row)):
            KeyPair.from_private(bytes.fromhex(row["private"])).exchange(bytes.fromhex(row["peer"]))


def test_masks():
    for row in rows("masks", "words"):
        key = bytes.fromhex(row["key"])
        assert keystream(key, 6, bits=row["bits"], offset=row["offset"]).tolist() == row["words"]
    for row in rows("masks", "masked"):
        vector = np.array(row["vector"], np.uint32 if row["bits"] <= 32 else np.uint64)
        apply_masks(vector, [(bytes.fromhex(m["key"]), m["sign"]) for m in row["masks"]], bits=row["bits"])
        assert vector.tolist() == row["masked"]


def test_secret_sharing():
    for row in rows("shamir"):
        integers = [int(a, 16) for a in reversed(row["coefficients"])]
        points = [item["point"] for item in row["shares"]]
        made = shamir.split(
            bytes.fromhex(row["secret"]), threshold=row["threshold"], points=points, random=Scripted(b"", integers)
        )
        assert {x: share.hex() for x, share in made.items()} == {i["point"]: i["share"] for i in row["shares"]}
        basis = shamir.LagrangeBasis(row["rebuilt_from"])
        assert basis.combine([made[x] for x in row["rebuilt_from"]]).hex() == row["rebuilt"] == row["secret"]
    for row in rows("shamir", "negative"):
        with pytest.raises(error(row)):
            shamir.LagrangeBasis([i["point"] for i in row["shares"]]).combine(
                [bytes.fromhex(i["share"]) for i in row["shares"]]
            )


def test_dealing():
    for row in rows("dealing", "commitments"):
        ctx, secret, share = unhex(row, "ctx", "secret", "share")
        label = dealing.Label(row["label"])
        assert dealing.commitment(ctx, row["owner"], label, secret).hex() == row["commitment"]
        assert dealing.share_digest(ctx, row["owner"], row["holder"], label, share).hex() == row["share_digest"]
    for row in rows("dealing", "sealed"):
        ctx, key, nonce, aad, plaintext, sealed = unhex(row, "ctx", "key", "nonce", "aad", "plaintext", "sealed")
        assert dealing._sealing_data(ctx, row["source"], row["destination"]) == aad
        assert aead.seal(key, plaintext, aad=aad, random=Scripted(nonce)) == sealed
        assert aead.unseal(key, sealed, aad=aad) == plaintext
    for row in rows("dealing", "negative"):
        key, sealed, aad = unhex(row, "key", "sealed", "aad")
        with pytest.raises(error(row)):
            aead.unseal(key, sealed, aad=aad)


def test_signatures():
    for row in rows("signatures"):
        seed, verify_key, signed, signature = unhex(row, "seed", "verify_key", "signed", "signature")
        if row["what"] == "advertise":
            ctx0, mask_key, share_key = unhex(row, "ctx0", "mask_key", "share_key")
            assert _signed_data(ctx0, row["party"], mask_key, share_key) == signed
        elif row["what"] == "survivors":
            assert survivors_data(bytes.fromhex(row["ctx"]), reversed(row["survivors"])) == signed
        elif row["what"] == "roster-owner":
            assert digest.digest("roster-owner", bytes.fromhex(row["roster_digest"])) == signed
        else:
            binding, session, body = unhex(row, "binding", "session", "body")
            fields = (binding, row["kind"], session, row["round"], row["sender"], body)
            assert digest.digest("envelope", *fields) == signed
        key = SigningKey.from_bytes(seed)
        assert (key.verify_key, key.sign(signed)) == (verify_key, signature)
        verify(verify_key, signature, signed)
    for row in rows("signatures", "negative"):
        with pytest.raises(error(row)):
            verify(*unhex(row, "verify_key", "signature", "signed"))


def test_words_and_sets():
    for row in rows("words", "words"):
        words = np.array(row["words"], np.uint32 if row["bits"] <= 32 else np.uint64)
        assert pack(words, row["bits"]).hex() == row["bytes"]
        assert unpack(bytes.fromhex(row["bytes"]), row["bits"], len(words)).tolist() == row["words"]
    for row in rows("words", "words_negative"):
        with pytest.raises(error(row)):
            unpack(bytes.fromhex(row["bytes"]), row["bits"], row["count"])
    for row in rows("words", "sets"):
        assert bitmap.pack(row["members"], row["parties"]).hex() == row["bytes"]
        assert bitmap.unpack(bytes.fromhex(row["bytes"]), row["parties"]) == set(row["members"])
    for row in rows("words", "sets_negative"):
        with pytest.raises(error(row)):
            bitmap.unpack(bytes.fromhex(row["bytes"]), row["parties"])


# Rounds

ROUNDS = {row["name"]: row for row in rows("rounds")}


def test_every_kind_of_message_is_there_in_both_server_models():
    kinds = {name: {m["kind"] for m in row["messages"]} for name, row in ROUNDS.items()}
    assert len(kinds["active-3"]) == 10
    assert kinds["active-3"] - kinds["semi-honest-3"] == {"survivors", "consistency"}


def replay_of(name):
    row = ROUNDS[name]
    return Replay(row, row["after"] and ROUNDS[row["after"]])


@pytest.mark.parametrize("name", ROUNDS)
def test_what_a_session_agrees_on(name):
    row, replay = ROUNDS[name], replay_of(name)
    plan = replay.plan
    assert plan.to_bytes().hex() == row["plan"]
    assert plan.digest().hex() == row["plan_digest"]
    assert plan.layout.digest().hex() == row["layout_digest"]
    assert plan.model_digest(replay.model).hex() == row["model_digest"]
    assert replay.roster.digest().hex() == row["roster_digest"]


def damaged(data):
    """Every truncation, every bit flip, and one byte more."""
    for size in range(len(data)):
        yield data[:size]
    for bit in range(8 * len(data)):
        yield flip(data, bit)
    yield data + b"\x00"


@pytest.mark.parametrize("name", ROUNDS)
def test_a_round_is_equal_to_the_bit_and_no_damaged_message_gets_in(name):
    """Before each message every damaged form of it is refused, and leaves no trace: what follows is still equal."""
    row, replay = ROUNDS[name], replay_of(name)
    spoil = damaged if name.endswith("-3") else lambda data: [data[:-1], flip(data, 8 * len(data) - 3), data + b"\x00"]
    server, outbox = replay.new_server()
    clients = {party: replay.new_client(party) for party in replay.names}
    sent, aborted = [], None

    def refused(receive, data):
        for bad in spoil(data):
            with pytest.raises(securefl.errors.RemoteProtocolError):
                receive(bad)

    while not server.done:
        step = server.step
        sent += [(party, False, data) for party, data in outbox]
        inbox, outbox = outbox, []
        for party, data in inbox:
            if replay.drops.get(party) == step:
                continue
            if party == replay.names[0]:
                refused(clients[party].receive, data)
            for answer in clients[party].receive(data):
                sent.append((party, True, answer))
                if party == replay.names[0]:
                    refused(functools.partial(server.receive, party=party), answer)
                outbox += server.receive(answer, party=party)
        if server.step == step and not outbox:
            try:
                outbox = server.close_phase()
            except RoundAbortedError:
                aborted = str(step)
    assert sent == [message[1:] for message in replay.messages]
    assert aborted == row["aborted"]
    assert {str(party): data.hex() for party, data in server._round.prefetched.items()} == row["prefetched"]
    if aborted:
        return
    assert server.result().survivors == tuple(replay.names[i] for i in row["survivors"])
    total = server._round.result().total
    assert total.tolist() == row["sum"]
    assert replay.plan.ring.centre(total).tolist() == row["centred"]


# What must be refused

NEGATIVE = rows("negative", "negative")


def test_no_kind_of_message_goes_without_bad_ones():
    assert {row["kind"] for row in NEGATIVE} == {m["kind"] for m in ROUNDS["active-3"]["messages"]}
    assert len({named(row) for row in NEGATIVE}) == len(NEGATIVE)


def named(row):
    return f"{row['round']}-{row['kind']}-{row['what'].replace(' ', '_')}"


@pytest.mark.parametrize("row", NEGATIVE, ids=named)
def test_a_bad_message_is_refused_by_name(row):
    replay = Replay(ROUNDS[row["round"]])
    receiver = row["receiver"]
    receive = replay.play("server" if receiver == "server" else replay.names[receiver], row["instead_of"])
    with pytest.raises(SecureFLError) as caught:
        receive(bytes.fromhex(row["data"]))
    assert type(caught.value).__name__ == row["error"]


LATE = rows("negative", "late")


@pytest.mark.parametrize("row", LATE, ids=named)
def test_a_dealer_that_lied_ends_the_round_at_its_last_step(row):
    replay, case = Replay(ROUNDS[row["round"]]), cases()[row["round"]]
    place, data = row["instead_of"], bytes.fromhex(row["data"])
    kind, liar, *_ = replay.messages[place]
    messages = [(kind, liar, True, data) if i == place else message for i, message in enumerate(replay.messages)]
    server, _ = replay.new_server()
    replay.carry(server, messages[:-1])
    with pytest.raises(RoundAbortedError) as caught:
        server.receive(messages[-1][3])
    assert type(caught.value).__name__ == row["error"]
    assert caught.value.suspects == (liar,)

    theirs, arrived = protocol.Server(case.round, case.order), {}
    steps = [step for step in protocol.STEPS if case.identities or step != "consistency"]
    for i, (up, party, message) in enumerate(case.transcript.messages):
        if up:
            sent = data if i == place else message
            arrived[party] = [sent] if case.kind(i) == "masked_input" else sent
        elif arrived:
            getattr(theirs, steps.pop(0))(arrived)
            arrived = {}
    assert steps == [row["at"]]
    with pytest.raises(Aborted):
        theirs.unmask(arrived)


PREFETCHED = rows("negative", "prefetched")


@pytest.mark.parametrize("row", PREFETCHED, ids=lambda row: f"{row['round']}-{row['what']}".replace(" ", "_"))
def test_bad_keys_sent_ahead_are_not_used_and_their_party_is_invited(row):
    replay, case = replay_of(row["round"]), cases()[row["round"]]
    server, _ = replay.before.new_server()
    replay.before.carry(server, replay.before.messages)
    ahead = {int(party): bytes.fromhex(data) for party, data in replay.prefetched.items()}
    ahead[row["party"]] = bytes.fromhex(row["data"])
    server._round.prefetched.update(ahead)
    invited = [replay.names.index(party) for party, _ in replay.start(server)]
    assert server.step == "advertise"
    assert invited == [party for party in range(len(replay.names)) if party == row["party"] or party not in ahead]
    assert set(protocol.Server(case.round).usable(ahead)) == set(ahead) - {row["party"]}


@functools.cache
def cases():
    return {name: Case(name) for name in SHAPES}


@pytest.mark.parametrize("row", NEGATIVE, ids=named)
def test_the_reference_refuses_it_as_well(row):
    case, data = cases()[row["round"]], bytes.fromhex(row["data"])
    kinds = {"MalformedMessageError": Malformed, "RemoteProtocolError": Refused, "RoundAbortedError": Aborted}
    with pytest.raises(kinds[row["error"]]):
        deliver(case, row, data)
