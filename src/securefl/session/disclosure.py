"""Who learns what in a round, from the plan alone: the same rows stand in SECURITY.md and in every report."""

from __future__ import annotations

import dataclasses

from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.secagg.k_regular import SIGMA
from securefl.types import Graph, KeyModel


@dataclasses.dataclass(frozen=True, slots=True)
class Disclosure:
    """One row: a thing, who learns it, and under which condition."""

    what: str
    who: str


def disclosures(plan: Plan) -> list[Disclosure]:
    """The rows for a plan."""
    return _under_a_key(plan, plan.protocol) if isinstance(plan.protocol, Paillier) else _under_masks(plan)


def _under_masks(plan: Plan) -> list[Disclosure]:
    """The rows for a plan of pairwise-mask secure aggregation."""
    chosen = plan.parameters
    allies = _counted(chosen.max_colluders, "party", "parties")
    if chosen.active:
        condition = f"even a server that deviates, together with at most {allies}"
        names = "the server and every party that is asked to sign or open"
    else:
        condition = f"a server that follows the protocol, together with at most {allies}"
        names = "the server and every party that is asked to open"
    if chosen.graph is Graph.K_REGULAR:
        condition += f" who do not choose their place on the graph, except with probability 2^-{SIGMA}"
        attending = [
            Disclosure("the roster, and how many advertised", "the server and every party"),
            Disclosure(
                "who advertised, and who shares masks with whom", "the server; each party knows its own neighbours"
            ),
        ]
    else:
        attending = [Disclosure("the roster, and who advertised", "the server and every party")]
    rows = [
        Disclosure("one party's vector", f"nobody: hidden from {condition}"),
        Disclosure("the sum over the survivors", f"the server; it holds at least {chosen.min_survivors} vectors"),
        Disclosure("which parties survived (U3)", names),
        *attending,
        _TRAFFIC,
        *_beside(plan),
        Disclosure("what the sum itself says about one party", _limits(plan)),
    ]
    if not chosen.active:
        rows.append(
            Disclosure(
                "all of the above", "a server that deviates from the protocol; plan for an active server if it might"
            )
        )
    return rows


def _under_a_key(plan: Plan, protocol: Paillier) -> list[Disclosure]:
    """The rows for a plan of Paillier encryption."""
    chosen = plan.parameters
    allies = _counted(chosen.max_colluders, "party", "parties")
    model = KeyModel(protocol.holder or KeyModel.SEPARATE)
    decrypts = {
        KeyModel.SEPARATE: "the key holder",
        KeyModel.CLIENTS: "the party that decrypts it",
        KeyModel.THRESHOLD: f"any {chosen.threshold} parties together",
    }[model]
    opens = {
        KeyModel.SEPARATE: "the key holder, of whatever ciphertexts it sees",
        KeyModel.CLIENTS: "any one party that sees its ciphertexts: one that sides with the server breaks everything",
        KeyModel.THRESHOLD: f"{chosen.threshold} parties that side with the server; and the dealer, who knew the key",
    }[model]
    server = "even a server that deviates" if protocol.audited else "a server that follows the protocol"
    exception = (
        Disclosure(
            "a multiple of one party's vector, within the sum",
            "the server with one party that sends another's ciphertexts multiplied: nothing proves that a sender knows what is in its own",
        )
        if protocol.audited
        else Disclosure(
            "all of the above",
            "a server that deviates: it can have one party's ciphertexts decrypted in place of the sum; "
            + ("have the key held elsewhere" if model is KeyModel.CLIENTS else "plan with audited=True")
            + " if it might",
        )
    )
    return [
        Disclosure(
            "one party's vector", f"nobody without the key: hidden from {server}, together with at most {allies}"
        ),
        Disclosure("one party's vector, with the key", opens),
        Disclosure(
            "the sum over the survivors",
            f"the server, and {decrypts}; it holds at least {chosen.min_survivors} vectors",
        ),
        Disclosure("which parties survived (U3)", f"the server, and {decrypts}"),
        Disclosure("the roster", "the server and every party"),
        _TRAFFIC,
        Disclosure("what the secrecy of ciphertexts rests on", protocol.assumption),
        *_beside(plan),
        Disclosure("what the sum itself says about one party", _limits(plan)),
        exception,
    ]


_TRAFFIC = Disclosure("when each party answered, and how long its messages are", "the server and the network")


def _beside(plan: Plan) -> list[Disclosure]:
    """What is summed beside the values."""
    rows = []
    if plan.weighted:
        rows.append(Disclosure("the sum of the weights", "the server; one party's weight is hidden as its vector is"))
    if plan.metrics:
        rows.append(
            Disclosure(
                f"the weighted means of {', '.join(plan.metrics)}",
                "the server; one party's are hidden as its vector is",
            )
        )
    return rows


def _limits(plan: Plan) -> str:
    release = plan.release
    if release is None:
        return "not limited: there is no differential privacy in this plan"
    asked, floor = release.mechanism, release.floor
    what = f"noise of {release.noise_multiplier:.4g} times the sensitivity a round, per {asked.unit} under {asked.relation}"
    if release.noise_by_server:
        who = (
            "the server, which adds the noise and sees"
            if plan.slots is None
            else "the server and who decrypts, who see"
        )
        return f"limited for whoever sees the result: {what}; not for {who} the sum without it"
    return (
        f"limited, for ever and for everybody: {what}, while at most {_parties(floor.colluders)} theirs; rounds add up"
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _parties(count: int) -> str:
    return "1 party reveals" if count == 1 else f"{count} parties reveal"
