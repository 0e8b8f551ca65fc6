"""Trigger sets: secret inputs that have nothing to do with any data, and labels drawn for them at random."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.digest import digest
from securefl.crypto.random import OS, RandomSource
from securefl.crypto.secret import Redacted
from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.ownership import trigger_file
from securefl.federated.ownership.recipe import Recipe, whole

MOST_TRIGGERS: Final = 10_000
MOST_CLASSES: Final = 1_000_000
SEED_BYTES: Final = 32
_LABELS: Final = 1
"""The seed's stream that labels come from; inputs come from stream 0."""


class TriggerSet(Redacted):
    """An owner's secret: inputs, and a label for each, drawn uniformly and without regard to the input.

    That the labels are so drawn is all that `verify` rests on, and why they are not balanced: among balanced labels the matches of a
    model that knows nothing are not binomial. Of a set that `generate` made it can be checked: inputs and labels follow from one seed.
    Sets given as arrays must be believed, see docs/ownership.md.

    Args:
        x: inputs, float, (n, ...); kept as float32, read-only.
        y: labels, integer, (n,), in 0..classes-1, drawn uniformly.
        classes: k, at least 2.
        seed: 32 secret bytes that the commitment hides the set behind; by default fresh ones.

    Attributes:
        x: the inputs, float32.
        y: the labels, int64.
        classes: k.
        generated: whether inputs and labels follow from the seed alone.

    Raises:
        ConfigError: wrong dtype or shape, a value that is not finite, a label out of range, or two equal inputs; names the trigger.
    """

    __slots__ = ("_recipe", "_seed", "classes", "x", "y")

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        classes: int,
        *,
        seed: bytes | None = None,
    ) -> None:
        self.classes = whole("classes", classes, 2, MOST_CLASSES)
        self.x, self.y = _checked(_array("x", x), _array("y", y), self.classes)
        # bytes(32) would be 32 zeros: a commitment that hides nothing.
        if seed is not None and (not isinstance(seed, bytes) or len(seed) != SEED_BYTES):
            raise ConfigError(
                f"seed: got a {type(seed).__name__}, needs {SEED_BYTES} secret bytes", remedy="leave it out"
            )
        self._seed = OS.token(SEED_BYTES) if seed is None else seed
        self._recipe: Recipe | None = None

    @classmethod
    def generate(
        cls,
        shape: Sequence[int],
        classes: int,
        *,
        size: int = 100,
        low: float = 0.0,
        high: float = 1.0,
        random: RandomSource = OS,
    ) -> TriggerSet:
        """Draw inputs uniform in [low, high), and labels uniform in 0..classes-1, all from 32 secret bytes.

        Args:
            shape: of one input, as the model takes it: (64,) or (3, 32, 32).
            classes: k.
            size: n; a model that knows nothing matches all with probability k^-n.
            low: least value.
            high: above the largest.
            random: where the 32 bytes come from; by default the operating system. In tests a seeded source.

        Raises:
            ConfigError: an argument is out of range.
        """
        dimensions = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        return cls._made(Recipe(dimensions, classes, size, low, high), random.token(SEED_BYTES))

    @classmethod
    def labelled(cls, x: npt.ArrayLike, classes: int, *, random: RandomSource = OS) -> TriggerSet:
        """Draw labels for inputs of the owner's own, such as abstract pictures; the rest as the class.

        Whoever checks the claim must believe that the labels were drawn, and not taken from what any good model would say.
        """
        seed, inputs = random.token(SEED_BYTES), _array("x", x)
        labels = _labels(seed, len(inputs) if inputs.ndim else 0, whole("classes", classes, 2, MOST_CLASSES))
        return cls(inputs, labels, classes, seed=seed)

    @classmethod
    def _made(cls, recipe: Recipe, seed: bytes) -> TriggerSet:
        """The set that follows from a seed."""
        from securefl.crypto.seeded import SeededRandom  # brings cryptography, which plain training does not need

        made = cls(
            recipe.inputs(SeededRandom(seed)), _labels(seed, recipe.size, recipe.classes), recipe.classes, seed=seed
        )
        made._recipe = recipe
        return made

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"<TriggerSet: {len(self)} of shape {self.shape}, {self.classes} classes; redacted>"

    __str__ = __repr__

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return tuple(self.x.shape[1:])

    @property
    def generated(self) -> bool:
        """Whether inputs and labels follow from the seed alone, so that nobody can have chosen them."""
        return self._recipe is not None

    @property
    def commitment(self) -> bytes:
        """32 bytes that say nothing about the set and fit no other: to be published before the model is.

        SHA-256 over the secret seed, shape, classes, inputs and labels (`securefl.crypto.digest`).
        """
        shape = ",".join(map(str, self.shape))
        inputs, labels = self.x.astype("<f4").tobytes(), self.y.astype("<i8").tobytes()
        return digest("watermark-triggers", self._seed, shape, self.classes, int(self.generated), inputs, labels)

    def dataset(self) -> Dataset:
        """The set as examples to train on."""
        return Dataset(self.x, self.y)

    def overlap(self, dataset: Dataset, *, tolerance: float = 1e-6) -> tuple[int, ...]:
        """Return the triggers that are among these examples, by index: a party's own check, where only the party has the data.

        Args:
            dataset: examples with inputs of this shape; labels are not looked at.
            tolerance: the largest difference in any value, of two inputs that count as one, over the largest magnitude in the set. At
                least the step of the examples' dtype: a trigger that was stored as float16 is found. One that was scaled, moved or
                cropped is not.

        Raises:
            ConfigError: no examples of this shape, or the tolerance is no number in [0, 1].
        """
        if not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1:
            raise ConfigError(
                f"tolerance: got {tolerance!s:.40}, needs a number in [0, 1]", remedy="use tolerance=1e-6"
            )
        if not isinstance(dataset, Dataset):
            raise ConfigError(f"dataset: got a {type(dataset).__name__}, needs a Dataset", remedy="use Dataset(x, y)")
        if tuple(dataset.x.shape[1:]) != self.shape:
            raise ConfigError(
                f"triggers have shape {self.shape}, the examples {tuple(dataset.x.shape[1:])}",
                remedy="generate them in the shape of the model's inputs",
            )
        step = max(tolerance, float(np.finfo(dataset.x.dtype).eps))
        flat, found = dataset.x.reshape(len(dataset), math.prod(self.shape)), []
        triggers = self.x.reshape(len(self), -1).astype(np.float64)  # differences of float32 could overflow
        least = step * float(np.abs(triggers).max())
        for index, trigger in enumerate(triggers):
            near = np.flatnonzero(np.abs(flat[:, 0] - trigger[0]) <= least)  # few, so that the rest is quick
            if near.size and (np.abs(flat[near] - trigger).max(axis=1) <= least).any():
                found.append(index)
        return tuple(found)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the set, a secret: readable by its owner alone (0600).

        Raises:
            ConfigError: the file exists, or cannot be written.
        """
        trigger_file.write(path, self.to_bytes(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TriggerSet:
        """Read what `save` wrote.

        Raises:
            ConfigError: it cannot be read, is no trigger set, or was cut off or altered.
        """
        return cls.from_bytes(trigger_file.read(path), source=str(path))

    def to_bytes(self) -> bytes:
        """The set as `save` writes it: the seed and what was drawn from it, or the arrays."""
        about: dict[str, Any] = {"seed": self._seed.hex()}
        if self._recipe is not None:
            return trigger_file.pack({"kind": "generated", **about, **self._recipe.to_dict()}, b"", self.commitment)
        about |= {"kind": "given", "shape": list(self.shape), "classes": self.classes, "size": len(self)}
        return trigger_file.pack(
            about, self.x.astype("<f4").tobytes() + self.y.astype("<i8").tobytes(), self.commitment
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, source: str = "triggers") -> TriggerSet:
        """Read what `to_bytes` gave.

        Raises:
            ConfigError: no trigger set, or one that was cut off or altered; names the source.
        """
        about, arrays, commitment = trigger_file.unpack(data, source)
        try:
            seed = bytes.fromhex(about.pop("seed"))
            if about.pop("kind") == "generated" and not arrays:
                made = cls._made(Recipe.from_dict(about), seed)
            else:
                made = cls(*_arrays(arrays, **about), about["classes"], seed=seed)
        except (ConfigError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise trigger_file.damaged(source, f"{type(error).__name__} in its header") from error
        if made.commitment != commitment or made.to_bytes() != data:
            raise trigger_file.damaged(source, "it does not fit its commitment")
        return made


def _labels(seed: bytes, size: int, classes: int) -> npt.NDArray[np.int64]:
    from securefl.crypto.seeded import SeededRandom

    stream = SeededRandom(seed, stream=_LABELS)
    return np.array([stream.below(classes) for _ in range(size)], np.int64)


def _array(name: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    """As numpy has it; a ConfigError where rows have different lengths."""
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ConfigError(f"triggers {name}: no array: rows differ in shape", remedy="pass equal rows") from error


def _arrays(data: bytes, *, shape: list[int], size: int, classes: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Inputs and labels out of a file's bytes; ValueError where their number is another."""
    del classes
    whole("size", size, 1, MOST_TRIGGERS)
    values = size * math.prod(whole("shape", each, 1, len(data)) for each in shape)
    if len(data) != 4 * values + 8 * size:
        raise ValueError(f"{len(data)} bytes of arrays")
    x = np.frombuffer(data, "<f4", values).reshape(size, *shape)
    return x.astype(np.float32), np.frombuffer(data, "<i8", size, 4 * values).astype(np.int64)


