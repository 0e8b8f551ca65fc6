"""An experiment as a TOML file: what is learned, plan, faults and report, each with defaults that make a good start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from securefl.report.adversarial_table import AdversarialConfig
from securefl.report.files import read_text
from securefl.report.learning_tables import (
    DataConfig,
    ModelConfig,
    RobustConfig,
    SamplingConfig,
    StragglersConfig,
    TrainingConfig,
    WatermarkConfig,
)
from securefl.report.tables import Fraction, Natural, Positive, Table
from securefl.report.toml_schema import convert

__all__ = [
    "STEPS",
    "AdversarialConfig",
    "DataConfig",
    "ExperimentConfig",
    "FaultsConfig",
    "ModelConfig",
    "PaillierConfig",
    "PlanConfig",
    "PrivacyConfig",
    "ReportConfig",
    "RobustConfig",
    "SamplingConfig",
    "StragglersConfig",
    "TrainingConfig",
    "WatermarkConfig",
]

_Step = Literal["advertise", "share_keys", "masked_input", "consistency", "unmask"]

STEPS: tuple[_Step, ...] = ("advertise", "share_keys", "masked_input", "consistency", "unmask")


class PlanConfig(Table, frozen=True):
    """`[plan]`: how the sum is protected; what is left out is computed.

    Args:
        server: what the server is assumed to do.
        threshold: shares that rebuild a secret.
        max_colluders: parties that may collude with the server.
        dropout: share of the parties that a round must be able to lose; by default that of `[faults]`, and with it who misses the
            deadline by `[stragglers]`.
        min_survivors: the least number of vectors in a sum.
        value_bits: bits of one encoded value.
        bound: largest absolute value of an update's coordinate.
        purpose: what the sum is for; a party's policy may demand it.
    """

    server: Literal["active", "semi-honest"] = "active"
    threshold: Natural | None = None
    max_colluders: Natural | None = None
    dropout: Fraction | None = None
    min_survivors: Natural | None = None
    value_bits: Annotated[int, msgspec.Meta(ge=4, le=32)] = 16
    bound: Positive = 4.0
    purpose: Annotated[str, msgspec.Meta(max_length=256)] = ""


class PrivacyConfig(Table, frozen=True):
    """`[privacy]`: differential privacy of the parties, trained beside the secure run; none unless a mechanism is named.

    Args:
        mechanism: who adds which noise.
        epsilon: what all rounds together may cost; the noise follows from it.
        delta: at which; well below one over the number of parties.
        clip: C, the bound on the norm of a party's update.
        adaptive: let the clip follow the median norm, from `clip` on.
        ring_bits: bits of a value on the wire.
        max_dropouts: J of XNoise, for distributed-skellam; 0 sizes the noise for the floor.
        max_colluders: parties who may tell the adversary their noise; 5 % unless given.
        unit: whose influence is bounded.
    """

    mechanism: Literal[
        "none",
        "distributed-discrete-gaussian",
        "distributed-skellam",
        "central-discrete-gaussian",
        "local-discrete-gaussian",
    ] = "none"
    epsilon: Positive = 8.0
    delta: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 1e-3
    clip: Positive = 1.0
    adaptive: bool = False
    ring_bits: Annotated[int, msgspec.Meta(ge=8, le=32)] = 16
    max_dropouts: Natural = 0
    max_colluders: Natural | None = None
    unit: Literal["party", "user", "organisation", "device"] = "party"


class PaillierConfig(Table, frozen=True):
    """`[paillier]`: sums under a Paillier key in place of masks, for the secure and the private training.

    Args:
        holder: who has the key: "none" (there is none: masks), "separate" (neither the server nor a party), "clients" (all
            parties) or "threshold" (a trusted dealer deals it to the parties, `threshold` of whom decrypt together).
        bits: of a key that is made for the rehearsal.
        audited: the holder adds signed ciphertexts itself, and need not believe the server; needed where `[plan]` has an active one.
        randomness: of ciphertexts; "short" rests on an assumption more.
        threshold: t, for "threshold" only; by default the smallest majority, of all parties and the colluders.
        key: a file of `securefl keygen --paillier`; empty for a fresh key that nobody keeps. With a public one there are plans, but
            no training.
        key_password_file: the file with the password of a private `key`.
    """

    holder: Literal["none", "separate", "clients", "threshold"] = "none"
    bits: Annotated[int, msgspec.Meta(ge=2048, le=16384, multiple_of=16)] = 3072
    audited: bool = False
    randomness: Literal["djn", "standard", "short"] = "djn"
    threshold: Annotated[int, msgspec.Meta(ge=2, le=256)] | None = None
    key: str = ""
    key_password_file: str = ""


class FaultsConfig(Table, frozen=True):
    """`[faults]`: who leaves in a rehearsal.

    Args:
        dropout: share of the parties that leave each round.
        steps: the steps that they fail to complete, taken in turn.
        seed: of the choice; by default that of `[data]`.
    """

    dropout: Fraction = 0.1
    steps: Annotated[tuple[_Step, ...], msgspec.Meta(min_length=1)] = STEPS
    seed: Natural | None = None


class ReportConfig(Table, frozen=True):
    """`[report]`: where the report goes, and whether plain averaging is trained beside for comparison."""

    output: Annotated[str, msgspec.Meta(min_length=1)] = "securefl-report"
    compare_plain: bool = True


class _Tables(Table, frozen=True):
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    sampling: SamplingConfig = SamplingConfig()
    stragglers: StragglersConfig = StragglersConfig()
    robust: RobustConfig = RobustConfig()
    adversarial: AdversarialConfig = AdversarialConfig()
    plan: PlanConfig = PlanConfig()
    paillier: PaillierConfig = PaillierConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    faults: FaultsConfig = FaultsConfig()
    watermark: WatermarkConfig = WatermarkConfig()
    report: ReportConfig = ReportConfig()


class ExperimentConfig(_Tables, frozen=True):
    """A whole experiment; without arguments it is that of `examples/digits.toml`.

        config = ExperimentConfig.load("examples/digits.toml")

    Args:
        source: the file that it was read from, for errors; empty for none.
    """

    source: str = ""

    @classmethod
    def from_toml(cls, text: str, *, source: str = "config") -> ExperimentConfig:
        """The experiment in a TOML text.

        Raises:
            ConfigError: not TOML, an unknown table or key, or a value of another type or out of range; names the line.
        """
        tables = convert(text, source=source, shape=_Tables)
        return cls(**{name: getattr(tables, name) for name in tables.__struct_fields__}, source=source)

    @classmethod
    def load(cls, path: str | Path) -> ExperimentConfig:
        """The experiment in a file.

        Raises:
            ConfigError: it cannot be read, or as `from_toml`.
        """
        text = read_text(path, what="configuration", remedy="write one with `securefl init`")
        return cls.from_toml(text, source=str(path))

    def to_dict(self) -> dict[str, object]:
        """The tables as JSON has them."""
        tables: dict[str, object] = msgspec.to_builtins(self)
        del tables["source"]
        return tables
