"""A training run on disk, whole after every round, to go on from after a crash.

    federation.fit(rounds=30, checkpoint="run.ckpt")     # killed in round 17
    federation.resume("run.ckpt").fit(rounds=14, checkpoint="run.ckpt")

A checkpoint holds what every party kept to itself, because a simulation has it all in one place: keep it as you keep the data. It
holds no key and no secret of a protocol. It is arrays and JSON, never pickle.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.history import History
from securefl.federated.models import Params
from securefl.federated.state import TrainingState

_VERSION: Final = 1
_ABOUT: Final = "about"


def save(
    path: str | Path,
    state: TrainingState,
    *,
    parties: Sequence[str],
    ledger: Path | None = None,
    watermark: bytes | None = None,
) -> None:
    """Write a checkpoint; a crash on the way leaves the one before.

    Args:
        path: where.
        state: what to keep.
        parties: names, in order.
        ledger: the privacy ledger of the run; only its number of bytes is kept, to notice one that was cut off.
        watermark: the commitment to the owner's triggers, which tells nothing of them.

    Raises:
        ConfigError: it cannot be written.
    """
    path = Path(path)
    about = {
        "version": _VERSION,
        "parties": list(parties),
        "memories": sorted(state.memories),
        "server": state.server is not None,
        "history": state.history.to_dict(),
        "ledger_bytes": ledger.stat().st_size if ledger is not None and ledger.exists() else None,
        "watermark": None if watermark is None else watermark.hex(),
    }
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(buffer, **{_ABOUT: text, **state.arrays()})  # type: ignore[arg-type]
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"the checkpoint {path} cannot be written: {error}", remedy="give another place") from error


def load(
    path: str | Path, *, parties: Sequence[str], ledger: Path | None = None, watermark: bytes | None = None
) -> TrainingState:
    """Read what `save` wrote.

    Raises:
        ConfigError: no checkpoint, a damaged one, one of other parties or other triggers, or a ledger that lost entries since.
    """
    path = Path(path)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about: dict[str, Any] = json.loads(arrays.pop(_ABOUT).tobytes())
        history = History.from_dict(about["history"])
        state = TrainingState(
            params=_part(arrays, "params/"),
            server=_part(arrays, "server/") if about["server"] else None,
            broadcast=_part(arrays, "broadcast/"),
            memories={party: _part(arrays, f"memory/{party}/") for party in about["memories"]},
            history=history,
        )
        version, names, written = about["version"], about["parties"], about["ledger_bytes"]
        marked = about.get("watermark")  # older ones do not say
    except FileNotFoundError as error:
        raise ConfigError(f"the checkpoint {path} is missing", remedy="start without resume") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{path} is no checkpoint, or a damaged one: {type(error).__name__}", remedy="start without resume"
        ) from error
    if version != _VERSION:
        raise ConfigError(f"{path} is of version {version}, this library reads {_VERSION}", remedy="update securefl")
    if names != list(parties):
        raise ConfigError(
            f"{path} is of a training of {', '.join(names[:8])}", remedy="give the parties of that run, in its order"
        )
    if written is not None and (ledger is None or not ledger.exists() or ledger.stat().st_size < written):
        raise ConfigError(
            f"the run of {path} has entered {written} bytes in a privacy ledger, which is missing or shorter now",
            remedy="bring the ledger back: without it what was spent would be forgotten",
        )
    if marked != (None if watermark is None else watermark.hex()):
        kind = "no watermark" if marked is None else "the watermark of one set of triggers"
        asked = "none" if watermark is None else "one" if marked is None else "that of another"
        raise ConfigError(
            f"the run of {path} was to carry {kind}, this one is to carry {asked}",
            remedy="give the watermark of that run: triggers that come and go mark nothing",
        )
    return state


def _part(arrays: dict[str, np.ndarray], prefix: str) -> Params:
    return {name.removeprefix(prefix): leaf for name, leaf in arrays.items() if name.startswith(prefix)}
