"""A minimal core for federated learning: pieces that compose, with aggregation in the clear or secure.

It is made for simulations, demonstrations and tests of the protocols. Real deployments run on Flower.
"""

from __future__ import annotations

from securefl.federated.adversarial import AdversarialTraining, LInfinity, RobustAccuracy
from securefl.federated.aggregators import Aggregator, PlainAverage, RoundOutcome, SecureAverage
from securefl.federated.algorithms import (
    Algorithm,
    FedAvg,
    FedBN,
    FedPer,
    FedProx,
    LocalTask,
    LocalUpdate,
    RandomSubspace,
    Scaffold,
    TopK,
    Transfer,
)
from securefl.federated.datasets import DATASETS, Dataset, breast_cancer, digits
from securefl.federated.dropouts import DropoutSchedule, counted
from securefl.federated.federation import Federation
from securefl.federated.history import History, RoundRecord
from securefl.federated.models import Model, Params, Perceptron, SoftmaxRegression
from securefl.federated.optimizers import Averaging, FedAdagrad, FedAdam, FedAvgM, FedYogi, ServerOptimizer
from securefl.federated.ownership import TriggerSet, Verification, Watermark
from securefl.federated.partition import FeatureShift, dirichlet, iid, pathological, quantity_skew, summary
from securefl.federated.planning import plan_for, private_plan_for
from securefl.federated.reinforcement import CartPole, PerceptronPolicy, Policy, Reinforce, VectorEnvironment
from securefl.federated.sampling import Everybody, FixedSize, Poisson
from securefl.federated.stopping import EarlyStop
from securefl.federated.stragglers import StragglerSchedule

__all__ = [
    "DATASETS",
    "AdversarialTraining",
    "Aggregator",
    "Algorithm",
    "Averaging",
    "CartPole",
    "Dataset",
    "DropoutSchedule",
    "EarlyStop",
    "Everybody",
    "FeatureShift",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedBN",
    "FedPer",
    "FedProx",
    "FedYogi",
    "Federation",
    "FixedSize",
    "History",
    "LInfinity",
    "LocalTask",
    "LocalUpdate",
    "Model",
    "Params",
    "Perceptron",
    "PerceptronPolicy",
    "PlainAverage",
    "Poisson",
    "Policy",
    "RandomSubspace",
    "Reinforce",
    "RobustAccuracy",
    "RoundOutcome",
    "RoundRecord",
    "Scaffold",
    "SecureAverage",
    "ServerOptimizer",
    "SoftmaxRegression",
    "StragglerSchedule",
    "TopK",
    "Transfer",
    "TriggerSet",
    "VectorEnvironment",
    "Verification",
    "Watermark",
    "breast_cancer",
    "counted",
    "digits",
    "dirichlet",
    "iid",
    "pathological",
    "plan_for",
    "private_plan_for",
    "quantity_skew",
    "summary",
]
