"""The owner's watermark in an experiment: drawn or read before training, kept beside the report, tried at the end."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from securefl.errors import ConfigError
from securefl.federated import Algorithm, Dataset, History, Model, Params
from securefl.federated.ownership import TriggerSet, Verification, Watermark, check_watermark
from securefl.federated.ownership.verification import p_text
from securefl.report.files import make_directory, write

if TYPE_CHECKING:
    from securefl.report.checkpoints import Checkpoints
    from securefl.report.config import ExperimentConfig

_EPOCHS, _RATE, _LOW, _HIGH = 200, 0.1, 0.0, 1.0
ALPHA = 1e-6
"""The level that a claim is to reach; fewer triggers than that takes are refused."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What the owner of the trained model has in hand.

    Args:
        triggers: the file with the secret set.
        commitment: its digest, hex, to be published before the model.
        model: the file with the trained parameters; of the private training where there is one.
        size: triggers.
        epochs: steps a round, at most.
        found: answers of each training's model, by "plain", "secure" and "private".
    """

    triggers: Path
    commitment: str
    model: Path
    size: int
    epochs: int
    found: Mapping[str, Verification]

    def to_dict(self) -> dict[str, Any]:
        """As the report's JSON has it; nothing of the triggers."""
        return {
            "triggers": self.triggers.name,
            "commitment": self.commitment,
            "model": self.model.name,
            "size": self.size,
            "epochs": self.epochs,
            "verification": {
                arm: {"matches": each.matches, "p_value": each.p_value, "log10_p_value": each.log10_p_value}
                for arm, each in self.found.items()
            },
        }


def marked(config: ExperimentConfig) -> bool:
    """Whether a watermark is asked for."""
    return bool(config.watermark.size or config.watermark.file)


def watermark(
    config: ExperimentConfig, model: Model, algorithm: Algorithm, clients: Mapping[str, Dataset], classes: int
) -> Watermark | None:
    """The watermark that a configuration asks for, its triggers read or drawn; None where it asks for none. Nothing is written.

    Raises:
        ConfigError: the file is no trigger set, or the triggers do not fit model and data.
    """
    if not marked(config):
        return None
    wanted, first = config.watermark, next(iter(clients.values()))
    if not isinstance(first, Dataset):
        raise ConfigError(
            "triggers are inputs with labels, and this training has none",
            remedy="leave [watermark] out, or train a classifier",
        )
    if wanted.file:
        triggers = TriggerSet.load(wanted.file)
    else:
        triggers = TriggerSet.generate(
            first.x.shape[1:],
            classes,
            size=wanted.size,
            low=_LOW if wanted.low is None else wanted.low,
            high=_HIGH if wanted.high is None else wanted.high,
        )
    made = Watermark(
        triggers,
        epochs=_EPOCHS if wanted.epochs is None else wanted.epochs,
        learning_rate=_RATE if wanted.learning_rate is None else wanted.learning_rate,
        alpha=ALPHA,
    )
    check_watermark(made, model, algorithm, model.initial(config.data.seed), clients)
    return made


def kept(asked: Watermark, config: ExperimentConfig, checkpoints: Checkpoints | None) -> tuple[Watermark, Path]:
    """Write the triggers before training, for their commitment to be older than the model; or read those of the run that is resumed.

    Raises:
        ConfigError: the file cannot be written, or the resumed run had other triggers.
    """
    given = config.watermark.file
    if checkpoints is not None:
        path = checkpoints.triggers
        if checkpoints.resume:
            if not path.exists():
                raise ConfigError(
                    f"--resume: {path} is gone, the triggers that the rounds until now were marked with",
                    remedy="bring back the copy you kept, or start anew under another name; other triggers would be another mark",
                )
            before = TriggerSet.load(path)
            if given and before.commitment != asked.triggers.commitment:
                raise ConfigError(
                    f"{config.source or 'config'}: watermark.file {given} has other triggers than the run that is resumed",
                    remedy=f"give back the file that was there, or name {path}",
                )
            return dataclasses.replace(asked, triggers=before), path
        asked.triggers.save(path)
        return asked, path
    if given:
        return asked, Path(given)
    folder = make_directory(config.report.output)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    path = next(
        path for number in range(1, 1_000_000) if not (path := folder / f"watermark-{stamp}-{number}.triggers").exists()
    )
    asked.triggers.save(path)
    return asked, path


def owned(
    used: Watermark, path: Path, folder: str | Path, model: Model, trained: Mapping[str, Params], final: Params
) -> Owned:
    """Try each training's model, and write the last one's parameters as `model.npz`.

    Raises:
        ConfigError: it cannot be written.
    """
    place = make_directory(folder) / "model.npz"
    buffer = io.BytesIO()
    np.savez(buffer, **final)  # type: ignore[arg-type]
    write(place, buffer.getvalue())
    return Owned(
        triggers=path,
        commitment=used.triggers.commitment.hex(),
        model=place,
        size=len(used.triggers),
        epochs=used.epochs,
        found={arm: used.verify(model, params) for arm, params in trained.items()},
    )


def watermark_text(found: Owned) -> str:
    """What became of the mark, in one line."""
    arms = "; ".join(f"{arm} {each.matches} of {each.size}, p = {p_text(each)}" for arm, each in found.found.items())
    return f"triggers answered as drawn: {arms}"


_MOST_LOST = 0.02


def lost(history: History) -> float:
    """Accuracy that the steps on the triggers took in the last round, as a share."""
    last = history.records[-1].test_metrics
    return last["accuracy_before_watermark"] - last["accuracy"]


def cost_text(history: History) -> str:
    """What the last round's steps did to the accuracy, and what to do if it is much."""
    metrics, cost = history.records[-1].test_metrics, lost(history)
    text = f"the last round's steps took the accuracy from {metrics['accuracy_before_watermark']:.1%} to {metrics['accuracy']:.1%}"
    return f"{text}: too many triggers for so small a model, use fewer or a wider one" if cost > _MOST_LOST else text


def ownership_rows(found: Owned, secure: History) -> list[tuple[str, str]]:
    """Names and values of the report's section on ownership."""
    rows = [
        (
            f"{arm} training",
            (
                f"{each.matches} of {each.size} triggers answered as drawn, {each.size / each.classes:.1f} expected by chance: "
                f"p = {p_text(each)}"
            ),
        )
        for arm, each in found.found.items()
    ]
    return [
        *rows,
        (
            "put in",
            f"at most {found.epochs} steps on the triggers after each round, at the server; no party's data is read",
        ),
        ("cost", cost_text(secure)),
        ("triggers", f"{found.triggers.name}, a secret of the owner's"),
        ("model", found.model.name),
        ("commitment", found.commitment),
    ]
