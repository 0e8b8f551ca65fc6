"""The rounds of xnoise.json, played by the library: its server session, and its parties without the encoding, which draws as it likes."""

import numpy as np

from securefl.dp.ledger import Budget, PrivacyLedger
from securefl.secagg.client import ClientRound
from securefl.wire import codec
from securefl.wire.envelope import check_seal, parse
from securefl.wire.messages import Invite, Kind
from vectors.replay import Replay, Scripted


class NoisyClient:
    """A party of the library whose vector is given."""

    def __init__(self, replay, name):
        self.replay, party = replay, replay.names.index(name)
        self.given = given = replay.vector["parties"][party]
        tokens = [given["mask_private"], given["share_private"], given["seed"], *given["noise_seeds"], *given["nonces"]]
        integers = [int(a, 16) for powers in given["coefficients"].values() for a in reversed(powers)]
        self.random = Scripted(b"".join(map(bytes.fromhex, tokens)), integers)
        session, number = bytes.fromhex(replay.vector["session"]), replay.vector["round"]
        self.context = replay.plan.for_round(session, number, roster=replay.roster)
        self.round = ClientRound(
            self.context,
            party,
            names=replay.names,
            identity=replay.identity(name),
            verify_keys=[bytes.fromhex(key) for key in replay.vector["verify_keys"]] or None,
            random=self.random,
        )

    def receive(self, data):
        envelope = parse(data, parties=self.context.parties, neighbours=self.context.neighbours or None)
        if envelope.kind is Kind.INVITE:
            check_seal(envelope, binding=self.round.binding, verify_key=None, suspect="server")
            assert codec.decode(Invite, envelope.body, limit=2**21).plan == self.replay.plan.to_bytes()
            return [self.round.advertise()]
        answers = self.round.receive(envelope)
        if envelope.kind is Kind.CIPHERTEXTS:
            assert [seed.reveal().hex() for seed in self.round.noise_seeds()] == self.given["noise_seeds"]
            dtype = np.uint32 if self.context.ring_bits <= 32 else np.uint64
            answers += self.round.mask(np.array(self.given["vector"], dtype))
        return answers


class NoisyReplay(Replay):
    """One round of the file, with a new ledger in a folder."""

    def __init__(self, vector, folder):
        super().__init__(vector)
        self.ledger = PrivacyLedger(folder / "ledger.jsonl", budget=Budget(epsilon=100.0, delta=1e-6))

    def new_client(self, name):
        return NoisyClient(self, name)
