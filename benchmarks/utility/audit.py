"""The release gate of the noise: each mechanism's claim against a lower bound, and planted mistakes that must be found.

    python benchmarks/utility/audit.py [--quick] [--json FILE] [--plot FILE] [--runs N]

Exit code 1 when a right claim is refuted or a planted mistake is not. A ratio above 1 is what should be: the claim over the
bound for code that is right, the bound over the claim for a mistake. Right code fails by chance about once in 10^3 full runs.
`--repeats` changes nothing: an audit has runs, and no median.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import securefl as sfl
from securefl.audit import MechanismAudit, OneRunAudit, PlanTrial, ReleaseTrial, Trial, audit_mechanism, audit_one_run
from securefl.audit.planted import LessNoise, LostShares, UpdatedClip, WeightAfterClip
from securefl.dp.mechanisms import Floor, Mechanism, Release, choose

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row
from progress import Progress, shown

SIZE = 16
FLOOR = Floor(parties=10, survivors=8, colluders=2, threshold=7)
NOBODY_LEAVES = Floor(parties=10, survivors=10, colluders=0, threshold=7)
WIDE = sfl.ModularGrid(24, k=64)
"""Room for a vector ninety times too long, which would wrap."""

RUNS, QUICK_RUNS, PATH_RUNS, QUICK_PATH_RUNS = 100_000, 40_000, 2_000, 400
MU, QUICK_MU, PATH_MU = 1.0, 3.0, 3.0
"""The larger mu, the fewer runs show a deviation of a given percentage."""

LEAST_EPSILON = 0.001
"""What a row shows when a run shows nothing: ratios need a divisor."""

END = 1.3
"""Where the plot ends; what lies beyond is an arrow."""


def releases(mu: float) -> dict[str, Release]:
    """Every mechanism, on a grid so fine that its claim is tight."""
    z = 1 / mu
    adaptive = sfl.QuantileClip(clip=0.5, bit_noise=2.0)
    asked: dict[str, Mechanism] = {
        "distributed discrete Gaussian": sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=z),
        "distributed Skellam": sfl.DistributedSkellam(clip=1.0, noise_multiplier=z),
        "Skellam with XNoise, 2 of 10 missing": sfl.DistributedSkellam(clip=1.0, noise_multiplier=z, max_dropouts=2),
        "discrete Gaussian, adaptive clip": sfl.DistributedDiscreteGaussian(clip=adaptive, noise_multiplier=z),
        "central discrete Gaussian": sfl.CentralDiscreteGaussian(clip=1.0, noise_multiplier=z),
        "central, replace-one": sfl.CentralDiscreteGaussian(clip=1.0, noise_multiplier=2 * z, relation="replace-one"),
        "local discrete Gaussian": sfl.LocalDiscreteGaussian(clip=1.0, noise_multiplier=z),
    }
    return {name: choose(mechanism, FLOOR, SIZE, sfl.ModularGrid(20)) for name, mechanism in asked.items()}


def planted(mu: float) -> Iterator[tuple[str, Trial]]:
    """The mistakes."""
    right, gaussian = releases(mu), sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1 / mu)
    yield "5 % less standard deviation", LessNoise(right["distributed discrete Gaussian"])
    yield "5 % less, Skellam", LessNoise(right["distributed Skellam"])
    yield "5 % less, XNoise", LessNoise(right["Skellam with XNoise, 2 of 10 missing"])
    yield "5 % less, central", LessNoise(right["central discrete Gaussian"])
    yield "3 of 10 missing, not made up for", LostShares(choose(gaussian, NOBODY_LEAVES, SIZE, sfl.ModularGrid(20)))
    yield "mean weighted after the clip", WeightAfterClip(choose(gaussian, FLOOR, SIZE, WIDE))
    yield "noise sized with the updated clip", UpdatedClip(right["discrete Gaussian, adaptive clip"])


def plan_of(mechanism: Mechanism) -> sfl.Plan:
    """A plan with that mechanism and `FLOOR`."""
    return sfl.Plan(
        template={"a": ((3, 4), "float32"), "b": ((4,), "float64")},
        parties=FLOOR.parties,
        protocol=sfl.SecAgg(min_survivors=FLOOR.survivors, max_colluders=FLOOR.colluders),
        encoding=sfl.ModularGrid(20),
        privacy=mechanism,
        max_weight=90,
    )


def whole_path(*, quick: bool) -> OneRunAudit:
    """Canaries through real secure aggregation."""
    parties, rounds = (20, 2) if quick else (100, 10)
    plan = sfl.Plan(
        template={"w": ((128,), "float32")},
        parties=parties,
        protocol=sfl.SecAgg(min_survivors=parties, max_colluders=0),
        encoding=sfl.ModularGrid(24),
        privacy=sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1 / MU),
    )
    with tempfile.TemporaryDirectory() as folder:
        ledger = sfl.PrivacyLedger(Path(folder) / "ledger.jsonl", budget=sfl.Budget(epsilon=1e3, delta=1e-5))
        return audit_one_run(plan, ledger=ledger, rounds=rounds)


def measure(runs: int, path_runs: int, progress: Progress, *, quick: bool) -> tuple[list[Row], list[str]]:
    """All cases; returns their rows and what they say in words."""
    rows, notes = [], []
    mu = QUICK_MU if quick else MU

    def add(case: str, audit: MechanismAudit, *, wrong: bool) -> None:
        more = {
            "lower_epsilon": audit.lower_epsilon,
            "claimed_epsilon": audit.claimed_epsilon,
            "verdict": str(audit.verdict),
            "planted": wrong,
        }
        line = row(
            case,
            audit.lower_mu,
            audit.claimed_mu,
            unit="mu",
            peer_name="claim" + (", a mistake was planted" if wrong else ""),
            better="more" if wrong else "less",
            target=1.0,
        )
        rows.append(line | more | {"met": audit.refuted == wrong})
        notes.append(f"{case}: {audit}")

    for name, release in releases(mu).items():
        progress.case(name)
        add(name, audit_mechanism(ReleaseTrial(release), runs=runs), wrong=False)
    for name, mechanism in (
        ("a plan's whole encoding, weight 90", sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1 / PATH_MU)),
        ("the same with XNoise", sfl.DistributedSkellam(clip=1.0, noise_multiplier=1 / PATH_MU, max_dropouts=2)),
    ):
        progress.case(name)
        times = path_runs // (4 if mechanism.seeds else 1)  # each party draws from its seeds, and the server again
        add(name, audit_mechanism(PlanTrial(plan_of(mechanism), weight=90), runs=times), wrong=False)
    for name, trial in planted(mu):
        progress.case(name)
        add(name, audit_mechanism(trial, runs=runs), wrong=True)
    progress.case("one run of real secure aggregation")
    one = whole_path(quick=quick)
    line = row(
        f"one run, {one.canaries} canaries",
        max(one.lower_epsilon, LEAST_EPSILON),
        one.claimed_epsilon,
        unit="epsilon",
        peer_name="claim",
        target=1.0,
    )
    rows.append(line | {"verdict": str(one.verdict), "planted": False, "met": not one.refuted})
    notes.append(f"one run: {one}")
    return rows, notes


def draw(rows: list[Row], path: Path) -> None:
    """Each bound over its claim."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from plots import BLUE, STYLE, VERMILION

    shown_rows = [line for line in rows if line["unit"] == "mu"]
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(9, 0.8 + 0.36 * len(shown_rows)), layout="constrained")
        axes = drawn.subplots()
        for wrong, colour, label in ((False, BLUE, "code as it is"), (True, VERMILION, "planted mistake")):
            axes.scatter([], [], color=colour, label=label)
            for index, line in enumerate(shown_rows):
                if line["planted"] is not wrong:
                    continue
                ratio = line["ours"] / line["peer"]
                place, beyond = min(ratio, END), ratio > END
                axes.scatter(place, index, color=colour, marker=">" if beyond else "o", zorder=3)
                axes.annotate(
                    f"{ratio:.3f}",
                    (place, index),
                    textcoords="offset points",
                    xytext=(-8, 0) if beyond or not wrong else (8, 0),
                    ha="right" if beyond or not wrong else "left",
                    va="center",
                    fontsize=8,
                )
        axes.axvline(1, color="black", linewidth=1)
        axes.text(1, -0.9, " refuted", va="center", fontsize=9)
        axes.text(1, -0.9, "not refuted ", va="center", ha="right", fontsize=9)
        axes.set_yticks(range(len(shown_rows)), [line["case"] for line in shown_rows])
        axes.set_ylim(len(shown_rows) - 0.4, -1.4)
        axes.set_xlim(min(line["ours"] / line["peer"] for line in shown_rows) - 0.06, END + 0.02)
        axes.set_xlabel("lower bound on mu over the claimed mu, 99 % sure")
        axes.set_title("Audit of the mechanisms")
        axes.legend(loc="upper right")
        drawn.savefig(path, dpi=150)


def main() -> None:
    """Audit, print, and fail when something is not as it should be."""
    made = parser(__doc__ or "", quick=True, plot=True)
    made.add_argument("--runs", type=int, help=f"of each mechanism, with and without the canary ({RUNS})")
    options = made.parse_args()
    runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    with shown() as progress:
        rows, notes = measure(runs, QUICK_PATH_RUNS if options.quick else PATH_RUNS, progress, quick=options.quick)
    publish(rows, options.json, notes=notes, runs=runs)
    if options.plot:
        draw(rows, options.plot)
    if wrong := [line["case"] for line in rows if not line["met"]]:
        raise SystemExit(f"the audit failed: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
