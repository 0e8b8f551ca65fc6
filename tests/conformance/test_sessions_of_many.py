"""The k-regular graph with as many parties as it is for, over several rounds of one session."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.types import Step

PARTIES = [f"party-{i}" for i in range(60)]


@pytest.mark.parametrize("prefetch", [False, True])
def test_sixty_parties_on_a_ring_sum_exactly_with_three_lost_in_each_round(prefetch):
    protocol = sfl.SecAgg(graph="k-regular", dropout=0.05, prefetch=prefetch)
    plan = sfl.Plan(template={"w": ((4,), "int32")}, parties=60, protocol=protocol)
    assert plan.parameters.neighbours < 59
    assert plan.parameters.max_dropouts == 3
    session = sfl.MemorySession(plan, PARTIES)
    rng = np.random.default_rng(60)
    keys_sent = []
    for number in range(3):
        updates = {name: {"w": rng.integers(-500, 500, 4, dtype=np.int32)} for name in PARTIES}
        gone = PARTIES[3 * number : 3 * number + 3]
        drop = dict(zip(gone, (Step.SHARE_KEYS, Step.MASKED_INPUT, Step.UNMASK), strict=True))
        result = session.round(updates, drop=drop)
        assert set(PARTIES) - set(result.survivors) == set(gone[:2])
        assert result.sum["w"].tolist() == sum(updates[name]["w"].astype(int) for name in result.survivors).tolist()
        assert result.dropped == drop
        keys_sent.append(result.bytes_by_step[Step.ADVERTISE][0])
    # With prefetch only the three that left before their last answer advertise anew.
    assert keys_sent[1] == (keys_sent[0] // 20 if prefetch else keys_sent[0])


def test_more_lost_than_the_ring_bears_is_a_typed_abort():
    protocol = sfl.SecAgg(graph="k-regular", dropout=0.05)
    plan = sfl.Plan(template={"w": ((4,), "int32")}, parties=60, protocol=protocol)
    session = sfl.MemorySession(plan, PARTIES)
    updates = {name: {"w": np.ones(4, np.int32)} for name in PARTIES}
    with pytest.raises(sfl.BelowThresholdError) as caught:
        session.round(updates, drop=dict.fromkeys(PARTIES[:4], Step.MASKED_INPUT))
    assert caught.value.phase == Step.MASKED_INPUT
    assert caught.value.remedy
    assert session.round(updates).sum["w"].tolist() == [60] * 4