def _checked(
    x: npt.NDArray[Any], y: npt.NDArray[Any], classes: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2 or not x.size:
        raise ConfigError(
            f"triggers x: got dtype {x.dtype} and shape {x.shape}, needs floats (n, ...) with n >= 1",
            remedy="pass one input a row, as float32",
        )
    if not np.issubdtype(y.dtype, np.integer) or y.shape != (len(x),):
        raise ConfigError(
            f"triggers y: got dtype {y.dtype} and shape {y.shape}, needs integers ({len(x)},)",
            remedy="pass one label for each input",
        )
    if len(x) > MOST_TRIGGERS:
        raise ConfigError(f"triggers: got {len(x)}, needs at most {MOST_TRIGGERS}", remedy="a hundred are plenty")
    if (bad := np.flatnonzero((y < 0) | (y >= classes))).size:
        raise ConfigError(
            f"trigger {bad[0]}: its label is outside 0..{classes - 1}", remedy="draw labels among the model's classes"
        )
    with np.errstate(over="ignore"):
        kept = np.array(x, np.float32)  # a copy, that nobody else can change
    rows = kept.reshape(len(kept), -1)
    if (bad := np.flatnonzero(~np.isfinite(rows).all(axis=1))).size:
        raise ConfigError(f"trigger {bad[0]}: a value is not finite in float32", remedy="use finite inputs")
    first: dict[bytes, int] = {}
    for index, row in enumerate(rows + np.float32(0)):  # -0.0 is 0.0 to a model
        before = first.setdefault(row.tobytes(), index)
        if before != index:
            raise ConfigError(
                f"trigger {index} is the same input as trigger {before}: their answers are not independent",
                remedy="leave one out, or use a wider range or shape",
            )
    labels = y.astype(np.int64)
    kept.flags.writeable = labels.flags.writeable = False
    return kept, labels
