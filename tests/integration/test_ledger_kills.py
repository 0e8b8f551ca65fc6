"""Processes that charge one ledger, killed without warning (SIGKILL), again and again.

What a power cut does beyond that, to bytes that were not synced, is tried in unit/dp/test_ledger_torn.py.

Run as a script this file is the nursery: it loads the library once, forks two children at a time that charge the same
attempts in a loop, and kills them; what they had acknowledged goes to stdout as JSON.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from securefl.dp.accounting import GaussianRelease, Relation, Repeated, Unit, rdp_epsilon
from securefl.dp.ledger import Budget, Charge, PrivacyBudgetError, PrivacyLedger, verify_file

OWNERS = ("a", "b", "c", "d")
EVENT = GaussianRelease(30.0)
AFFORDED = 150
BUDGET = Budget(rdp_epsilon(Repeated(EVENT, AFFORDED), 1e-6, Relation.ZERO_OUT), 1e-6)


def charge(owner, number):
    return Charge(
        owner=owner,
        party=owner,
        session=bytes(16),
        ctx=number.to_bytes(32, "big"),
        attempt=b"\x01",
        plan=bytes(32),
        event=EVENT,
        relation=Relation.ZERO_OUT,
        unit=Unit.PARTY,
    )


def charge_for_ever(path, pipe, first):
    """Charge from the first attempt on, as a party does that restarts; tell of each that is on disk."""
    ledger = PrivacyLedger(path, BUDGET)
    os.write(pipe, b"open\n")
    number = first
    while True:
        for owner in OWNERS:
            try:
                head = ledger.charge(charge(owner, number))
            except PrivacyBudgetError:
                continue
            os.write(pipe, f"{owner} {number} {head.number} {head.digest.hex()}\n".encode())
        number += 1


def fork(path, first):
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        charge_for_ever(path, writer, first)
    finally:
        os._exit(9)


def nursery(path, kills, seed):
    rng = random.Random(seed)
    acknowledged, early, codes = [], 0, []
    longest = 0.012  # seconds that a child has
    # How long a charge takes is the disk's affair: where they tell of too few, the next have longer.
    while len(codes) < kills or len(acknowledged) <= len(codes):
        if len(acknowledged) < len(codes):
            longest *= 1.5
        resume = max((number for _, number, _, _ in acknowledged), default=0)
        pair = [fork(path, max(0, resume - rng.randrange(3))) for _ in range(2)]
        select.select([pair[0][1]], [], [], 10)  # one has opened the file, the other may be about to
        for child, reader in pair:
            time.sleep(rng.uniform(0.0, longest))
            os.kill(child, signal.SIGKILL)
            codes.append(os.waitpid(child, 0)[1])
            with os.fdopen(reader, "rb") as pipe:
                *lines, torn = pipe.read().split(b"\n")
            assert not torn
            early += len(lines) < 2
            for line in lines[1:]:
                owner, number, place, digest = line.decode().split()
                acknowledged.append((owner, int(number), int(place), digest))
    return {"acknowledged": acknowledged, "early": early, "codes": codes}


def kill(path, kills, seed):
    command = [sys.executable, __file__, str(path), str(kills), str(seed)]
    done = subprocess.run(command, capture_output=True, timeout=240, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert len(told["codes"]) >= kills
    assert set(told["codes"]) == {signal.SIGKILL}, done.stderr.decode()
    return told


def check(path, told):
    """No acknowledged entry lost, none changed, no attempt twice, nobody over the budget."""
    PrivacyLedger(path, BUDGET)  # mends a torn tail
    entries = verify_file(path)
    heads = {(entry.charge.party, int(entry.charge.ctx, 16)): entry.head for entry in entries}
    assert len(heads) == len(entries)
    for owner, number, place, digest in told["acknowledged"]:
        assert str(heads[owner, number]) == f"{place}:{digest}"
    ledger = PrivacyLedger(path, BUDGET, head=entries[-1].head)
    for owner in OWNERS:
        count = sum(entry.charge.owner == owner for entry in entries)
        assert count <= AFFORDED
        assert ledger.spent(owner) <= BUDGET.epsilon
    assert len(told["acknowledged"]) > len(told["codes"])  # the children were busy when they died
    return entries


def refuse_what_was_cut_or_edited(path, entries):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(Exception, match="is missing"):
        PrivacyLedger(path, BUDGET, head=entries[-1].head)
    lines[1] = lines[1].replace(b'"30.0"', b'"90.0"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(Exception, match="line 2 of the privacy ledger"):
        PrivacyLedger(path, BUDGET)


def test_killed_processes_lose_no_acknowledged_charge_and_enter_none_twice(tmp_path):
    path = tmp_path / "ledger.jsonl"
    entries = check(path, kill(path, 40, seed=1))
    refuse_what_was_cut_or_edited(path, entries)


@pytest.mark.heavy
def test_two_hundred_kills(tmp_path):
    """The budget ends on the way: then the children are killed while they are refused."""
    path = tmp_path / "ledger.jsonl"
    entries = check(path, kill(path, 200, seed=2))
    refuse_what_was_cut_or_edited(path, entries)


if __name__ == "__main__":
    json.dump(nursery(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
