"""Federated reinforcement learning: a party's data is its environment, and what travels is the change of a shared policy.

A federation of three planets, tested on a fourth:

    clients = {f"party-{i}": CartPole(16, gravity=g) for i, g in enumerate((4.0, 9.8, 20.0))}
    policy = PerceptronPolicy()
    plan = plan_for(policy, clients)
    Federation(policy, clients, plan=plan, algorithm=Reinforce(), test=CartPole(16, gravity=15.0)).fit(20)
"""

from __future__ import annotations

from securefl.federated.reinforcement.cartpole import CartPole
from securefl.federated.reinforcement.environment import Box, Discrete, PartyData, VectorEnvironment, weight_of
from securefl.federated.reinforcement.policy import PerceptronPolicy, Policy
from securefl.federated.reinforcement.reinforce import Reinforce, advantages
from securefl.federated.reinforcement.rollout import Episodes, mean_return, play

__all__ = [
    "Box",
    "CartPole",
    "Discrete",
    "Episodes",
    "PartyData",
    "PerceptronPolicy",
    "Policy",
    "Reinforce",
    "VectorEnvironment",
    "advantages",
    "mean_return",
    "play",
    "weight_of",
]
