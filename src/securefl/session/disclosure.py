"""Who learns what in a round, from the plan alone: the same rows stand in SECURITY.md and in every report."""

from __future__ import annotations

import dataclasses

from securefl.plan import Plan
from securefl.secagg.k_regular import SIGMA
from securefl.types import Graph


@dataclasses.dataclass(frozen=True, slots=True)
class Disclosure:
    """One row: a thing, who learns it, and under which condition."""

    what: str
    who: str


def disclosures(plan: Plan) -> list[Disclosure]:
    """The rows for a plan of pairwise-mask secure aggregation."""
    chosen = plan.parameters
    allies = f"{chosen.max_colluders} {'party' if chosen.max_colluders == 1 else 'parties'}"
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
        Disclosure("when each party answered, and how long its messages are", "the server and the network"),
    ]
    if plan.weighted:
        rows.append(Disclosure("the sum of the weights", "the server; one party's weight is hidden as its vector is"))
    if plan.metrics:
        rows.append(
            Disclosure(
                f"the weighted means of {', '.join(plan.metrics)}",
                "the server; one party's are hidden as its vector is",
            )
        )
    rows.append(Disclosure("what the sum itself says about one party", _limits(plan)))
    if not chosen.active:
        rows.append(
            Disclosure(
                "all of the above", "a server that deviates from the protocol; plan for an active server if it might"
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
        return f"limited for whoever sees the result: {what}; not for the server, which adds the noise and sees the sum without it"
    return (
        f"limited, for ever and for everybody: {what}, while at most {_parties(floor.colluders)} theirs; rounds add up"
    )


def _parties(count: int) -> str:
    return "1 party reveals" if count == 1 else f"{count} parties reveal"
