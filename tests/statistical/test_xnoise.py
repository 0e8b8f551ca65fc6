"""The noise in a sum under XNoise, through the real protocol: its variance is the target's after every number of dropouts.

The updates are zero, so that the sum holds noise and nothing else: 4 096 independent draws of a Skellam distribution. Their sum of
squares over the variance is a chi-square variable of 4 096 degrees of freedom but for the kurtosis, which is 3 + 1/V for a Skellam
variable of variance V, beyond 10^6 here: nothing. Each comparison is failed by chance with probability below 1e-6, the file with
probability below 3e-5. But in the control the seeds are fixed besides, so that it cannot flake; the control fails with odds below 1e-8.
"""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.crypto.seeded import SeededRandom
from securefl.dp.ledger import Budget, PrivacyLedger
from securefl.dp.mechanisms import DistributedSkellam
from securefl.dp.modular_grid import ModularGrid
from securefl.engines.memory import MemorySession

stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.statistical

FALSE_ALARM = 1e-6
SIZE = 4096
LOST = 3
N = 9


def plan_of(server: str, colluders: int, size: int = SIZE) -> sfl.Plan:
    return sfl.Plan(
        template={"w": ((size,), "float64")},
        parties=N,
        protocol=sfl.SecAgg(threshold=5, server=server, min_survivors=N - LOST, max_colluders=colluders),
        encoding=ModularGrid(ring_bits=20),
        privacy=DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=LOST),
    )


def ledger_in(tmp_path) -> PrivacyLedger:
    return PrivacyLedger(tmp_path / "ledger.jsonl", Budget(epsilon=1000.0, delta=1e-5))


def two_sided(values, variance) -> float:
    """The odds of a sum of squares as far from its expectation, either way."""
    statistic = float((values.astype(float) ** 2).sum()) / variance
    return 2 * min(stats.chi2.cdf(statistic, len(values)), stats.chi2.sf(statistic, len(values)))


@pytest.mark.parametrize("step", ["advertise", "masked_input"])
@pytest.mark.parametrize("dropped", range(LOST + 1))
@pytest.mark.parametrize(("server", "colluders"), [("semi-honest", 0), ("semi-honest", 2), ("active", 0)])
def test_the_variance_in_the_sum_is_the_target_s_whoever_drops_out(server, colluders, dropped, step, tmp_path):
    plan = plan_of(server, colluders)
    names = [f"party-{i}" for i in range(N)]
    seed = f"{server} {colluders} {dropped} {step}".encode().ljust(32)[:32]
    session = MemorySession(plan, names, ledger=ledger_in(tmp_path), random=SeededRandom(seed))
    gone = dict.fromkeys(names[:dropped], step)
    result = session.round({name: {"w": np.zeros(SIZE)} for name in names}, drop=gone)
    assert result.survivors == tuple(names[dropped:])
    target = plan.release.variance * (N - LOST) / (N - LOST - colluders)
    assert target > 10**6
    assert two_sided(result.integers, target) > FALSE_ALARM, np.var(result.integers) / target


def test_the_comparison_would_notice_one_component_too_many_or_too_few(tmp_path):
    """The control: with D parties missing, the noise of one component less or more is far outside."""
    size = 4 * SIZE
    plan = plan_of("semi-honest", 0, size)
    components = plan.release.mechanism.components(plan.release.exact_variance, plan.release.floor)
    result = sfl.aggregate(
        {f"party-{i}": {"w": np.zeros(size)} for i in range(N)},
        plan,
        ledger=ledger_in(tmp_path),
        drop={"party-0": "masked_input"},
    )
    for number, sign in ((1, -1), (2, 1)):
        wrong = plan.release.variance + sign * (N - 1) * float(components[number])
        assert two_sided(result.integers, wrong) < FALSE_ALARM
    assert two_sided(result.integers, plan.release.variance) > 1e-9
