"""The report as one page: no scripts, nothing loaded from elsewhere, every text escaped."""

from __future__ import annotations

import dataclasses
from typing import Any

from securefl.dp.accounting.floats import printed
from securefl.errors import ConfigError
from securefl.federated.history import size_text
from securefl.pipeline.private import release_of
from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.plan.privacy import counted_from
from securefl.report import learning_plots, plots, summary
from securefl.report.environment import machine, versions
from securefl.report.experiment import ExperimentResult, PrivateRun
from securefl.report.key_words import decrypts, hidden, key_note, plan_rows, step_names
from securefl.report.learning_words import algorithm_name, learning_rows, times_text
from securefl.report.limits import SIMULATED, limits, of_groups
from securefl.report.measure import ACCURACY
from securefl.report.ownership import ALPHA, ownership_rows
from securefl.report.ownership_plot import watermark as watermark_plot
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
    rounds, names = len(secure), step_names(result.plan)
    doing = summary.doing(result)
    run = result.private
    private = (
        {}
        if run is None or result.config is None
        else {"epsilon": plots.epsilon(run.history, result.config.privacy.epsilon)}
    )
    if result.owned is not None:
        arms = {"plain": result.plain, "secure": secure, "private": None if run is None else run.history}
        private["watermark"] = watermark_plot({arm: each for arm, each in arms.items() if each is not None}, ALPHA)
    names_of = list(result.parties)
    drawn = {"partition": learning_plots.partition(result.counts, names_of)} if result.counts else {}
    return {
        **private,
        **drawn,
        "rounds": learning_plots.bytes_by_round(secure, result.plain),
        "accuracy": plots.accuracy(
            secure,
            result.plain,
            None if run is None else run.history,
            algorithm=algorithm_name(result.config),
            measure=result.measure,
        ),
        "bytes": plots.bytes_by_step(summary.bytes_by_step(secure), names=names, doers=doing, rounds=rounds),
        "seconds": plots.seconds_by_step(
            summary.seconds_by_step(secure),
            training=summary.train_seconds(secure),
            names=names,
            doers=doing,
            parties=result.taking_part,
            rounds=rounds,
        ),
        "dropouts": plots.dropouts(secure, names_of, names=names, attendance=result.attendance),
    }


def _context(result: ExperimentResult) -> dict[str, Any]:
    chosen, names = result.plan.parameters, step_names(result.plan)
    return {
        "lead": _lead(result),
        "tiles": _tiles(result),
        "compared": result.plain is not None,
        "judged": result.measure.name,
        "grouped": _grouped(result),
        "learning": learning_rows(result),
        "attended": bool(result.attendance),
        "dropouts": {names[step]: n for step, n in summary.dropouts_by_step(result.secure).items()},
        "plan": _plan_rows(result),
        "explanation": chosen.explanation,
        "disclosures": disclosures(result.plan if result.private is None else result.private.plan),
        "limits": [
            *of_groups(result.plan, grouped=_grouped(result)),
            *limits(result.plan if result.private is None else result.private.plan),
        ],
        "ownership": [] if result.owned is None else ownership_rows(result.owned, result.secure),
        "privacy": [] if result.private is None else _privacy_rows(result.private),
        "refusals": result.refusals,
        "saturated": f"{result.saturated} ({result.saturated_share:.1%})" if result.saturated else "",
        "simulated": " ".join(filter(None, (SIMULATED, key_note(result.plan, result.config)))),
        "decrypts": decrypts(result.plan),
        "versions": versions(),
        "machine": machine(),
    }


def _grouped(result: ExperimentResult) -> bool:
    return result.config is not None and result.config.robust.rule != "none"


def _lead(result: ExperimentResult) -> str:
    rounds, everybody = len(result.secure), len(result.parties)
    some = f", {result.taking_part} of them in each" if result.taking_part < everybody else ""
    return f"{everybody} parties trained one model in {rounds} round{'s' if rounds != 1 else ''}{some}. " + hidden(
        result.plan
    )


