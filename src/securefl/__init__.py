"""securefl: parties who trust neither each other nor the server compute the sum of their vectors.

The names below load when they are first used, so that `import securefl` stays quick and pulls in neither torch nor flwr.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from securefl import dp as dp
    from securefl import paillier as paillier
    from securefl.crypto.signing import SigningKey as SigningKey
    from securefl.dp.clipping import LayerClip as LayerClip
    from securefl.dp.ledger import Budget as Budget
    from securefl.dp.ledger import PrivacyBudgetError as PrivacyBudgetError
    from securefl.dp.ledger import PrivacyLedger as PrivacyLedger
    from securefl.dp.mechanisms import CentralDiscreteGaussian as CentralDiscreteGaussian
    from securefl.dp.mechanisms import DistributedDiscreteGaussian as DistributedDiscreteGaussian
    from securefl.dp.mechanisms import DistributedSkellam as DistributedSkellam
    from securefl.dp.mechanisms import LocalDiscreteGaussian as LocalDiscreteGaussian
    from securefl.dp.mechanisms import QuantileClip as QuantileClip
    from securefl.dp.modular_grid import ModularGrid as ModularGrid
    from securefl.encoding.fixed_point import FixedPoint as FixedPoint
    from securefl.engines import faults as faults
    from securefl.engines.aggregate import aggregate as aggregate
    from securefl.engines.cohorts import CohortsResult as CohortsResult
    from securefl.engines.cohorts import aggregate_cohorts as aggregate_cohorts
    from securefl.engines.memory import MemorySession as MemorySession
    from securefl.errors import BelowThresholdError as BelowThresholdError
    from securefl.errors import ConfigError as ConfigError
    from securefl.errors import CryptoError as CryptoError
    from securefl.errors import EncodingError as EncodingError
    from securefl.errors import LayoutMismatchError as LayoutMismatchError
    from securefl.errors import LocalProtocolError as LocalProtocolError
    from securefl.errors import MalformedMessageError as MalformedMessageError
    from securefl.errors import NonFiniteError as NonFiniteError
    from securefl.errors import PolicyRefusedError as PolicyRefusedError
    from securefl.errors import ProtocolError as ProtocolError
    from securefl.errors import RemoteProtocolError as RemoteProtocolError
    from securefl.errors import RoundAbortedError as RoundAbortedError
    from securefl.errors import SaturationError as SaturationError
    from securefl.errors import SecretMisuseError as SecretMisuseError
    from securefl.errors import SecureFLError as SecureFLError
    from securefl.errors import UnsafePlanError as UnsafePlanError
    from securefl.federated.adversarial import AdversarialTraining as AdversarialTraining
    from securefl.federated.adversarial import LInfinity as LInfinity
    from securefl.federated.adversarial import RobustAccuracy as RobustAccuracy
    from securefl.federated.algorithms import FedAvg as FedAvg
    from securefl.federated.algorithms import FedBN as FedBN
    from securefl.federated.algorithms import FedPer as FedPer
    from securefl.federated.algorithms import FedProx as FedProx
    from securefl.federated.algorithms import RandomSubspace as RandomSubspace
    from securefl.federated.algorithms import Scaffold as Scaffold
    from securefl.federated.algorithms import Transfer as Transfer
    from securefl.federated.datasets import Dataset as Dataset
    from securefl.federated.federation import Federation as Federation
    from securefl.federated.history import History as History
    from securefl.federated.models import Perceptron as Perceptron
    from securefl.federated.models import SoftmaxRegression as SoftmaxRegression
    from securefl.federated.optimizers import FedAdagrad as FedAdagrad
    from securefl.federated.optimizers import FedAdam as FedAdam
    from securefl.federated.optimizers import FedAvgM as FedAvgM
    from securefl.federated.optimizers import FedYogi as FedYogi
    from securefl.federated.ownership import TriggerSet as TriggerSet
    from securefl.federated.ownership import Watermark as Watermark
    from securefl.federated.partition import FeatureShift as FeatureShift
    from securefl.federated.partition import dirichlet as dirichlet
    from securefl.federated.partition import iid as iid
    from securefl.federated.partition import pathological as pathological
    from securefl.federated.partition import quantity_skew as quantity_skew
    from securefl.federated.planning import plan_for as plan_for
    from securefl.federated.reinforcement import CartPole as CartPole
    from securefl.federated.reinforcement import PerceptronPolicy as PerceptronPolicy
    from securefl.federated.reinforcement import Reinforce as Reinforce
    from securefl.federated.sampling import FixedSize as FixedSize
    from securefl.federated.stopping import EarlyStop as EarlyStop
    from securefl.federated.stragglers import StragglerSchedule as StragglerSchedule
    from securefl.plan.paillier import Paillier as Paillier
    from securefl.plan.plan import Plan as Plan
    from securefl.plan.protocol import SecAgg as SecAgg
    from securefl.plan.roster import Member as Member
    from securefl.plan.roster import Roster as Roster
    from securefl.policy.model_check import ModelFloors as ModelFloors
    from securefl.policy.policy import ClientPolicy as ClientPolicy
    from securefl.records.receipt_book import ReceiptBook as ReceiptBook
    from securefl.records.used_file import UsedFile as UsedFile
    from securefl.session.client import SecAggClient as SecAggClient
    from securefl.session.key_holder import PaillierKeyHolder as PaillierKeyHolder
    from securefl.session.paillier_client import PaillierClient as PaillierClient
    from securefl.session.paillier_server import PaillierServer as PaillierServer
    from securefl.session.result import RoundResult as RoundResult
    from securefl.session.server import SecAggServer as SecAggServer
    from securefl.types import Graph as Graph
    from securefl.types import KeyModel as KeyModel
    from securefl.types import ServerModel as ServerModel
    from securefl.types import Step as Step

__version__ = "0.1.0"

_HOME = {
    "SigningKey": "securefl.crypto.signing",
    "dp": "securefl.dp",
    "Budget": "securefl.dp.ledger",
    "PrivacyBudgetError": "securefl.dp.ledger",
    "PrivacyLedger": "securefl.dp.ledger",
    "CentralDiscreteGaussian": "securefl.dp.mechanisms",
    "DistributedDiscreteGaussian": "securefl.dp.mechanisms",
    "DistributedSkellam": "securefl.dp.mechanisms",
    "LocalDiscreteGaussian": "securefl.dp.mechanisms",
    "QuantileClip": "securefl.dp.mechanisms",
    "LayerClip": "securefl.dp.clipping",
    "ModularGrid": "securefl.dp.modular_grid",
    "FixedPoint": "securefl.encoding.fixed_point",
    "faults": "securefl.engines.faults",
    "aggregate": "securefl.engines.aggregate",
    "CohortsResult": "securefl.engines.cohorts",
    "aggregate_cohorts": "securefl.engines.cohorts",
    "MemorySession": "securefl.engines.memory",
    "BelowThresholdError": "securefl.errors",
    "ConfigError": "securefl.errors",
    "CryptoError": "securefl.errors",
    "EncodingError": "securefl.errors",
    "LayoutMismatchError": "securefl.errors",
    "LocalProtocolError": "securefl.errors",
    "MalformedMessageError": "securefl.errors",
    "NonFiniteError": "securefl.errors",
    "PolicyRefusedError": "securefl.errors",
    "ProtocolError": "securefl.errors",
    "RemoteProtocolError": "securefl.errors",
    "RoundAbortedError": "securefl.errors",
    "SaturationError": "securefl.errors",
    "SecretMisuseError": "securefl.errors",
    "SecureFLError": "securefl.errors",
    "UnsafePlanError": "securefl.errors",
    "AdversarialTraining": "securefl.federated.adversarial",
    "LInfinity": "securefl.federated.adversarial",
    "RobustAccuracy": "securefl.federated.adversarial",
    "FedAvg": "securefl.federated.algorithms",
    "FedBN": "securefl.federated.algorithms",
    "FedPer": "securefl.federated.algorithms",
    "FedProx": "securefl.federated.algorithms",
    "RandomSubspace": "securefl.federated.algorithms",
    "Scaffold": "securefl.federated.algorithms",
    "Transfer": "securefl.federated.algorithms",
    "Dataset": "securefl.federated.datasets",
    "Federation": "securefl.federated.federation",
    "History": "securefl.federated.history",
    "Perceptron": "securefl.federated.models",
    "SoftmaxRegression": "securefl.federated.models",
    "FedAdagrad": "securefl.federated.optimizers",
    "FedAdam": "securefl.federated.optimizers",
    "FedAvgM": "securefl.federated.optimizers",
    "FedYogi": "securefl.federated.optimizers",
    "TriggerSet": "securefl.federated.ownership",
    "Watermark": "securefl.federated.ownership",
    "FeatureShift": "securefl.federated.partition",
    "dirichlet": "securefl.federated.partition",
    "iid": "securefl.federated.partition",
    "pathological": "securefl.federated.partition",
    "quantity_skew": "securefl.federated.partition",
    "plan_for": "securefl.federated.planning",
    "CartPole": "securefl.federated.reinforcement",
    "PerceptronPolicy": "securefl.federated.reinforcement",
    "Reinforce": "securefl.federated.reinforcement",
    "FixedSize": "securefl.federated.sampling",
    "EarlyStop": "securefl.federated.stopping",
    "StragglerSchedule": "securefl.federated.stragglers",
    "paillier": "securefl.paillier",
    "Paillier": "securefl.plan.paillier",
    "Plan": "securefl.plan.plan",
    "SecAgg": "securefl.plan.protocol",
    "Member": "securefl.plan.roster",
    "Roster": "securefl.plan.roster",
    "ClientPolicy": "securefl.policy.policy",
    "ModelFloors": "securefl.policy.model_check",
    "SecAggClient": "securefl.session.client",
    "PaillierClient": "securefl.session.paillier_client",
    "PaillierKeyHolder": "securefl.session.key_holder",
    "PaillierServer": "securefl.session.paillier_server",
    "RoundResult": "securefl.session.result",
    "ReceiptBook": "securefl.records.receipt_book",
    "SecAggServer": "securefl.session.server",
    "UsedFile": "securefl.records.used_file",
    "Graph": "securefl.types",
    "KeyModel": "securefl.types",
    "ServerModel": "securefl.types",
    "Step": "securefl.types",
}
"""The public names and the modules that they live in; mirrored above for type checkers, and a test compares both."""

_NEEDS_GMPY2 = {"PaillierClient", "PaillierKeyHolder", "PaillierServer", "paillier"}
"""What loads the extra `paillier`, and so is not imported by a star."""

__all__ = ["__version__", *sorted(_HOME.keys() - _NEEDS_GMPY2)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'securefl' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = module if name in {"dp", "faults", "paillier"} else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(["__version__", *_HOME])
