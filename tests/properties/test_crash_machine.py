"""The oracle again, with crashes: a network that does what it likes, and both sides come back from any snapshot, or from none.

Whatever happens, no secret is used twice in the bytes that left (`integration.wire_oracle`), a sum is the exact sum over its
survivors, and every refusal is a typed one (protocol.md, "Rollback" and attack list, 6).
"""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from integration.crash_world import ACTIVE, K_REGULAR, SEMI_HONEST, World, cheap
from securefl.errors import LocalProtocolError, SecretMisuseError

picks = st.integers(0, 10**6)
seldom = st.sampled_from([False] * 5 + [True])
"""What mostly ends a round: so that most examples come to the steps where something can go wrong."""
mostly = st.sampled_from([True, True, False])
ROUNDS = 2

PLANS = [
    (5, {"server": ACTIVE, "threshold": 3}),
    (5, {"server": SEMI_HONEST, "threshold": 3}),
    (5, {"server": ACTIVE, "threshold": 3, "prefetch": True}),
    (6, {**K_REGULAR, "prefetch": True}),
]


class CrashingSum(RuleBasedStateMachine):
    """Messages lie in one heap; each rule does one thing to it, or to a program."""

    @initialize(plan=st.sampled_from(PLANS), autosave=st.sampled_from([True, True, False]), seed=st.integers(0, 2**32))
    def begin(self, plan, autosave, seed):
        self.stack = ExitStack()
        self.stack.enter_context(cheap())
        directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        n, protocol = plan
        self.world = World(Path(directory), n=n, protocol=protocol, autosave=autosave, seed=seed)
        self.rounds = 1
        self.shaken = False
        self.world.begin()

    # What the network and the clock may do.

    @rule(pick=picks)
    def deliver(self, pick):
        mail = self.world.mail
        if mail:
            mail.rotate(-(pick % len(mail)))
            self.world.deliver()

    @rule(seed=picks, keep=st.integers(0, 4), orderly=mostly)
    def deliver_many(self, seed, keep, orderly):
        rng = random.Random(seed)
        for _ in range(len(self.world.mail) - keep):
            if not orderly and rng.random() < 0.2:
                self.world.mail.rotate(1)
            self.world.deliver()

    @rule(times=st.integers(1, 25))
    def time_passes(self, times):
        for _ in range(times):
            if self.world.mail:
                self.world.deliver()

    @rule(pick=picks)
    def repeat(self, pick):
        """What was delivered, or is under way."""
        mail = self.world.mail
        known = [*self.world.delivered, *mail]
        if known:
            mail.insert(pick // 7 % (len(mail) + 1), known[pick % len(known)])

    @rule(pick=picks, rash=seldom)
    def lose(self, pick, rash):
        if self.world.mail and rash:
            del self.world.mail[pick % len(self.world.mail)]

    @rule(rash=seldom)
    def close_phase(self, rash):
        if not self.world.over and (rash or not self.world.mail):
            self.world.post(self.world.serve(lambda server: server.close_phase()))

    @rule()
    def send_again(self):
        if self.world.host.server.step is not None:
            self.world.post(self.world.serve(lambda server: server.resend()))

    @rule(rash=seldom)
    def next_round(self, rash):
        if self.rounds < ROUNDS and (rash or self.world.over):
            self.rounds += 1
            self.world.begin()

    # What programs may do.

    @rule(pick=picks)
    def save_a_party(self, pick):
        self._party(pick).save()

    @rule()
    def save_the_server(self):
        self.world.host.save()

    @rule(pick=picks, newest=st.booleans(), lost=seldom)
    def a_party_comes_back(self, pick, newest, lost):
        party = self._party(pick)
        if not party.snapshots:
            return
        self.shaken = True
        party.crash()
        party.restore(-1 if newest else pick // 11 % len(party.snapshots))
        if lost:
            self._lose_mail_of(party.name)

    @rule(pick=picks, rash=seldom)
    def a_party_starts_anew(self, pick, rash):
        if not rash:
            return
        self.shaken = True
        party = self._party(pick)
        party.crash()
        party.start()

    @rule(pick=picks, newest=mostly, lost=seldom)
    def the_server_comes_back(self, pick, newest, lost):
        self.shaken = True
        host = self.world.host
        host.crash()
        host.restore(-1 if newest else pick % len(host.snapshots))
        if lost:
            self.world.mail.clear()

    @rule(pick=picks, snapshot=picks, lately=mostly)
    def a_twin_is_asked_again(self, pick, snapshot, lately):
        """A second program from some snapshot, beside the first; it gets again what the party got, or what it will get."""
        party = self._party(pick)
        told = [mail for mail in (*self.world.delivered, *self.world.mail) if not mail.up and mail.name == party.name]
        if not told or not party.snapshots:
            return
        program, update = party.client, party.update
        party.crash()
        if party.restore(-1 - snapshot % min(3 if lately else 99, len(party.snapshots))):
            asked = told[-1 - pick // 13 % min(3 if lately else 99, len(told))]
            self.world.mail += self.world.handle(asked)
        party.client, party.update = program, update

    # What must hold at every moment; of the bytes the oracle holds it as they leave.

    @invariant()
    def a_sum_is_the_exact_sum_of_its_survivors(self):
        server = self.world.host.server
        if server.step is None and self.world.aborted is None:
            self.world.outcome()

    @invariant()
    def a_round_that_was_aborted_has_no_sum(self):
        if self.world.aborted is not None:
            try:
                self.world.host.server.result()
            except LocalProtocolError:
                return
            raise AssertionError("an aborted round has a sum")

    def teardown(self):
        """The round ends; and when all is quiet again, there are whole rounds again."""
        try:
            survivors = self.world.finish()
            reused = any(isinstance(refusal, SecretMisuseError) for _, refusal in self.world.refusals)
            event(
                "aborted" if survivors is None else "everybody" if len(survivors) == len(self.world.names) else "some"
            )
            event(f"reuse refused: {reused}")
            if self.shaken:
                self.world.whole_round(attempts=ROUNDS + 2)
        finally:
            self.stack.close()

    def _party(self, pick):
        return self.world.parties[self.world.names[pick % len(self.world.names)]]

    def _lose_mail_of(self, name):
        kept = [mail for mail in self.world.mail if mail.name != name]
        self.world.mail.clear()
        self.world.mail += kept


CrashingSum.TestCase.settings = settings(stateful_step_count=40)
TestCrashingSum = CrashingSum.TestCase
