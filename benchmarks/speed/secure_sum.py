"""One secure sum in memory, beside the plain mean that it replaces: seconds by step and side, and bytes.

    securefl bench secure_sum        or        python benchmarks/speed/secure_sum.py

The ratio is what security costs: seconds of numpy's mean over seconds of all parties and the server together. It is far below 1
and belongs in the open.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import securefl as sfl

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import medians, parser, publish, row

QUICK = ((5, 100, "semi-honest"), (5, 100, "active"))
CASES = ((20, 10_000, "semi-honest"), (20, 10_000, "active"), (20, 100_000, "active"), (50, 10_000, "active"))


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "", repeats=5, quick=True).parse_args()
    rng = np.random.default_rng(0)
    rows, notes = [], []
    for parties, length, server in QUICK if options.quick else CASES:
        updates = {f"party-{i}": {"w": rng.normal(size=length).astype(np.float32)} for i in range(parties)}
        plan = sfl.Plan.for_updates(
            updates, protocol=sfl.SecAgg(server=server, dropout=0.1), encoding=sfl.FixedPoint(bound=8.0)
        )
        drop = {f"party-{i}": "masked_input" for i in range(parties // 10)}
        kept: list[sfl.RoundResult] = []
        took = medians(
            {
                "secure": lambda u=updates, p=plan, d=drop, k=kept: k.append(sfl.aggregate(u, p, drop=d)),
                "plain": lambda u=updates: np.mean([update["w"] for update in u.values()], axis=0),
            },
            repeats=options.repeats,
        )
        case = f"{parties} parties, {length:,} values, {server}, {len(drop)} dropped"
        rows.append(row(case, took["secure"], took["plain"], unit="s", peer_name="numpy mean, no security"))
        result = kept[-1]
        per_value = result.bytes_up / (parties * length)
        notes.append(f"{case}: {per_value:.2f} bytes up a value")
        for step, (clients, server_seconds) in result.seconds_by_step.items():
            notes.append(f"  {step:14} clients together {clients:8.4f} s   server {server_seconds:8.4f} s")
    publish(rows, options.json, notes=notes)


if __name__ == "__main__":
    main()
