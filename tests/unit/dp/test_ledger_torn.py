"""The ledger on a disk that loses what was not synced, cut off at every byte that is written."""

import contextlib
import io
import os
from types import SimpleNamespace

import pytest

from securefl.dp.accounting import GaussianRelease, Relation, Unit
from securefl.dp.ledger import Budget, Charge, PrivacyBudgetError, PrivacyLedger, verify_file
from securefl.records import journal

BUDGET = Budget(epsilon=3.0, delta=1e-6)
AFFORDED = 9


class PowerCutError(Exception):
    """Everything stops here."""


class Disk:
    """Tells what was synced from what was only written; fails when it is told to.

    Each byte written, and each sync, takes a step; a write that runs out of steps is cut short there. `lies` drops syncs.
    """

    def __init__(self, path, monkeypatch):
        self.path = path
        self.durable = b""
        self.steps_left = None
        self.lies = False
        disk = self

        class File(io.FileIO):
            def write(self, data):
                return super().write(bytes(data[: disk.steps(len(data))]))

        class System:
            def __getattr__(self, name):
                return getattr(os, name)

            def fsync(self, number):
                disk.steps(1)
                if not disk.lies:
                    disk.durable = path.read_bytes()

        monkeypatch.setattr(journal, "io", SimpleNamespace(FileIO=File))
        monkeypatch.setattr(journal, "os", System())

    def steps(self, wanted):
        if self.steps_left is None:
            return wanted
        taken = min(wanted, self.steps_left)
        if not taken:
            raise PowerCutError
        self.steps_left -= taken
        return taken

    def lose_power(self, kept):
        """Leave what was synced, and the first `kept` bytes of what was not."""
        written = self.path.read_bytes()
        assert written.startswith(self.durable)
        self.path.write_bytes(written[: len(self.durable) + kept])
        self.durable, self.steps_left = self.path.read_bytes(), None

    @property
    def unsynced(self):
        return len(self.path.read_bytes()) - len(self.durable)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def disk(path, monkeypatch):
    return Disk(path, monkeypatch)


def charge(ctx, attempt=b"\x01"):
    return Charge(
        owner="a",
        party="a",
        session=bytes(16),
        ctx=ctx.to_bytes(32, "big"),
        attempt=attempt,
        plan=bytes(32),
        event=GaussianRelease(5.0),
        relation=Relation.ZERO_OUT,
        unit=Unit.PARTY,
    )


def check(path, acknowledged):
    """The laws: nothing acknowledged is lost, nothing is there twice, the budget holds."""
    keys = [entry.charge.key for entry in verify_file(path)]
    assert set(acknowledged) <= set(keys)
    assert len(set(keys)) == len(keys)
    assert PrivacyLedger(path, BUDGET).spent() <= BUDGET.epsilon
    return keys


def check_after_opening(path, before):
    PrivacyLedger(path, BUDGET)
    return check(path, [charge(ctx).key for ctx in range(before)])


def start(path, before):
    for ctx in range(before):
        PrivacyLedger(path, BUDGET).charge(charge(ctx))
    return [charge(ctx).key for ctx in range(before)]


@pytest.mark.parametrize("before", [0, 2])
def test_a_power_cut_at_any_byte_loses_no_acknowledged_charge(path, disk, before):
    acknowledged = start(path, before)
    whole = path.read_bytes() if before else b""
    numbers, steps = set(), 0
    while True:
        path.write_bytes(whole)
        disk.durable = whole
        ledger = PrivacyLedger(path, BUDGET)
        disk.steps_left = steps
        try:
            ledger.charge(charge(before))
        except PowerCutError:
            disk.lose_power(disk.unsynced)
        else:
            break
        # The party starts again, not knowing how far it came, and goes on.
        again = PrivacyLedger(path, BUDGET)
        numbers.add(again.head.number)
        assert again.charge(charge(before)).number == before + 1
        keys = check(path, [*acknowledged, charge(before).key])
        assert len(keys) == before + 1
        steps += 1
    disk.lose_power(0)
    assert len(check(path, [*acknowledged, charge(before).key])) == before + 1
    assert numbers == {before, before + 1}  # torn lines are dropped; the whole line without its sync is kept
    assert steps > 500  # each byte of the line, and its sync


def test_what_was_not_synced_may_be_lost_altogether(path, disk):
    start(path, 2)
    ledger = PrivacyLedger(path, BUDGET)
    disk.steps_left = 100
    with pytest.raises(PowerCutError):
        ledger.charge(charge(2))
    disk.lose_power(0)
    assert len(check_after_opening(path, 2)) == 2


def test_a_charge_at_the_end_of_the_budget_is_not_let_through_by_a_crash(path, disk):
    start(path, AFFORDED - 1)
    with pytest.raises(PrivacyBudgetError):
        start(path.with_name("other"), AFFORDED + 1)
    for attempt in range(1, 30):
        ledger = PrivacyLedger(path, BUDGET)
        disk.steps_left = 40 * attempt
        with contextlib.suppress(PowerCutError, PrivacyBudgetError):
            ledger.charge(charge(AFFORDED - 1, bytes([attempt])))
        disk.lose_power(disk.unsynced)
        PrivacyLedger(path, BUDGET)
        check(path, [])
    assert len(verify_file(path)) == AFFORDED


def test_a_failed_sync_acknowledges_nothing_and_charges_nothing_twice(path, disk, monkeypatch):
    ledger = PrivacyLedger(path, BUDGET)
    ledger.charge(charge(0))
    disk.steps_left = len(path.read_bytes())
    with pytest.raises(PowerCutError):
        ledger.charge(charge(1))
    disk.steps_left = None
    assert disk.unsynced
    assert ledger.charge(charge(1)).number == 2  # the same process goes on: the line is there, and is synced now
    assert not disk.unsynced
    assert len(check(path, [charge(0).key, charge(1).key])) == 2


def test_what_another_process_wrote_and_never_synced_is_synced_before_it_is_relied_on(path, disk):
    """It was killed between writing and syncing; the survivor recognises the charge, and may then resend y_u."""
    first, second = PrivacyLedger(path, BUDGET), PrivacyLedger(path, BUDGET)
    first.charge(charge(0))
    disk.steps_left = len(path.read_bytes())
    with pytest.raises(PowerCutError):
        first.charge(charge(1))
    disk.steps_left = None
    assert second.charged("a", charge(1).ctx, b"\x01") is not None
    disk.lose_power(0)
    assert len(check_after_opening(path, 2)) == 2


def test_these_tests_see_a_ledger_that_does_not_sync(path, disk):
    disk.lies = True
    PrivacyLedger(path, BUDGET).charge(charge(0))
    disk.lose_power(0)
    with pytest.raises(AssertionError):
        check_after_opening(path, 1)
