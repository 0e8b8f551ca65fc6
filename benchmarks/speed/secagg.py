"""A round of secure aggregation: ours beside Flower's SecAgg+ and beside the primitives that no implementation can avoid.

    securefl bench secagg        or        python benchmarks/speed/secagg.py

Everything runs in this process, without a network, one client after the other: ours through ClientRound and ServerRound with real
bytes, Flower's through its own SecAggPlusWorkflow and secaggplus_mod (see flower_secagg.py). Clients leave after sharing keys. A
client's figure is the median over those that stay; the server's is the median run of ours, and one run of Flower's.

    --case complete     n = 100, d = 100 000: against Flower                          (5 minutes, nearly all of them Flower's)
    --case k-regular    n = 1000, d = 100 000: against the primitives it cannot avoid (2 minutes)
    --long              n = 1000, d = 100 000, complete graph, 30 % leave             (half an hour)
    --sweep             how cost grows with n, d, dropouts and cores                  (half an hour); --plot draws it
    --clients N ...     a round of your own, instead of the cases

Without any of these: the cases complete and k-regular.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from securefl.errors import UnsafePlanError
from securefl.types import Graph, ServerModel, Step

sys.path.insert(0, str(Path(__file__).parents[1]))
import floors
import rounds
from harness import FLOWER, GET_FLOWER, Row, parser, publish, row
from progress import Progress, shown
from rounds import Cost, Setting, setting


@dataclasses.dataclass(frozen=True)
class Axis:
    """One thing that is varied.

    Args:
        name: what.
        graph: which graph.
        fixed: what stays the same.
        points: its values, each with the round that it stands for.
        flower: up to which value Flower runs, too; beyond it takes too long.
    """

    name: str
    graph: Graph
    fixed: str
    points: dict[float, Setting]
    flower: float


@dataclasses.dataclass(frozen=True)
class Cases:
    """The rounds that are measured."""

    complete: Setting
    signed: Setting
    k_regular: Setting
    long: Setting
    sweep: tuple[Axis, ...]
    cores: tuple[Setting, ...]


def cases() -> Cases:
    """What is published."""
    complete = {n: setting(n, 100_000, dropout=0.1) for n in (25, 50, 100, 200)}
    k_regular = {n: setting(n, 100_000, dropout=0.05, graph=Graph.K_REGULAR) for n in (125, 250, 500, 1000)}
    length = {d: setting(20, d, dropout=0.1) for d in (10_000, 31_623, 100_000, 316_228, 1_000_000)}
    dropout = {share: setting(50, 100_000, dropout=share) for share in (0.0, 0.1, 0.2, 0.3)}
    return Cases(
        complete=setting(100, 100_000, dropout=0.1, threshold=67),
        signed=setting(100, 100_000, dropout=0.1, threshold=67, server=ServerModel.ACTIVE),
        k_regular=k_regular[1000],
        long=setting(1000, 100_000, dropout=0.3),
        sweep=(
            Axis("parties", Graph.COMPLETE, "d = 100k", complete, flower=100),
            Axis("parties", Graph.K_REGULAR, "d = 100k", k_regular, flower=250),
            Axis("length", Graph.COMPLETE, "n = 20", length, flower=1_000_000),
            Axis("dropout", Graph.COMPLETE, "n = 50, d = 100k", dropout, flower=0.3),
        ),
        cores=(setting(20, 1_000_000, dropout=0.1), k_regular[500]),
    )


def quick_cases() -> Cases:
    """The same in small."""
    complete = {n: setting(n, 500, dropout=0.2) for n in (5, 8)}
    k_regular = {n: setting(n, 500, dropout=0.05, graph=Graph.K_REGULAR) for n in (20, 24)}
    length = {d: setting(5, d, dropout=0.2) for d in (500, 1000)}
    dropout = {share: setting(8, 500, dropout=share) for share in (0.0, 0.2)}
    return Cases(
        complete=setting(8, 2000, dropout=0.2, threshold=5),
        signed=setting(8, 2000, dropout=0.2, threshold=6, server=ServerModel.ACTIVE),
        k_regular=k_regular[20],
        long=setting(10, 500, dropout=0.3),
        sweep=(
            Axis("parties", Graph.COMPLETE, "d = 500", complete, flower=5),
            Axis("parties", Graph.K_REGULAR, "d = 500", k_regular, flower=0),
            Axis("length", Graph.COMPLETE, "n = 5", length, flower=500),
            Axis("dropout", Graph.COMPLETE, "n = 8, d = 500", dropout, flower=0.0),
        ),
        cores=(setting(5, 1000, dropout=0.2),),
    )


SERVER_TARGET, CLIENT_TARGET = 200.0, 20.0
"""Times faster than Flower."""
SERVER_FLOOR, CLIENT_FLOOR = 5.0, 2.5
"""Times the primitives that cannot be avoided, at most."""

BONAWITZ_SECONDS = 414.0
QUOTED = "quoted from memory from Bonawitz et al. 2017, on another machine: not measured"


class Bench:
    """Runs rounds, each once, and collects rows."""

    def __init__(self, progress: Progress, *, repeats: int, flower: bool) -> None:
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self.rounds: list[dict[str, object]] = []
        self.sweep_points: list[dict[str, Any]] = []
        self.growth: list[dict[str, object]] = []
        self._progress = progress
        self._repeats = repeats
        self._flower = flower
        self._known: dict[tuple[str, Setting], Cost] = {}
        self._beside: set[Setting] = set()
        self._counted: set[Setting] = set()
        self._warm_up()

    def against_flower(self, wanted: Setting, *, peer: Setting | None = None, targets: bool = False) -> None:
        """Seconds and bytes beside Flower's, by side and step; `peer` is Flower's round where it cannot run the same."""
        ours, theirs = self.ours(wanted), self.flowers(peer or wanted)
        if theirs is not None:
            self._seconds(wanted, ours, theirs, targets=targets)
        self._bytes(wanted, ours, theirs)

    def against_floor(self, wanted: Setting, *, targets: bool = False) -> None:
        """The server and one client beside the primitives that they cannot avoid, in turn."""
        ours, server, client = [], [], []
        for number in range(self._repeats):
            ours.append(self._run(f"{wanted}: ours, {number + 1} of {self._repeats}", wanted))
            server.append(floors.seconds(floors.server_work(wanted)))
            client.append(floors.seconds(floors.client_work(wanted)))
        cost = self._keep("ours", wanted, rounds.middle(ours))
        name = "masks, agreements, interpolation, bare"
        for side, own, bare, most in (
            ("server", cost.server_total, server, SERVER_FLOOR),
            ("one client", cost.client_total, client, CLIENT_FLOOR),
        ):
            floor = {primitive: float(np.median([run[primitive] for run in bare])) for primitive in bare[0]}
            total, target = sum(floor.values()), 1 / most if targets else None
            self.rows.append(row(f"{side}, {wanted}", own, total, unit="s", peer_name=name, target=target))
            aim = f", at most {most:g} is aimed at" if targets else ""
            self.notes.append(f"{side}, {wanted}: {own / total:.2f} times the primitives it cannot avoid{aim}")
            self.rounds.append({"who": "floor", "setting": str(wanted), "side": side, "seconds": floor})
        if wanted not in self._counted:
            self._bytes(wanted, cost, None)

    def beside_the_paper(self, wanted: Setting) -> None:
        """Our server beside the figure of the paper."""
        ours = self.ours(wanted, repeats=1)
        line = row(f"server, {wanted}", ours.server_total, BONAWITZ_SECONDS, unit="s", peer_name=QUOTED)
        self.rows.append({**line, "quoted": True})

    def sweep(self, axis: Axis) -> None:
        """One thing varied; how cost grows with it. Rounds that several axes share get their rows once."""
        for value, wanted in axis.points.items():
            theirs = self.flowers(wanted) if value <= axis.flower else None
            ours = self.ours(wanted)
            for who, cost in (("ours", ours), ("Flower", theirs)):
                if cost is not None:
                    self._point(axis, who, value, cost)
            if theirs is not None and wanted not in self._beside:
                self._beside.add(wanted)
                for side in ("server", "client"):
                    own, other = getattr(ours, f"{side}_total"), getattr(theirs, f"{side}_total")
                    self.rows.append(row(f"{_side(side)}, {wanted}", own, other, unit="s", peer_name="Flower SecAgg+"))
        if axis.name != "dropout":
            for who in ("ours", "Flower"):
                self._fit(axis, who)

    def cores(self, wanted: Setting) -> None:
        """All cores against one; ours and Flower's alike use threads where they can."""
        if not hasattr(os, "sched_setaffinity"):
            self.notes.append("this system cannot keep a process on one core: no rows for one core")
            return
        every = os.sched_getaffinity(0)
        for who, one_round in (("ours", self.ours), ("Flower", self.flowers)):
            if who == "Flower" and wanted.parameters.graph is Graph.K_REGULAR:
                continue
            many = one_round(wanted)
            os.sched_setaffinity(0, {min(every)})
            try:
                one = one_round(wanted, where=" on one core")
            finally:
                os.sched_setaffinity(0, every)
            if many is None or one is None:
                continue
            for side in ("server", "client"):
                case = f"{_side(side)}, {wanted}, {who} on {len(every)} cores"
                seconds = getattr(many, f"{side}_total"), getattr(one, f"{side}_total")
                self.rows.append(row(case, *seconds, unit="s", peer_name=f"{who} on one core"))

    def ours(self, wanted: Setting, *, repeats: int | None = None, where: str = "") -> Cost:
        """The median of our runs."""
        if ("ours" + where, wanted) not in self._known:
            times = repeats or self._repeats
            costs = [self._run(f"{wanted}{where}: ours, {number + 1} of {times}", wanted) for number in range(times)]
            self._keep("ours" + where, wanted, rounds.middle(costs))
        return self._known["ours" + where, wanted]

    def flowers(self, wanted: Setting, *, where: str = "") -> Cost | None:
        """One run of Flower's, where it is installed."""
        if not self._flower:
            return None
        if ("Flower" + where, wanted) not in self._known:
            import flower_secagg

            self._progress.case(f"{wanted}{where}: Flower")
            self._keep("Flower" + where, wanted, flower_secagg.run(wanted, self._progress.step))
        return self._known["Flower" + where, wanted]

    def _warm_up(self) -> None:
        """What is loaded or made on first use is no cost of a round, of neither side."""
        tiny = setting(5, 1000, dropout=0.0)
        rounds.run(tiny, lambda *_: None)
        if self._flower:
            import flower_secagg

            flower_secagg.run(tiny, lambda *_: None)

    def _run(self, text: str, wanted: Setting) -> Cost:
        self._progress.case(text)
        return rounds.run(wanted, self._progress.step)

    def _keep(self, who: str, wanted: Setting, cost: Cost) -> Cost:
        self._known[who, wanted] = cost
        self.rounds.append({"who": who, "setting": str(wanted), **cost.to_dict()})
        return cost

    def _seconds(self, wanted: Setting, ours: Cost, theirs: Cost, *, targets: bool) -> None:
        server, client = (SERVER_TARGET, CLIENT_TARGET) if targets else (None, None)
        encoded = ours.client["encode"]
        lines: list[tuple[str, float, float, float | None]] = [
            ("server, all steps", ours.server_total, theirs.server_total, server),
            ("one client, all steps", ours.client_total, theirs.client_total, client),
        ]
        for step in (Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT, Step.UNMASK):
            extra = encoded if step is Step.MASKED_INPUT else 0.0  # Flower rounds to integers in that step
            name = f"one client, {step}{' with encoding' if extra else ''}"
            lines.append((name, ours.client[step] + extra, theirs.client[step], None))
        for name, own, other, target in lines:
            self.rows.append(row(f"{name}, {wanted}", own, other, unit="s", peer_name="Flower SecAgg+", target=target))

    def _bytes(self, wanted: Setting, ours: Cost, theirs: Cost | None) -> None:
        self._counted.add(wanted)
        length, word = wanted.length, -(-wanted.bits // 8)
        masked = ours.bytes_up[Step.MASKED_INPUT]
        header = f"bytes of y_u beside its words, {wanted}"
        each = f"bytes of y_u a value, {wanted}"
        total = f"all bytes up a value, {wanted}"
        words = f"words of {wanted.bits} bits, nothing else"
        self.rows.append(row(each, masked / length, word, unit="B/value", peer_name=words))
        self.notes.append(f"{header}: {masked - word * length:.0f}")
        if theirs is None:
            self.rows.append(row(total, ours.bytes_total / length, word, unit="B/value", peer_name=words))
            return
        other = theirs.bytes_up[Step.MASKED_INPUT]
        name = "Flower SecAgg+"
        self.rows += [
            row(each, masked / length, other / length, unit="B/value", peer_name=name),
            row(header, masked - word * length, other - 8 * length, unit="B", peer_name=f"{name}, 8 bytes a value"),
            row(total, ours.bytes_total / length, theirs.bytes_total / length, unit="B/value", peer_name=name),
        ]

    def _point(self, axis: Axis, who: str, value: float, cost: Cost) -> None:
        self.sweep_points.append(
            {
                "axis": axis.name,
                "series": axis.graph.value,
                "fixed": axis.fixed,
                "who": who,
                "value": value,
                "server": cost.server_total,
                "client": cost.client_total,
                "bytes_up": cost.bytes_total,
            }
        )

    def _fit(self, axis: Axis, who: str) -> None:
        """The exponent e of cost ~ value^e, by least squares on logarithms."""
        mine = [
            point
            for point in self.sweep_points
            if (point["axis"], point["series"], point["who"]) == (axis.name, axis.graph.value, who)
        ]
        if len(mine) < 2:
            return
        logs = np.log([point["value"] for point in mine])
        for cost in ("server", "client", "bytes_up"):
            exponent = float(np.polyfit(logs, np.log([point[cost] for point in mine]), 1)[0])
            fit = {"axis": axis.name, "series": axis.graph.value, "who": who, "cost": cost, "exponent": exponent}
            self.growth.append(fit)
            letter = {"parties": "n", "length": "d"}[axis.name]
            over = f"{min(axis.points):,} to {max(point['value'] for point in mine):,}"
            self.notes.append(
                f"{who}, {axis.graph}, {axis.fixed}: {cost} grows as {letter}^{exponent:.2f} over {letter} = {over}"
            )


def _side(side: str) -> str:
    return "one client" if side == "client" else side


def main() -> None:
    """Measure, print, draw."""
    options = _options()
    wanted = _own(options) if options.clients else None
    there = importlib.util.find_spec(FLOWER) is not None
    with shown() as progress:
        bench = Bench(progress, repeats=options.repeats, flower=there and not options.no_flower)
        _measure(bench, options, wanted)
    if not there:
        bench.notes.append(GET_FLOWER)
    publish(
        bench.rows, options.json, notes=bench.notes, rounds=bench.rounds, sweep=bench.sweep_points, growth=bench.growth
    )
    if options.plot is not None:
        import plots

        plots.draw_sweep(bench.sweep_points, bench.growth, options.plot)


def _measure(bench: Bench, options: argparse.Namespace, wanted: Setting | None) -> None:
    if wanted is not None:
        bench.against_flower(wanted)
        bench.against_floor(wanted)
        return
    chosen = quick_cases() if options.quick else cases()
    sweep = options.sweep or options.plot is not None
    named = options.case or ([] if options.long or sweep else ["complete", "k-regular"])
    if "complete" in named:
        bench.against_flower(chosen.complete, targets=not options.quick)
        bench.against_flower(chosen.signed, peer=chosen.complete)  # Flower has no signatures
    if "k-regular" in named:
        bench.against_floor(chosen.k_regular, targets=not options.quick)
    if options.long:
        bench.beside_the_paper(chosen.long)
    if sweep:
        for axis in chosen.sweep:
            bench.sweep(axis)
        for one in chosen.cores:
            bench.cores(one)


def _options() -> argparse.Namespace:
    made = parser(__doc__ or "", repeats=3, quick=True, plot=True)
    made.add_argument(
        "--case", action="append", choices=("complete", "k-regular"), help="only this case; may be repeated"
    )
    made.add_argument("--long", action="store_true", help="add the long case")
    made.add_argument("--sweep", action="store_true", help="add the sweeps; implied by --plot")
    made.add_argument("--no-flower", action="store_true", help="leave Flower out")
    made.add_argument("--clients", type=int, metavar="N", help="a round of your own: how many clients")
    made.add_argument("--length", type=int, default=100_000, metavar="D", help="... values a vector (%(default)s)")
    made.add_argument("--threshold", type=int, metavar="T", help="... threshold; computed without it")
    made.add_argument("--dropout", type=float, default=0.1, help="... fraction that leaves (%(default)s)")
    made.add_argument("--graph", type=Graph, choices=list(Graph), default=Graph.COMPLETE, help="... mask graph")
    made.add_argument("--server", type=ServerModel, choices=list(ServerModel), default=ServerModel.SEMI_HONEST)
    return made.parse_args()


def _own(options: argparse.Namespace) -> Setting:
    try:
        return setting(
            options.clients,
            options.length,
            dropout=options.dropout,
            threshold=options.threshold,
            graph=options.graph,
            server=options.server,
        )
    except UnsafePlanError as error:
        raise SystemExit(f"secagg: {error}") from error


if __name__ == "__main__":
    main()
