"""Linear regression over three hospitals on scikit-learn's diabetes data: gradients summed under phe, and under packed Paillier.

    python benchmarks/speed/diabetes_regression.py [--json FILE] [--bits 3072] [--rounds 50] [--quick]

This is phe's own example of federated learning (`examples/federated_learning_with_encryption.py` in its repository): 442 patients, 10
variables and an intercept, 50 of them to test on, the others dealt out to three hospitals; 50 steps of gradient descent at rate 0.01 / 3
along the sum of the hospitals' gradients, which only the key holder sees. There the key has 1024 bits and the first hospital's gradient
is added twice; here it has 3072, and each is added once.

With phe every value is a ciphertext, passed on from hospital to hospital; nothing else is done. With us a gradient is 11 fixed-point
integers of 32 bits in one ciphertext, and a round is `sfl.aggregate`: plan, policies and messages of real bytes included. Rounds are done
in turn: processor time of both, tables included, keys not.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

import securefl as sfl
from securefl.encoding import FixedPoint, Saturation
from securefl.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Row, parser, publish, row, version
from paillier_turns import pinned
from progress import Progress, shown

try:
    import phe

    from securefl.paillier import SmallKeyWarning
except (ImportError, ConfigError):
    raise SystemExit("this is held against phe, which is not installed: pip install 'securefl[phe]'") from None
try:
    from sklearn.datasets import load_diabetes
except ImportError:
    raise SystemExit("the data come with scikit-learn, which is not installed: pip install 'securefl[demo]'") from None

HOSPITALS, TEST, SEED = 3, 50, 42
ROUNDS, QUICK_ROUNDS = 50, 3
RATE = 0.01
GRID = FixedPoint(value_bits=32, bound=2.0**15, on_saturation=Saturation.REFUSE)
"""A gradient's entry for the intercept is up to the sum of 130 targets, some 20 000."""

Floats: TypeAlias = npt.NDArray[np.float64]
Sum: TypeAlias = Callable[[Sequence[Floats]], Floats]


@dataclasses.dataclass(frozen=True)
class Data:
    """Patients of each hospital, and those to test on; x has a column of ones, y is the progress of the disease."""

    hospitals: list[tuple[Floats, Floats]]
    test: tuple[Floats, Floats]

    def gradients(self, weights: Floats) -> list[Floats]:
        """Of half the squared error, summed over a hospital's patients."""
        return [(x @ weights - y) @ x for x, y in self.hospitals]

    def error(self, weights: Floats) -> float:
        """Mean squared error on the test set."""
        x, y = self.test
        return float(np.mean((x @ weights - y) ** 2))

    def alone(self, rounds: int) -> list[float]:
        """The test error of each hospital that learns from its own patients, with the same steps."""
        errors = []
        for x, y in self.hospitals:
            weights = np.zeros(x.shape[1])
            for _ in range(rounds):
                weights -= RATE * ((x @ weights - y) @ x)
            errors.append(self.error(weights))
        return errors

    def stretch(self) -> float:
        """How much a step may lengthen the distance of two weights: the spectral norm of its matrix."""
        hessian = np.sum([x.T @ x for x, _ in self.hospitals], axis=0)
        return float(np.linalg.norm(np.eye(hessian.shape[0]) - RATE / HOSPITALS * hessian, 2))


def diabetes() -> Data:
    """The data, shuffled by a fixed seed."""
    bundled = load_diabetes()
    order = np.random.default_rng(SEED).permutation(len(bundled.target))
    x = np.column_stack([bundled.data, np.ones(len(order))])[order]
    y = bundled.target[order]
    parts = np.array_split(np.arange(TEST, len(order)), HOSPITALS)
    return Data([(x[part], y[part]) for part in parts], (x[:TEST], y[:TEST]))


def sum_with_phe(bits: int) -> Sum:
    """One ciphertext a value; the hospitals add theirs to what they are passed."""
    public, private = phe.generate_paillier_keypair(n_length=bits)

    def total(gradients: Sequence[Floats]) -> Floats:
        passed = [public.encrypt(value) for value in gradients[0].tolist()]
        for gradient in gradients[1:]:
            passed = [c + public.encrypt(value) for c, value in zip(passed, gradient.tolist(), strict=True)]
        return np.array([private.decrypt(c) for c in passed])

    return total


