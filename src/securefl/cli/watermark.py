"""`securefl watermark`: secret triggers for a model, and whether a model knows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.main import FAILED
from securefl.cli.options import ForceOption, JsonOption, finite
from securefl.cli.screen import Screen
from securefl.errors import ConfigError
from securefl.federated.ownership import TriggerSet, verify
from securefl.federated.ownership.verification import ALPHA
from securefl.report.model_file import read_model

app = typer.Typer(
    name="watermark",
    help="Show by a p-value that a model comes from yours.",
    epilog="Example: securefl watermark make mine.triggers --shape 64 --classes 10",
    no_args_is_help=True,
)


@app.command(epilog="Example: securefl watermark make mine.triggers --shape 64 --classes 10")
def make(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the triggers go; a secret.", show_default=False)],
    *,
    shape: Annotated[str, typer.Option(metavar="N,N,...", help="Of one input, such as 64 or 3,32,32.")],
    classes: Annotated[int, typer.Option(help="Classes of the model.")],
    size: Annotated[int, typer.Option(help="How many.")] = 100,
    low: Annotated[float, typer.Option(callback=finite, help="Least value of an input.")] = 0.0,
    high: Annotated[float, typer.Option(callback=finite, help="Above the largest.")] = 1.0,
    force: ForceOption = False,
    json: JsonOption = None,
) -> None:
    """Draw random inputs and random labels, and print the commitment to publish before the model."""
    screen = Screen(json)
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", shape):
        raise typer.BadParameter(f"{shape!r} is no shape; write 64 or 3,32,32", param_hint="--shape")
    triggers = TriggerSet.generate(tuple(map(int, shape.split(","))), classes, size=size, low=low, high=high)
    triggers.save(file, overwrite=force)
    commitment = triggers.commitment.hex()
    screen.long(
        f"triggers    {file}  (mode 0600; a secret: whoever has it can train the mark away, or into another model)"
    )
    screen.long(f"commitment  {commitment}")
    screen.line()
    screen.line(
        "Publish the commitment before the model, where its date can be shown later; it says nothing about the triggers. A thief can "
        "train a mark of its own into its copy: whose commitment is older decides."
    )
    screen.json(
        {"triggers": str(file), "commitment": commitment, "size": size, "classes": classes, "shape": [*triggers.shape]}
    )


@app.command("verify", epilog="Example: securefl watermark verify model.npz --triggers mine.triggers")
def verify_model(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL.npz", help="Parameters: model.npz, or a checkpoint, of `run`.", show_default=False
        ),
    ],
    *,
    triggers: Annotated[Path, typer.Option(metavar="FILE", help="The owner's triggers.")],
    alpha: Annotated[
        float, typer.Option(callback=finite, help="Accepted probability of a false claim; of m models tried, a m-th.")
    ] = ALPHA,
    commitment: Annotated[
        str | None, typer.Option(metavar="HEX", help="What was published; refused if the triggers are others.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Count the triggers that a model answers as they were drawn; exit 1 where so many may well be chance."""
    screen = Screen(json)
    owned = TriggerSet.load(triggers)
    published = owned.commitment.hex()
    if commitment is not None and commitment.strip().lower() != published:
        raise ConfigError(
            f"{triggers} has the commitment {published}, and {commitment} was published",
            remedy="give the triggers that were committed to",
        )
    found = verify(*read_model(model), owned, alpha=alpha)
    screen.line(f"{found}.")
    if not found.generated:
        screen.line(
            "These inputs were given, not drawn from a seed: that their labels were drawn must be believed.",
            style="yellow",
        )
    screen.long(f"commitment  {published}")
    screen.json(
        {
            "matches": found.matches,
            "size": found.size,
            "classes": found.classes,
            "p_value": found.p_value,
            "log10_p_value": found.log10_p_value,
            "alpha": found.alpha,
            "significant": found.significant,
            "generated": found.generated,
            "commitment": published,
        }
    )
    if not found.significant:
        raise typer.Exit(FAILED)
