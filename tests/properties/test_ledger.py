"""The privacy ledger under any interleaving of charges, handles, restarts and crashes."""

from __future__ import annotations

import collections
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from securefl.dp.accounting import (
    CompensatedSkellam,
    Composed,
    DiscreteGaussianCentral,
    DistributedGaussian,
    DistributedSkellam,
    GaussianRelease,
    PoissonSampled,
    Relation,
    Repeated,
    Unit,
    rdp_epsilon,
)
from securefl.dp.ledger import Budget, Charge, PrivacyBudgetError, PrivacyLedger, verify_file
from securefl.dp.ledger.event_json import event_from_json, event_to_json

BUDGET = Budget(epsilon=1.2, delta=1e-6)
EVENTS = (
    GaussianRelease(9.0),
    GaussianRelease(30.0),
    DistributedSkellam(100.0, 1000.0, 1e5, 10),
    CompensatedSkellam(1.0, 1.0, 1e9),
)
OWNERS = ("a", "b")
handles_ = st.integers(0, 1)


def charge(owner, ctx, attempt, event, draws):
    return Charge(
        owner=owner,
        party=owner,
        session=bytes(16),
        ctx=bytes([ctx]) * 32,
        attempt=bytes([attempt]),
        plan=bytes(32),
        event=event,
        relation=Relation.ZERO_OUT,
        unit=Unit.PARTY,
        floor=10 if isinstance(event, DistributedSkellam) else 0,
        draws=draws,
    )


charges_ = st.builds(
    charge,
    st.sampled_from(OWNERS),
    st.integers(0, 255),
    st.integers(0, 2),
    st.sampled_from(EVENTS),
    st.sampled_from([0, 1000]),
)


class SpentNeverExceedsTheBudgetAndNeverDecreases(RuleBasedStateMachine):
    """And each attempt is charged once, and what was acknowledged is never forgotten."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.jsonl"
        self.handles = [PrivacyLedger(self.path, BUDGET) for _ in range(2)]
        self.entered = {}
        self.spent = dict.fromkeys(OWNERS, 0.0)
        self.head = self.handles[0].head

    def teardown(self):
        self.folder.cleanup()
        for owner in OWNERS:
            released = [charge for charge, _ in self.entered.values() if charge.owner == owner]
            if released:
                draws = sum(charge.draws for charge in released)
                counts = collections.Counter(charge.event for charge in released)
                together = Composed(tuple(Repeated(event, count) for event, count in counts.items()))
                assert self.spent[owner] >= rdp_epsilon(together, BUDGET.delta, Relation.ZERO_OUT, draws=draws) * (
                    1 - 1e-9
                )

    @rule(handle=handles_, charge=charges_)
    def charge(self, handle, charge):
        self.enter(handle, charge)

    @rule(handle=handles_, charge=charges_, times=st.integers(2, 6))
    def charge_many_rounds(self, handle, charge, times):
        for attempt in range(times):
            self.enter(handle, Charge(**{**fields(charge), "attempt": b"many" + bytes([attempt])}))

    @rule(handle=handles_, data=st.data())
    def resend(self, handle, data):
        if self.entered:
            key = data.draw(st.sampled_from(sorted(self.entered)))
            known, head = self.entered[key]
            assert self.handles[handle].charge(known) == head == self.handles[1 - handle].charged(*key)

    @rule(handle=handles_)
    def reopen(self, handle):
        self.handles[handle] = PrivacyLedger(self.path, BUDGET, head=self.head)

    @rule(handle=handles_, kept=st.integers(1, 1000))
    def crash_while_writing(self, handle, kept):
        lines = self.path.read_bytes().splitlines()
        line = lines[-1] if lines else b'{"entry":{"version":1,"number":1,"previous":"00'
        with self.path.open("ab") as file:
            file.write(line[: min(kept, len(line) - 1)])

    def enter(self, handle, charge):
        known = self.entered.get(charge.key)
        if known is not None and known[0] != charge:
            return
        before = self.handles[1 - handle].spent(charge.owner)
        try:
            head = self.handles[handle].charge(charge)
        except PrivacyBudgetError as error:
            refused = error
            assert known is None
            assert refused.spent == before
            assert refused.needed > BUDGET.epsilon
        else:
            assert known is None or known[1] == head
            self.entered[charge.key] = charge, head
            self.head = max(self.head, head, key=lambda head: head.number)

    @invariant()
    def spent_stays_within_the_budget_and_grows(self):
        for owner in OWNERS:
            spent = {handle.spent(owner) for handle in self.handles}
            assert len(spent) == 1
            now = spent.pop()
            assert self.spent[owner] <= now <= BUDGET.epsilon
            self.spent[owner] = now

    @invariant()
    def the_file_holds_each_attempt_once(self):
        entries = verify_file(self.path, head=self.head)
        assert sorted(entry.charge.key for entry in entries) == sorted(self.entered)
        assert self.handles[0].head == self.handles[1].head == self.head


def fields(charge):
    return {name: getattr(charge, name) for name in Charge.__dataclass_fields__}


SpentNeverExceedsTheBudgetAndNeverDecreases.TestCase.settings = settings(stateful_step_count=12)
TestSpentNeverExceedsTheBudgetAndNeverDecreases = SpentNeverExceedsTheBudgetAndNeverDecreases.TestCase

positive_ = st.floats(min_value=1e-300, max_value=1e300, allow_nan=False)
norms_ = st.tuples(st.floats(1.0, 1e9), st.floats(1.0, 1e9)).map(sorted)
fixed_ = st.one_of(
    positive_.map(GaussianRelease),
    st.builds(DiscreteGaussianCentral, st.floats(1.0, 1e300), positive_),
    st.builds(lambda norms, variance: CompensatedSkellam(*norms, variance), norms_, positive_),
)
shared_ = st.builds(
    lambda norms, variance, survivors, dimension: (
        DistributedGaussian(*norms, variance, survivors, 1, dimension=dimension)
        if dimension
        else DistributedSkellam(*norms, variance, survivors, threshold=survivors)
    ),
    norms_,
    positive_,
    st.integers(3, 10**6),
    st.integers(0, 10**9),
)
sampled_ = st.builds(PoissonSampled, fixed_, st.floats(1e-12, 1.0))
events_ = st.recursive(
    st.one_of(fixed_, shared_, sampled_),
    lambda parts: st.one_of(
        st.builds(Repeated, parts, st.integers(1, 10**9)),
        st.lists(parts, min_size=1, max_size=3).map(lambda events: Composed(tuple(events))),
    ),
    max_leaves=5,
)


@given(events_)
def test_every_event_reads_back_as_it_was(event):
    data = event_to_json(event)
    assert event_from_json(data) == event
    assert event_to_json(event_from_json(data)) == data