def sum_with_securefl(bits: int) -> Sum:
    """A round of packed Paillier: each hospital's message to a server, the encrypted sum to the key holder, all of it in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallKeyWarning)  # the size is what is asked for
        key = sfl.paillier.PrivateKey.generate(bits)

    def total(gradients: Sequence[Floats]) -> Floats:
        updates = {f"hospital-{number}": {"gradient": gradient} for number, gradient in enumerate(gradients, 1)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallKeyWarning)
            plan = sfl.Plan.for_updates(updates, protocol=sfl.Paillier(key.public_key), encoding=GRID)
            result = sfl.aggregate(updates, plan, key_holder=key)
        return np.asarray(result.sum["gradient"], dtype=np.float64)

    return total


def descend(
    data: Data, sums: dict[str, Sum], rounds: int, progress: Progress
) -> tuple[dict[str, Floats], dict[str, list[float]]]:
    """Weights of each way of adding, and the processor seconds of each of its rounds; they take turns."""
    weights = {name: np.zeros(data.test[0].shape[1]) for name in sums}
    seconds: dict[str, list[float]] = {name: [] for name in sums}
    for done in range(1, rounds + 1):
        for name, add in sums.items():
            gradients = data.gradients(weights[name])
            with pinned():
                started = time.process_time()
                total = add(gradients)
                seconds[name].append(time.process_time() - started)
            weights[name] = weights[name] - RATE / HOSPITALS * total
        progress.step("rounds", done, rounds)
    return weights, seconds


def farthest(data: Data, rounds: int) -> float:
    """How far the weights may be from those of exact sums.

    Rounding moves a coordinate of a hospital's gradient by less than a grid step, so a step of the descent by less than
    RATE sqrt(d) / scale; later steps lengthen that by no more than `Data.stretch` each.
    """
    once = RATE * math.sqrt(data.test[0].shape[1]) / GRID.scale
    return once * sum(data.stretch() ** later for later in range(rounds))


def main() -> None:
    """Learn with both, compare, print."""
    made = parser(__doc__ or "", repeats=1, quick=True, repeated="times that all is done; medians are given")
    made.add_argument("--bits", type=int, default=3072, help="of both keys (%(default)s)")
    made.add_argument("--rounds", type=int, default=ROUNDS, help="steps of the descent (%(default)s)")
    options = made.parse_args()
    if options.quick:
        options.bits, options.rounds = 2048, QUICK_ROUNDS
    data = diabetes()
    took: dict[str, list[list[float]]] = {"phe": [], "ours": []}
    with shown() as progress:
        for turn in range(1, options.repeats + 1):
            progress.case(
                f"{options.bits} bits, {options.rounds} rounds, {turn} of {options.repeats}: keys, then rounds"
            )
            sums = {"phe": sum_with_phe(options.bits), "ours": sum_with_securefl(options.bits)}
            weights, seconds = descend(data, sums, options.rounds, progress)
            for name, rounds in seconds.items():
                took[name].append(rounds)
    difference = float(np.linalg.norm(weights["ours"] - weights["phe"]))
    allowed = farthest(data, options.rounds)
    if difference > allowed:
        raise SystemExit(f"the weights are {difference:.2g} apart, which rounding does not explain: {allowed:.2g}")
    totals = {name: float(np.median([sum(rounds) for rounds in runs])) for name, runs in took.items()}
    later = {
        name: float(np.median([s for rounds in runs for s in rounds[1:] or rounds])) for name, runs in took.items()
    }
    where = f"{options.bits} bits, {HOSPITALS} hospitals"
    rows: list[Row] = [
        row(
            f"{where}: {options.rounds} rounds, tables included",
            totals["ours"],
            totals["phe"],
            unit="s",
            peer_name="phe",
        ),
        row(f"{where}: a round after the first", later["ours"], later["phe"], unit="s", peer_name="phe"),
    ]
    alone = ", ".join(f"{error:.0f}" for error in data.alone(options.rounds))
    errors = {name: data.error(weights[name]) for name in weights}
    notes = [
        f"weights: {difference:.1e} apart, at most {allowed:.1e} by rounding; the longest is {np.abs(weights['phe']).max():.4g}",
        f"mean squared error on {TEST} patients: {errors['ours']:.2f} ours, {errors['phe']:.2f} phe, alone {alone}",
        "processor time of one core, the two in turn; keys were made before",
    ]
    publish(
        rows,
        options.json,
        notes=notes,
        weights={name: found.tolist() for name, found in weights.items()},
        allowed_difference=allowed,
        difference=difference,
        test_error={**errors, "alone": data.alone(options.rounds)},
        peers={name: version(name) for name in ("phe", "gmpy2", "scikit-learn")},
    )


if __name__ == "__main__":
    main()