def _tiles(result: ExperimentResult) -> list[Tile]:
    secure, plain = result.secure, result.plain
    per_party = summary.bytes_up_of_a_party(result) / len(secure)
    own = "of the parties' own models" if result.personal else ""
    measure = result.measure
    judged = "test accuracy" if measure is ACCURACY else measure.name
    tiles = [Tile(measure.text(measure.last(secure)), f"{judged}, secure", own)]
    if plain is not None and result.difference is not None:
        tiles.append(
            Tile(
                f"{measure.scale * result.difference:+.2f}",
                f"{measure.unit} against plain {algorithm_name(result.config)}",
                f"plain: {measure.text(measure.last(plain))}",
            )
        )
    if result.robust:
        tiles.append(Tile(f"{result.robust['secure']:.1%}", "under attack, secure", "robust accuracy"))
    ratio = (
        f"{summary.bytes_up(secure) / summary.bytes_up(plain):.1f} × plain" if plain and summary.bytes_up(plain) else ""
    )
    lost, saved = sum(len(record.dropped) for record in secure), times_text(result)
    if (run := result.private) is not None:
        tiles.append(
            Tile(measure.text(measure.last(run.history)), f"{judged}, private", "secure and differentially private")
        )
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
        *(
            [
                Tile(
                    saved.removesuffix(" less"),
                    "less on the wire" if saved.endswith("less") else "on the wire",
                    "than the whole model",
                )
            ]
            if saved
            else []
        ),
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
            f"{release.scale:.5g} points a unit, {_modulus(run.plan)}, {release.dimension} coordinates",
        ),
        ("mean", f"the noisy sum over {release.denominator:g}, with noise of {release.noise_std:.3g} in each value"),
        ("ledger", run.ledger.name),
    ]


def _modulus(plan: Plan) -> str:
    return (
        f"ring of {plan.ring.bits} bits"
        if plan.slots is None
        else f"slots of {plan.slots.slot_bits} bits in ciphertexts"
    )


def _plan_rows(result: ExperimentResult) -> list[tuple[str, str]]:
    plan, chosen = result.plan, result.plan.parameters
    under_a_key = isinstance(plan.protocol, Paillier)
    in_a_sum = f", {chosen.parties} in a sum" if chosen.parties < len(result.parties) else ""
    return [
        *(plan_rows(plan, plan.protocol) if isinstance(plan.protocol, Paillier) else _mask_rows(plan)),
        (
            "parties",
            (
                f"{len(result.parties)}{in_a_sum}, {min(result.parties.values())} to {max(result.parties.values())} "
                f"{'examples' if result.measure is ACCURACY else 'episodes a batch'} each"
            ),
        ),
        ("colluders", f"at most {chosen.max_colluders}"),
        ("floor", f"a sum holds at least {chosen.min_survivors} vectors"),
        (
            "encoding",
            (
                f"{plan.layout.size} values of {plan.fixed_point.value_bits} bits on ±{plan.fixed_point.bound:g}, "
                f"weights up to {plan.max_weight}; error of the mean below {plan.fixed_point.error_bound:.2g}"
            ),
        ),
        *([] if under_a_key else [("ring", f"{plan.ring.bits} bits, {plan.masked_bytes} bytes a party")]),
        ("purpose", plan.purpose or "none stated"),
        ("digest", plan.digest().hex()),
    ]


def _mask_rows(plan: Plan) -> list[tuple[str, str]]:
    chosen = plan.parameters
    return [
        ("protocol", f"pairwise-mask secure aggregation on the {chosen.graph} graph"),
        ("server", f"{chosen.server}" + (" (may deviate in any way)" if chosen.active else " (follows the protocol)")),
        ("threshold", f"{chosen.threshold} shares rebuild a secret; {chosen.quorum} parties must stay to the end"),
    ]
