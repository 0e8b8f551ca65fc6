"""The report as one page: no scripts, nothing loaded from elsewhere, every text escaped."""

from __future__ import annotations

import dataclasses
from typing import Any

from securefl.dp.accounting.floats import printed
from securefl.errors import ConfigError
from securefl.federated.history import size_text
from securefl.pipeline.private import release_of
from securefl.plan.privacy import counted_from
from securefl.report import plots, summary
from securefl.report.environment import machine, versions
from securefl.report.experiment import ExperimentResult, PrivateRun
from securefl.report.limits import SIMULATED, limits
from securefl.session.disclosure import disclosures


@dataclasses.dataclass(frozen=True, slots=True)
class Tile:
    """One key number."""

    value: str
    label: str
    note: str = ""


def render(result: ExperimentResult, *, title: str) -> str:
    """The page.

    Raises:
        ConfigError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
        from markupsafe import Markup
    except ImportError as error:
        raise ConfigError(
            "the report needs jinja2, which is not installed", remedy="pip install 'securefl[cli]'"
        ) from error
    environment = Environment(
        loader=PackageLoader("securefl.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Both come from this package: the plots escape the names in them, and the style sheet is a file beside the template.
    figures = {name: Markup(svg) for name, svg in _figures(result).items()}  # noqa: S704
    style = Markup(environment.get_template("report.css").render())  # noqa: S704
    return environment.get_template("report.html.j2").render(
        title=title, style=style, figures=figures, **_context(result)
    )


def _figures(result: ExperimentResult) -> dict[str, str]:
    secure = result.secure
    shape = {"parties": len(result.parties), "rounds": len(secure)}
    run = result.private
    private = (
        {}
        if run is None or result.config is None
        else {"epsilon": plots.epsilon(run.history, result.config.privacy.epsilon)}
    )
    return {
        **private,
        "accuracy": plots.accuracy(secure, result.plain, None if run is None else run.history),
        "bytes": plots.bytes_by_step(summary.bytes_by_step(secure), **shape),
        "seconds": plots.seconds_by_step(
            summary.seconds_by_step(secure), training=summary.train_seconds(secure), **shape
        ),
        "dropouts": plots.dropouts(secure, list(result.parties)),
    }


def _context(result: ExperimentResult) -> dict[str, Any]:
    chosen = result.plan.parameters
    return {
        "lead": _lead(result),
        "tiles": _tiles(result),
        "compared": result.plain is not None,
        "dropouts": {plots.STEP_NAMES[step]: n for step, n in summary.dropouts_by_step(result.secure).items()},
        "plan": _plan_rows(result),
        "explanation": chosen.explanation,
        "disclosures": disclosures(result.plan if result.private is None else result.private.plan),
        "limits": limits(result.plan if result.private is None else result.private.plan),
        "privacy": [] if result.private is None else _privacy_rows(result.private),
        "refusals": result.refusals,
        "saturated": f"{result.saturated} ({result.saturated_share:.1%})" if result.saturated else "",
        "simulated": SIMULATED,
        "versions": versions(),
        "machine": machine(),
    }


def _lead(result: ExperimentResult) -> str:
    chosen, rounds = result.plan.parameters, len(result.secure)
    server = "a server that breaks the protocol" if chosen.active else "a server that follows the protocol"
    helpers = f" together with {chosen.max_colluders} of them" if chosen.max_colluders else ""
    return (
        f"{chosen.parties} parties trained one model in {rounds} round{'s' if rounds != 1 else ''}. "
        f"No one but a party itself can see its updates, not even {server}{helpers}."
    )


def _tiles(result: ExperimentResult) -> list[Tile]:
    secure, plain = result.secure, result.plain
    per_party = summary.bytes_up(secure) / (len(result.parties) * len(secure))
    tiles = [Tile(f"{secure.accuracy:.1%}", "test accuracy, secure")]
    if plain is not None and result.difference is not None:
        tiles.append(
            Tile(f"{100 * result.difference:+.2f}", "points against plain FedAvg", f"plain: {plain.accuracy:.1%}")
        )
    ratio = (
        f"{summary.bytes_up(secure) / summary.bytes_up(plain):.1f} × plain" if plain and summary.bytes_up(plain) else ""
    )
    lost = sum(len(record.dropped) for record in secure)
    if (run := result.private) is not None:
        tiles.append(Tile(f"{run.history.accuracy:.1%}", "test accuracy, private", "secure and differentially private"))
        tiles.append(
            Tile(
                printed(run.spent.observer, 2),
                "epsilon",
                f"{printed(run.spent.server, 2)} against the server; delta {run.spent.delta:g}",
            )
        )
    return [
        *tiles,
        Tile(size_text(round(per_party)), "up, per party and round", ratio),
        Tile(f"{1000 * result.secure_seconds / len(secure):.0f} ms", "per round", "all parties on this machine"),
        Tile(str(lost), "dropouts survived", f"in {len(secure)} rounds"),
    ]


def _privacy_rows(run: PrivateRun) -> list[tuple[str, str]]:
    release = release_of(run.plan)
    asked, floor = release.mechanism, release.floor
    return [
        ("epsilon against the server", f"{printed(run.spent.server)} at delta {run.spent.delta:g}"),
        ("epsilon against observers", f"{printed(run.spent.observer)} at delta {run.spent.delta:g}"),
        (
            "about",
            f"one {asked.unit}, {asked.relation}; all {len(run.history)} rounds together, by Renyi differential privacy",
        ),
        ("noise", f"{asked.kind}, {release.noise_multiplier:.4g} times the sensitivity in each round"),
        ("counted", counted_from(release)),
        ("clip", f"{release.clip:.4g}; {run.clipped} of {len(run.history) * floor.parties} vectors were longer"),
        (
            "grid",
            f"{release.scale:.5g} points a unit, ring of {run.plan.ring.bits} bits, {release.dimension} coordinates",
        ),
        ("mean", f"the noisy sum over {release.denominator:g}, with noise of {release.noise_std:.3g} in each value"),
        ("ledger", run.ledger.name),
    ]


def _plan_rows(result: ExperimentResult) -> list[tuple[str, str]]:
    plan, chosen = result.plan, result.plan.parameters
    return [
        ("protocol", f"pairwise-mask secure aggregation on the {chosen.graph} graph"),
        ("server", f"{chosen.server}" + (" (may deviate in any way)" if chosen.active else " (follows the protocol)")),
        (
            "parties",
            f"{chosen.parties}, {min(result.parties.values())} to {max(result.parties.values())} examples each",
        ),
        ("threshold", f"{chosen.threshold} shares rebuild a secret; {chosen.quorum} parties must stay to the end"),
        ("colluders", f"at most {chosen.max_colluders}"),
        ("floor", f"a sum holds at least {chosen.min_survivors} vectors"),
        (
            "encoding",
            (
                f"{plan.layout.size} values of {plan.fixed_point.value_bits} bits on ±{plan.fixed_point.bound:g}, "
                f"weights up to {plan.max_weight}; error of the mean below {plan.fixed_point.error_bound:.2g}"
            ),
        ),
        ("ring", f"{plan.ring.bits} bits, {plan.masked_bytes} bytes a party"),
        ("purpose", plan.purpose or "none stated"),
        ("digest", plan.digest().hex()),
    ]
