"""What happened in training, round by round, as values that survive JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from securefl.errors import ConfigError


class RoundRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finished round.

    Args:
        round: its number, from 1.
        survivors: the parties whose vectors are in the sum.
        dropped: the step that each dropped party did not complete, by party.
        weight_sum: the sum of the survivors' weights.
        train_metrics: weighted means over the survivors, of the model that the round started from.
        test_metrics: of the model that the round produced; empty without a test set.
        bytes_up: bytes that all parties sent.
        bytes_down: bytes that the server sent.
        bytes_by_step: (up, down) by step of the protocol; empty for plain averaging.
        seconds_by_step: (sum over clients, server) by step of the protocol; empty for plain averaging.
        train_seconds: local training, summed over the parties.
        seconds: the whole round, as the simulation took it.
        epsilon: what all rounds so far cost, against "server" and "observer"; one that is infinite is missing. None without privacy.
    """

    round: int
    survivors: tuple[str, ...]
    dropped: dict[str, str]
    weight_sum: int
    train_metrics: dict[str, float]
    test_metrics: dict[str, float]
    bytes_up: int
    bytes_down: int
    bytes_by_step: dict[str, tuple[int, int]]
    seconds_by_step: dict[str, tuple[float, float]]
    train_seconds: float
    seconds: float
    epsilon: dict[str, float] | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rounds: list[RoundRecord]


@dataclasses.dataclass(repr=False)
class History:
    """The records of a training run in order; iterate it, print it as a table, or keep it as JSON."""

    records: list[RoundRecord] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[RoundRecord]:
        return iter(self.records)

    def __repr__(self) -> str:
        last = self.records[-1].test_metrics if self.records else {}
        return f"<History: {', '.join([f'rounds={len(self)}', *(f'{k}={v:.4f}' for k, v in last.items())])}>"

    def __str__(self) -> str:
        shown = ("return",) if self.records and "return" in self.records[-1].test_metrics else ("accuracy", "loss")
        columns = ("round", *shown, "survivors", "dropped", "up", "down", "seconds")
        lines = ["  ".join(f"{name:>9}" for name in columns)]
        for record in self.records:
            cells = (
                str(record.round),
                *(_number(record.test_metrics.get(name)) for name in shown),
                str(len(record.survivors)),
                str(len(record.dropped)),
                size_text(record.bytes_up),
                size_text(record.bytes_down),
                f"{record.seconds:.2f}",
            )
            lines.append("  ".join(f"{cell:>9}" for cell in cells))
        return "\n".join(lines)

    def append(self, record: RoundRecord) -> None:
        """Add the next round.

        Raises:
            ConfigError: its number does not follow the last one.
        """
        following = self.records[-1].round + 1 if self.records else 1
        if record.round != following:
            raise ConfigError(f"history: got round {record.round}, needs round {following}")
        self.records.append(record)

    @property
    def accuracy(self) -> float:
        """The test accuracy after the last round, in [0, 1].

        Raises:
            ConfigError: no round has finished, or there is no test set.
        """
        if not self.records:
            raise ConfigError("accuracy: no round has finished", remedy="call fit() first")
        return self.curve("accuracy")[-1]

    def curve(self, metric: str, *, train: bool = False) -> list[float]:
        """Return one metric round by round: of the test set, or of the parties' own data when `train`.

        Raises:
            ConfigError: a round has no such metric.
        """
        values = []
        for record in self.records:
            metrics = record.train_metrics if train else record.test_metrics
            if metric not in metrics:
                known = ", ".join(metrics) or "none"
                raise ConfigError(
                    f"{'train' if train else 'test'} metric: got {metric!r}, round {record.round} has {known}",
                    remedy="" if metrics else "declare metrics in the plan" if train else "pass test= to Federation",
                )
            values.append(metrics[metric])
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return {"rounds": [...]} of JSON's own types."""
        # Through JSON itself: to_builtins() would keep tuples, which JSON has not.
        file: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_File(rounds=self.records)))
        return file

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: a field is missing, unknown or of another type, or the rounds are out of order.
        """
        try:
            file = msgspec.convert(data, _File)
        except msgspec.ValidationError as error:
            raise ConfigError(f"history: {error}") from error
        history = cls()
        for record in file.rounds:
            history.append(record)
        return history


def size_text(count: int) -> str:
    """Return a number of bytes in decimal units, such as "1.2 MB"."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
