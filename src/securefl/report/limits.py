"""What a plan does not protect against: said in every report, beside what it does."""

from __future__ import annotations

from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.types import KeyModel

NO_PRIVACY = "no differential privacy: nothing limits what the sums themselves say about one party"

SIMULATED = (
    "Simulated policy: every party ran in this one process and accepted just what the plan offers. "
    "Bytes and cryptography are real, separation between the parties is not."
)


def of_groups(plan: Plan, *, grouped: bool) -> list[str]:
    """What a robust rule over groups gives away, as a list of one sentence; none without groups."""
    if not grouped:
        return []
    return [
        (
            "A robust rule over groups: the server learns the mean of every group, so a party hides among the vectors of its own group, "
            f"at least {plan.parameters.min_survivors}, and not among all. Floors and colluders count per group."
        )
    ]


def limits(plan: Plan) -> list[str]:
    """What remains possible under a plan, one sentence each."""
    chosen = plan.parameters
    rows = [
        _of_the_sum(plan),
        _of_colluders(plan),
        "A party can send a wrong or poisoned update; nobody sees it, and nothing here tests it.",
        (
            "The server can end a round without a sum, and chooses who is in it: any "
            f"{chosen.min_survivors} parties or more."
        ),
        "Who took part, when each answered and how long its messages are is visible to the server and the network.",
        "A party whose own machine is broken into loses what is on it; Python cannot wipe every copy from memory.",
    ]
    if not chosen.active:
        rows.insert(
            0,
            "A server that deviates from the protocol can open single vectors: this plan assumes one that follows it. "
            + ("Plan with audited = true" if plan.slots is not None else 'Plan with server = "active"')
            + " if it might not.",
        )
    return rows


def _of_colluders(plan: Plan) -> str:
    """Who could open one party's vector together."""
    protocol, count = plan.protocol, plan.parameters.max_colluders
    if not isinstance(protocol, Paillier):
        return f"More than {count} parties together with the server may open the vector of another."
    return {
        KeyModel.SEPARATE: "The key holder and the server together can open every vector.",
        KeyModel.CLIENTS: "Any party has the key: together with the server, or the network, it can open every vector.",
        KeyModel.THRESHOLD: f"{plan.parameters.threshold} parties together with the server can open every vector; so could the dealer, "
        "who knew the key when it was made.",
    }[KeyModel(protocol.holder or KeyModel.SEPARATE)]


def _of_the_sum(plan: Plan) -> str:
    """What the results themselves say about a party."""
    release = plan.release
    if release is None:
        return (
            "The sum and the model made from it say something about each party's data: there is no differential privacy "
            "in this plan, so no epsilon bounds it."
        )
    asked = release.mechanism
    return (
        f"Epsilon bounds what the results say about one {asked.unit}, whose vector becomes zero; that it took part is no secret. "
        "It holds for everything that is released together: a second training on the same data costs again, and whoever is at "
        "several parties is protected as a group. Clip, number of rounds and model were chosen without looking at the data, or "
        "that cost is missing."
    )
