"""The ledger on a disk that loses what was not synced, cut off at every byte that is written."""

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

    Writes take one byte at a time, and each byte and each sync is a step. `lies` drops syncs silently.
    """

    def __init__(self, path, monkeypatch):
        self.path = path
        self.durable = b""
        self.steps_left = None
        self.lies = False
        disk = self

        class File(io.FileIO):
            def write(self, data):
                disk.step()
                return super().write(bytes(data[:1]) if disk.steps_left is not None else data)

        class System:
            def __getattr__(self, name):
                return getattr(os, name)

            def fsync(self, number):
                disk.step()
                if not disk.lies:
                    disk.durable = path.read_bytes()

        monkeypatch.setattr(journal, "io", SimpleNamespace(FileIO=File))
        monkeypatch.setattr(journal, "os", System())

    def step(self):
        if self.steps_left is not None:
            if not self.steps_left:
                raise PowerCutError
            self.steps_left -= 1

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


def start(path, before):
    for ctx in range(before):
        PrivacyLedger(path, BUDGET).charge(charge(ctx))
    return [charge(ctx).key for ctx in range(before)]


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_power_cut_at_any_byte_loses_no_acknowledged_charge(path, disk, before):
    acknowledged = start(path, before)
    whole = path.read_bytes() if before else b""
    steps, cut = 0, True
    while cut:
        path.write_bytes(whole)
        disk.durable = whole
        ledger = PrivacyLedger(path, BUDGET)
        disk.steps_left, after = steps, list(acknowledged)
        try:
            ledger.charge(charge(before))
            after.append(charge(before).key)
            cut = False
        except PowerCutError:
            pass
        for kept in {0, disk.unsynced}:
            torn = path.read_bytes(), disk.durable
            disk.lose_power(kept)
            assert PrivacyLedger(path, BUDGET).head.number in {before, before + 1}
            check(path, after)
            # The party tries again, not knowing how far it came.
            again = PrivacyLedger(path, BUDGET)
            assert again.charge(charge(before)).number == before + 1
            assert len(check(path, [*after, charge(before).key])) == before + 1
            path.write_bytes(torn[0])
            disk.durable = torn[1]
        steps += 1
    assert steps > 500  # each byte of the line, and its sync


def test_a_whole_line_that_was_not_synced_may_be_lost_or_kept_at_any_byte(path, disk):
    start(path, 2)
    whole = path.read_bytes()
    ledger = PrivacyLedger(path, BUDGET)
    size = len(whole) // 2
    disk.steps_left = size + 1
    with pytest.raises(PowerCutError):
        for ctx in (2, 3):
            ledger.charge(charge(ctx))
    written = path.read_bytes()
    for kept in range(len(written) - len(whole) + 1):
        path.write_bytes(written)
        disk.durable = whole
        disk.lose_power(kept)
        keys = check_after_opening(path, 2)
        assert len(keys) in {2, 3}


def check_after_opening(path, before):
    PrivacyLedger(path, BUDGET)
    return check(path, [charge(ctx).key for ctx in range(before)])


def test_a_charge_at_the_end_of_the_budget_is_not_let_through_by_a_crash(path, disk):
    start(path, AFFORDED - 1)
    with pytest.raises(PrivacyBudgetError):
        start(path.with_name("other"), AFFORDED + 1)
    for attempt in range(1, 30):
        ledger = PrivacyLedger(path, BUDGET)
        disk.steps_left = 40 * attempt
        try:
            ledger.charge(charge(AFFORDED - 1, bytes([attempt])))
        except (PowerCutError, PrivacyBudgetError):
            pass
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
