"""The used-file under any interleaving of holders, restarts and crashes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from securefl.errors import SecretMisuseError
from securefl.records.used_file import UsedFile

SESSIONS = (bytes(16), bytes(range(16)))
steps_ = st.tuples(
    st.sampled_from(SESSIONS), st.integers(0, 2), st.sampled_from(["advertise", "masked_input", "unmask"])
)
whats_ = st.sampled_from([b"\x01" * 32, b"\x02" * 32])
holders_ = st.integers(0, 1)


class NoStepIsSpentTwice(RuleBasedStateMachine):
    """No (session, round, step, what) is ever spent twice, by whichever holder, and what was spent is never forgotten."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "used"
        self.holders = [UsedFile.create(self.path), UsedFile.open(self.path)]
        self.id = self.holders[0].id
        self.taken = {}

    def teardown(self):
        self.folder.cleanup()

    @rule(holder=holders_, step=steps_, what=whats_)
    def spend(self, holder, step, what):
        try:
            self.holders[holder].spend(*step, what)
        except SecretMisuseError:
            assert what in self.taken[step]
        else:
            assert what not in self.taken.setdefault(step, [])
            self.taken[step].append(what)

    @rule(holder=holders_, step=steps_, what=whats_)
    def agree(self, holder, step, what):
        before = self.taken.get(step, [])
        try:
            self.holders[holder].agree(*step, what)
        except SecretMisuseError:
            assert before not in ([], [what])
        else:
            assert before in ([], [what])
            self.taken[step] = [what]

    @rule(holder=holders_)
    def reopen(self, holder):
        self.holders[holder] = UsedFile.open(self.path)

    @rule(step=steps_, what=whats_, kept=st.integers(1, 200))
    def crash_while_writing(self, step, what, kept):
        session, number, name = step
        line = f"{session.hex()} {number} {name} {what.hex()}".encode()
        with self.path.open("ab") as file:
            file.write(line[:kept])

    @rule(holder=holders_, session=st.sampled_from(SESSIONS))
    def count(self, holder, session):
        used = self.holders[holder]
        rounds = {number for of, number, _ in self.taken if of == session}
        advertised = [keys for (of, _, step), keys in self.taken.items() if of == session and step == "advertise"]
        assert used.latest(session) == max(rounds, default=None)
        assert used.rounds(session) == sum(map(len, advertised))
        assert used.count == sum(map(len, self.taken.values()))

    @invariant()
    def it_stays_the_same_file(self):
        assert {used.id for used in self.holders} == {self.id}


TestNoStepIsSpentTwice = NoStepIsSpentTwice.TestCase
