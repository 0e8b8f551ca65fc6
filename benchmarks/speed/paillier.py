"""Packed Paillier encryption beside phe, pypaillier, SecretFlow's HEU and TenSEAL's CKKS, all in one run.

    python benchmarks/speed/paillier.py                 3072 bits, 100 000 values        (two to four minutes)
    python benchmarks/speed/paillier.py --long          2048 bits and 1 000 000 values, too (ten minutes)
    python benchmarks/speed/paillier.py --cores         only what a second core is worth, for a machine that is idle
    python benchmarks/speed/paillier.py --quick         short vectors, to see that it works

What a federated round is made of: vectors of 16-bit values, in slots with room for the sum of 100 parties. Ours are packed, encrypted,
added, decrypted and unpacked, the whole of them; peers encrypt one value a ciphertext (CKKS 2048), a smaller sample, and are compared by
the value. Then single ciphertexts, ours and theirs, and threshold decryption.

Each side is pinned to one core, and its figures are processor time: HEU and pypaillier would take all cores by themselves. What a second
core is worth to us is measured by the clock, one thread and a thread a core in turn, the fastest of the turns.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, version
from paillier_peers import OPERATIONS, PEERS, how_to_get, installed, sample, versions
from paillier_process import PeerProcess
from paillier_turns import Elsewhere, Work, in_turn
from progress import Progress, shown

from securefl.errors import ConfigError

try:
    from paillier_ours import Ours
    from paillier_rows import Rates, core_rows, single_rows, size_rows, value_rows
    from paillier_threshold import threshold_rows

    from securefl.paillier.masks import SHORT_BITS
    from securefl.paillier.threads import cores
except ConfigError as error:
    raise SystemExit(str(error)) from None

SIZES = (3072, 2048)
CORE_TURNS = 7
BUSY = 0.1
"""Of the machine, taken by other programs: from here on what several cores are worth cannot be seen."""
QUICK_BITS, QUICK_THRESHOLD_BITS, QUICK_COUNT = 2048, 1024, 2000


class Run:
    """What is measured, and what comes of it.

    Args:
        options: of the command line.
        progress: told what goes on.
    """

    def __init__(self, options: argparse.Namespace, progress: Progress) -> None:
        self.options, self.progress = options, progress
        self.share, self.in_a_proof = (0.1, 4) if options.quick else (1.0, 32)
        self.rows: list[Row] = []
        self.rates: dict[str, Rates] = {}
        self.sent: dict[str, dict[str, float]] = {}
        self.notes: list[str] = []
        self.about_peers: list[str] = []

    def size(self, bits: int) -> None:
        """Everything under keys of one size."""
        options, progress = self.options, self.progress
        with PeerProcess(bits, share=self.share) as peers:
            progress.case(f"{bits} bits: keys and tables")
            ours = Ours(bits, options.parties, options.count)
            progress.case(f"{bits} bits: the peers' keys (pypaillier's take up to a minute or two)")
            self.about_peers = peers.notes
            self.sent[f"{bits} bits"] = {"ours": ours.bits_a_value, **peers.bits_a_value}
            rates = self.vectors(ours, peers, options.repeats)
            self.rows += size_rows(ours, peers.bits_a_value) + single_rows(ours, peers.bits_a_value, rates)
            self.rows += value_rows(ours, peers.bits_a_value, rates)
            if options.long:
                longer = ours.longer(10 * options.count)
                self.rows += value_rows(longer, peers.bits_a_value, self.vectors(longer, peers, 1))
        self.cores(ours)
        progress.case(f"{bits} bits: threshold decryption")
        of_safe_primes = QUICK_THRESHOLD_BITS if options.quick else bits
        self.rows += threshold_rows(
            of_safe_primes, ciphertexts=self.in_a_proof, repeats=options.repeats, tell=progress.step
        )

    def cores(self, ours: Ours) -> None:
        """One thread and a thread a core, by the clock."""
        self.progress.case(f"{ours.bits} bits: one thread and a thread a core")
        turns = 1 if self.options.quick else CORE_TURNS
        with Elsewhere() as elsewhere:
            by_cores = in_turn(ours.by_cores(), repeats=turns, tell=self.progress.step, least=True)
        if elsewhere.share is not None:
            self.notes.append(
                f"{ours.bits} bits, {cores()} cores against one: other programs took {elsewhere.share:.0%} of the machine meanwhile"
                f"{'; that says little about a second core' if elsewhere.share > BUSY else ''}"
            )
        self.rates.setdefault(f"{ours.bits} bits, {ours.count} values", {})["by cores"] = by_cores
        self.rows += core_rows(ours, by_cores, cores())

    def vectors(self, ours: Ours, peers: PeerProcess, repeats: int) -> Rates:
        """Values a second, ours and the peers' in turn; under "single" ciphertexts a second."""
        self.progress.case(f"{ours.bits} bits: {ours.count} values")
        packed, cases = ours.packed(), {}
        for operation in OPERATIONS:
            for name, work in {**packed[operation], **peers.work(operation)}.items():
                cases[operation, name] = work
        cases |= {("single", name): work for name, work in ours.single().items()}
        named: dict[str, Work] = {"/".join(where): work for where, work in cases.items()}
        measured = in_turn(named, repeats=repeats, tell=self.progress.step)
        ours.check()
        rates: Rates = {}
        for (operation, name), rate in zip(cases, measured.values(), strict=True):
            rates.setdefault(operation, {})[name] = rate
        self.rates[f"{ours.bits} bits, {ours.count} values"] = rates
        layout = ours.layout
        self.notes.append(
            f"{ours.bits} bits, {ours.count} values: {layout.slots} slots of {layout.slot_bits} bits for {ours.parties} parties, "
            f"{ours.ciphertexts} ciphertexts; {repeats} turn{'s' * (repeats > 1)}"
        )
        return rates

    def publish(self) -> None:
        """Print, write, draw."""
        for name in installed() if self.sent else ():
            encrypted, added, decrypted = (sample(name, operation, self.share) for operation in OPERATIONS)
            self.notes.append(f"{name}: a sample of {encrypted} values encrypted, {added} added, {decrypted} decrypted")
        self.notes += [
            f"exponents have half the bits of the key (djn; pypaillier and HEU, too) or {SHORT_BITS} (short)",
            "one core each, in processor time; more cores by the clock, the fastest turn",
            *self.about_peers,
            *how_to_get(),
        ]
        publish(
            self.rows,
            self.options.json,
            notes=self.notes,
            parties=self.options.parties,
            cores=cores(),
            per_second=self.rates,
            bits_a_value=self.sent,
            peers={"gmpy2": version("gmpy2"), **versions()},
        )
        if self.options.plot:
            from paillier_plots import draw  # matplotlib is needed for the figure only

            draw(self.rates, self.sent, list(PEERS), self.options.plot)


def main() -> None:
    """Measure and print."""
    made = parser(__doc__ or "", repeats=3, quick=True, plot=True)
    made.add_argument("--bits", type=int, default=SIZES[0], help="of the keys (%(default)s)")
    made.add_argument("--parties", type=int, default=100, help="vectors that a slot has room for (%(default)s)")
    made.add_argument("--count", type=int, default=100_000, help="values of a vector (%(default)s)")
    made.add_argument("--long", action="store_true", help="3072 and 2048 bits; and vectors ten times as long, once")
    made.add_argument("--cores", action="store_true", help="only what several cores are worth; for an idle machine")
    options = made.parse_args()
    if options.cores and options.plot:
        made.error("--cores has nothing to plot")
    if options.quick:
        options.bits, options.count, options.repeats, options.long = QUICK_BITS, QUICK_COUNT, 1, False
    with shown() as progress:
        run = Run(options, progress)
        for bits in SIZES if options.long else (options.bits,):
            if options.cores:
                run.cores(Ours(bits, options.parties, options.count))
            else:
                run.size(bits)
    run.publish()


if __name__ == "__main__":
    main()
