"""A long vector is encrypted message by message: neither it nor its ciphertexts exist as a whole."""

from __future__ import annotations

import numpy as np

import securefl as sfl
from conformance.adapters import private_key

NAMES = [f"party-{i}" for i in range(4)]


def test_a_party_encrypts_one_message_at_a_time_and_tells_how_far_it_is():
    values = 300_000
    plan = sfl.Plan(
        template={"w": ((values,), "float32")},
        parties=4,
        protocol=sfl.Paillier(private_key().public_key, randomness="short", min_survivors=3),
    )
    roster = sfl.Roster.unsigned(NAMES)
    told = []
    client = sfl.PaillierClient(
        NAMES[0],
        roster=roster,
        policy=sfl.ClientPolicy.matching(plan),
        progress=lambda done, of: told.append((done, of)),
    )
    client.submit({"w": np.zeros(values, np.float32)})
    mail = [data for party, data in sfl.PaillierServer(plan, roster=roster).start_round() if party == NAMES[0]]
    assert client.receive(mail[0]) == []
    messages = client.stream(mail[1])
    assert told == []
    sizes = [len(next(messages))]
    everything = plan.slots.plaintexts(values)
    assert told[-1][1] == everything
    assert told[-1][0] <= everything // 2, "the first message is there, and the rest is not encrypted yet"
    sizes += [len(data) for data in messages]
    assert told[-1] == (everything, everything)
    assert len(sizes) >= 3
    assert max(sizes) < 1 << 20
    assert sum(sizes) < plan.masked_bytes + 400 * len(sizes)
