"""Generated data sets: nothing to download, nobody's data, and the truth behind them is known.

They are set by their seed, parameters and numpy's version. They show how algorithms behave; that a model does well on them
says nothing about credit or machines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset, Loader
from securefl.federated.partition.requests import between, checked_seed, whole
from securefl.federated.seeds import Use, generator

Floats = npt.NDArray[np.float64]

_FEATURES, _CLASSES = 60, 10
_FEDPROX, _CREDIT, _SENSORS = range(3)
"""The streams of `Use.SYNTHETIC`."""

_HORIZON = 5
_SAMPLES = 32
_SENSOR_NAMES: Final = ("temperature", "vibration", "pressure", "current")


def synthetic(
    alpha: float,
    beta: float,
    seed: int,
    parties: int = 30,
    test_fraction: float = 0.2,
    sizes: Sequence[int] | None = None,
) -> tuple[dict[str, Dataset], Dataset]:
    """Generate the synthetic data of FedProx: 60 float32 features, 10 classes, another model and other inputs a party.

    Party k labels x by argmax(x W + b), entries of W and b from N(u_k, 1), u_k ~ N(0, alpha^2); its x are from
    N(v_k, Sigma), Sigma diagonal with j^-1.2, entries of v_k from N(B_k, 1), B_k ~ N(0, beta^2). A party's data do not
    depend on how many others there are.

    Args:
        alpha: how much the models differ, in [0, 1000]; (0, 0), (0.5, 0.5) and (1, 1) in the source.
        beta: how much the inputs differ, in [0, 1000].
        seed: of all that is random.
        parties: how many.
        test_fraction: share of each party's examples that is held out, at least one.
        sizes: examples of each party, at least 2, before the split; None for 50 + floor(LogNormal(4, 2)).

    Returns:
        The parties' training sets by name ("party-0", ...), and all that was held out as one set, in the parties' order.

    Raises:
        ConfigError: an argument is out of range.

    Source: Li et al. 2020 (FedProx, arXiv:1812.06127, section 5.1 and appendix); alpha and beta are standard
        deviations there in the authors' program, and here.
    """
    spread = between("alpha", alpha, 0, 1000, "use alpha=1.0"), between("beta", beta, 0, 1000, "use beta=1.0")
    return _fedprox(spread, seed, parties, test_fraction, sizes)


def synthetic_iid(
    seed: int, parties: int = 30, test_fraction: float = 0.2, sizes: Sequence[int] | None = None
) -> tuple[dict[str, Dataset], Dataset]:
    """Generate the control of `synthetic`: one model for all parties, W, b ~ N(0, 1), and v_k = 0; only sizes differ."""
    return _fedprox(None, seed, parties, test_fraction, sizes)


def credit_default(
    seed: int, test_fraction: float = 0.2, *, examples: int = 10_000, default_rate: float = 0.08
) -> tuple[Dataset, Dataset]:
    """Generate loans as (train, test): 11 float32 features, class 1 for the few that default.

    Features: age, log income, years employed, log amount of the loan, log of its burden (amount over income), debt ratio,
    utilisation of credit lines, late payments, open accounts, enquiries, home owner. All are shifted and scaled by
    constants to a mean near 0 and a deviation near 1, so that nothing is computed from the examples. A loan defaults if a score plus
    standard logistic noise is among the highest: logistic regression with one interaction (late payments with
    utilisation), so a linear model is good and not perfect.

    Args:
        seed: of all that is random.
        test_fraction: share of each class that is held out.
        examples: n, at least 20.
        default_rate: share of the examples in class 1, exact but for rounding; in (0, 0.5].

    Raises:
        ConfigError: an argument is out of range, or leaves a side without one of the classes.
    """
    count = whole("examples", examples, 20, "use examples=10000")
    rate = between("default_rate", default_rate, 0, 0.5, "use default_rate=0.08", low_open=True)
    rng = generator(checked_seed(seed), Use.SYNTHETIC, _CREDIT)
    age = rng.normal(42.0, 12.0, count).clip(21.0, 80.0)
    employed = np.minimum(rng.exponential(6.0, count), age - 18.0)
    wealth = rng.standard_normal(count)  # log income, standardised
    amount = 0.4 * wealth + 0.9 * rng.standard_normal(count)  # log amount, standardised
    debt, used = rng.beta(2.0, 5.0, count), rng.beta(1.5, 2.5, count)
    late, accounts, enquiries = rng.poisson(0.4, count), rng.poisson(5.0, count), rng.poisson(1.0, count)
    owner = (rng.random(count) < 0.2 + 0.006 * (age - 21.0)).astype(np.float64)
    x = np.column_stack(
        [
            (age - 42.0) / 12.0,
            wealth,
            (employed - 6.0) / 6.0,
            amount,
            amount - wealth,
            (debt - 0.29) / 0.16,
            (used - 0.375) / 0.22,
            (late - 0.4) / 0.63,
            (accounts - 5.0) / 2.24,
            enquiries - 1.0,
            2.0 * owner - 1.0,
        ]
    )
    weights = np.array([-0.2, -0.4, -0.4, 0.1, 0.3, 0.6, 0.5, 0.7, 0.0, 0.3, -0.2])
    latent = x @ weights + 0.3 * x[:, 6] * x[:, 7] + rng.logistic(size=count)
    y = np.zeros(count, dtype=np.int64)
    y[np.argsort(latent)[count - round(rate * count) :]] = 1
    return _stratified(Dataset(x.astype(np.float32), y), test_fraction, rng)


def sensor_failure(
    seed: int, test_fraction: float = 0.2, *, machines: int = 200, windows: int = 100, failing: float = 0.5
) -> tuple[Dataset, Dataset]:
    """Generate machines under watch as (train, test): 20 float32 features a window, class 1 where a failure is near.

    Four sensors (temperature, vibration, pressure, current) give 32 samples a window, x = level of the machine + daily
    load + AR(1) noise. Some machines fail once; 8 to 20 windows before, temperature begins to rise, pressure to fall,
    vibration to grow, current to scatter; afterwards the machine is repaired. 2 % of the windows are disturbed harmlessly.
    Features are mean, standard deviation, minimum, maximum and slope (a window) of each sensor. Class 1 are the last 5
    windows before a failure.

    **Whole machines are held out**, for windows of one machine resemble each other. Rows are in order of machine and time,
    `windows` a machine, so that `x.reshape(-1, windows, 20)` gives machines, which make natural parties.

    Args:
        seed: of all that is random.
        test_fraction: share of the machines that is held out, of those that fail and of the others alike.
        machines: at least 4.
        windows: of each machine, at least 10.
        failing: share of the machines that fail, in (0, 1]; 0.5 makes 2.5 % of 100 windows class 1.

    Raises:
        ConfigError: an argument is out of range, or leaves a side without a failure.
    """
    count = whole("machines", machines, 4, "use machines=200")
    length = whole("windows", windows, 2 * _HORIZON, "use windows=100")
    failures = round(between("failing", failing, 0, 1, "use failing=0.5", low_open=True) * count)
    rng = generator(checked_seed(seed), Use.SYNTHETIC, _SENSORS)
    fails = rng.permutation(count) < failures
    wear, near = _wear(fails, length, rng)
    x = _window_features(_signals(wear, rng))
    held_out = _held_out(fails.astype(np.int64), test_fraction, rng, "machines that fail")

    def machines_where(chosen: npt.NDArray[np.bool_]) -> Dataset:
        return Dataset(x[chosen].reshape(-1, x.shape[-1]), near[chosen].reshape(-1).astype(np.int64))

    return machines_where(~held_out), machines_where(held_out)


GENERATED: Mapping[str, Loader] = MappingProxyType({"credit_default": credit_default, "sensor_failure": sensor_failure})
"""The generated data sets that are not yet dealt out, by name."""


def _fedprox(
    spread: tuple[float, float] | None, seed: int, parties: int, test_fraction: float, sizes: Sequence[int] | None
) -> tuple[dict[str, Dataset], Dataset]:
    count = whole("parties", parties, 1, "ask for one party or more")
    fraction = _fraction(test_fraction)
    if sizes is not None and len(sizes) != count:
        raise ConfigError(f"sizes: got {len(sizes)}, needs {count}, one a party", remedy="leave it out")
    common = generator(checked_seed(seed), Use.SYNTHETIC, _FEDPROX)
    shared = common.standard_normal((_FEATURES, _CLASSES)), common.standard_normal(_CLASSES)
    train, held_out = {}, []
    for party in range(count):
        rng = generator(seed, Use.SYNTHETIC, _FEDPROX, party)
        drawn = 50 + int(rng.lognormal(4.0, 2.0))
        size = drawn if sizes is None else whole(f"sizes[{party}]", sizes[party], 2, "use 2 examples or more")
        if spread is None:
            (weight, bias), centre = shared, np.zeros(_FEATURES)
        else:
            model, inputs = rng.normal(0.0, spread)
            weight, bias = rng.normal(model, 1.0, (_FEATURES, _CLASSES)), rng.normal(model, 1.0, _CLASSES)
            centre = rng.normal(inputs, 1.0, _FEATURES)
        deviation = np.arange(1.0, _FEATURES + 1.0) ** -0.6  # the square root of j^-1.2
        x = centre + deviation * rng.standard_normal((size, _FEATURES))
        whole_set = Dataset(x.astype(np.float32), (x @ weight + bias).argmax(axis=1))
        kept = size - min(max(1, round(fraction * size)), size - 1)
        train[f"party-{party}"] = whole_set.subset(range(kept))
        held_out.append(whole_set.subset(range(kept, size)))
    return train, Dataset(np.concatenate([part.x for part in held_out]), np.concatenate([part.y for part in held_out]))


def _wear(fails: npt.NDArray[np.bool_], windows: int, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """How worn each machine is in each window, from 0 to 1, and whether a failure is near, both (machines, windows)."""
    failure = rng.integers(_HORIZON, windows, size=len(fails), endpoint=True)[:, None]
    ramp = rng.integers(8, 20, size=len(fails), endpoint=True)[:, None]
    left = failure - np.arange(windows)  # windows until the failure; 1 in the last one
    ahead = fails[:, None] & (left > 0)
    return np.where(ahead, (1.0 - (left - 1) / ramp).clip(0.0, 1.0), 0.0), ahead & (left <= _HORIZON)


def _signals(wear: Floats, rng: np.random.Generator) -> Floats:
    """Samples of each sensor, (machines, windows, samples, sensors)."""
    machines, windows = wear.shape
    sensors = len(_SENSOR_NAMES)
    level = 0.4 * rng.standard_normal((machines, 1, 1, sensors))
    phase = rng.uniform(0.0, 2.0 * math.pi, (machines, 1))
    load = 0.3 * np.sin(2.0 * math.pi * np.arange(windows) / 24.0 + phase)[:, :, None, None]
    disturbed = (rng.random((machines, windows)) < 0.02)[:, :, None, None]
    noise = rng.standard_normal((machines, windows * _SAMPLES, sensors))
    for step in range(1, noise.shape[1]):  # AR(1) of variance 1
        noise[:, step] = 0.8 * noise[:, step - 1] + 0.6 * noise[:, step]
    worn = wear[:, :, None, None]
    size = 1.0 + worn * np.array([0.0, 1.5, 0.0, 0.7])
    drift = worn * np.array([1.5, 0.0, -1.0, 0.3])
    harmless = disturbed * np.array([1.0, 0.0, 0.0, 1.0])
    signals: Floats = level + load + drift + harmless + size * noise.reshape(machines, windows, _SAMPLES, sensors)
    return signals


def _window_features(signals: Floats) -> npt.NDArray[np.float32]:
    """Mean, deviation, minimum, maximum and slope of each sensor in each window, (machines, windows, 5 * sensors)."""
    time = np.arange(_SAMPLES) / _SAMPLES
    centred = time - time.mean()
    slope = np.einsum("s,mwsk->mwk", centred, signals) / (centred**2).sum()
    found = [signals.mean(axis=2), signals.std(axis=2), signals.min(axis=2), signals.max(axis=2), slope]
    return np.concatenate(found, axis=2).astype(np.float32)


def _stratified(dataset: Dataset, test_fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
    held_out = _held_out(dataset.y, test_fraction, rng, "examples of class 1")
    return dataset.subset(np.flatnonzero(~held_out)), dataset.subset(np.flatnonzero(held_out))


def _held_out(
    y: npt.NDArray[np.integer[Any]], test_fraction: float, rng: np.random.Generator, rare: str
) -> npt.NDArray[np.bool_]:
    """Choose the same share of either class, at least one and not all of it, where the other class may be empty."""
    fraction = _fraction(test_fraction)
    chosen = np.zeros(len(y), dtype=np.bool_)
    for label in (0, 1):
        members = rng.permutation(np.flatnonzero(y == label))
        if label == 1 and len(members) < 2:
            raise ConfigError(
                f"{rare}: got {len(members)}, needs at least 2, one to train with and one to hold out",
                remedy="generate more, or raise their share",
            )
        if len(members) > 1:
            chosen[members[: min(max(1, round(fraction * len(members))), len(members) - 1)]] = True
    return chosen


def _fraction(test_fraction: object) -> float:
    return between("test_fraction", test_fraction, 0, 1, "use test_fraction=0.2", low_open=True, high_open=True)
