"""The files of a run that can be resumed: a checkpoint of each training, the configuration that they belong to, and the ledger."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from securefl.errors import ConfigError
from securefl.report.config import ExperimentConfig
from securefl.report.files import read_text, write_json

_ARMS = ("plain", "secure", "private")
_MAY_DIFFER = frozenset({"report", "training.rounds", "training.early_stop", "training.patience"})
"""What a resumed run may have otherwise: it can be made longer, and its report can go elsewhere."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where a run keeps what it needs to go on after it was killed.

    A checkpoint holds what every party kept to itself, because a rehearsal has it all in one place: keep it as you keep the data.

    Args:
        path: of the secure training; the others stand beside it, and end in ".plain" and ".private".
        resume: whether to go on from there.
    """

    path: Path
    resume: bool = False

    def of(self, arm: str) -> Path:
        """The checkpoint of "plain", "secure" or "private"."""
        return self.path if arm == "secure" else self.path.with_name(f"{self.path.name}.{arm}")

    @property
    def ledger(self) -> Path:
        """The privacy ledger: one for all that is resumed, or what was spent would be forgotten."""
        return self.path.with_name(f"{self.path.name}.ledger.jsonl")

    @property
    def triggers(self) -> Path:
        """The owner's secret triggers, where there is a watermark: of one run."""
        return self.path.with_name(f"{self.path.name}.triggers")

    @property
    def settings(self) -> Path:
        """The configuration that the checkpoints belong to."""
        return self.path.with_name(f"{self.path.name}.json")

    def begin(self, config: ExperimentConfig) -> None:
        """Check what is there, before training, and note the configuration.

        Raises:
            ConfigError: files of another run would be written over, there is nothing to resume, or it had other settings.
        """
        place = config.source or "config"
        if config.privacy.adaptive:
            raise ConfigError(
                f"{place}: privacy.adaptive with --checkpoint: a clip that followed the median would begin anew when resumed",
                remedy="use a fixed clip, or run without --checkpoint",
            )
        files = (self.settings, self.ledger, self.triggers, *map(self.of, _ARMS))
        there = [path for path in files if path.exists()]
        if not self.resume:
            if there:
                raise ConfigError(
                    f"--checkpoint {self.path}: {there[0]} is there already, of an earlier run",
                    remedy="give --resume to go on with it, or another name",
                )
            if not self.path.absolute().parent.is_dir():
                raise ConfigError(f"--checkpoint {self.path}: there is no such directory", remedy="make it first")
            write_json(self.settings, config.to_dict())
            return
        if not self.settings.exists():
            raise ConfigError(
                f"--resume: {self.path} has no run to go on with", remedy="leave --resume out to start one"
            )
        self._check_settings(config, place)

    def _check_settings(self, config: ExperimentConfig, place: str) -> None:
        try:
            before = json.loads(read_text(self.settings, what="checkpoint's configuration", remedy="start anew"))
        except ValueError as error:
            raise ConfigError(
                f"{self.settings} is damaged: {error}", remedy="start anew, under another name"
            ) from error
        now = json.loads(json.dumps(config.to_dict()))
        fixed = _MAY_DIFFER - {"training.rounds"} if config.privacy.mechanism != "none" else _MAY_DIFFER
        for key, (was, is_now) in _differences(before, now).items():
            if key not in fixed and key.partition(".")[0] not in fixed:
                raise ConfigError(
                    f"{place}: {key} is {is_now!r}, and the run of {self.path} had {was!r}",
                    remedy="resume with the settings of that run, or start another",
                )


def _differences(before: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """Keys, as `table.key`, that two configurations have otherwise."""
    found: dict[str, tuple[Any, Any]] = {}
    for table in sorted({*before, *now} if isinstance(before, dict) else now):
        one = before.get(table, {}) if isinstance(before, dict) else {}
        other = now.get(table, {})
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                found[f"{table}.{key}"] = one.get(key), other.get(key)
    return found
