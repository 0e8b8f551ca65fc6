"""Adversarial training: parties train on inputs that are moved, within a bound, to where the model errs most."""

from securefl.federated.adversarial.evaluation import RobustAccuracy
from securefl.federated.adversarial.gradients import GivesInputGradients, TrainsOnAttacks
from securefl.federated.adversarial.perturbation import LInfinity
from securefl.federated.adversarial.pgd import ascend, strongest
from securefl.federated.adversarial.training import AdversarialTraining

__all__ = [
    "AdversarialTraining",
    "GivesInputGradients",
    "LInfinity",
    "RobustAccuracy",
    "TrainsOnAttacks",
    "ascend",
    "strongest",
]
