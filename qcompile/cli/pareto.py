"""`qcompile pareto MODEL`: the front of damage over a resource, as numbers, pictures and plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qcompile.budget import UNITS, parse_budget
from qcompile.cli.arguments import (
    default_threads,
    input_shapes,
    see_current_folder,
    split_schemes,
)

FOLDER = click.Path(path_type=Path)


@click.command("pareto")
@click.argument("model")
@click.option("--target", required=True, help="Whose options of widths; `qcompile targets`.")
@click.option("--calib", metavar="SOURCE", required=True, help="Samples, as for compiling.")
@click.option("-o", "--output", type=FOLDER, required=True, metavar="DIR", help="For pareto.json, "
              ".svg, .png and plans/.")  # fmt: skip
@click.option("--on", type=click.Choice(list(UNITS)), default="size", show_default=True,
              help="The resource along the front.")  # fmt: skip
@click.option("--points", type=click.IntRange(min=2), default=16, show_default=True)
@click.option("--budget", metavar="bops=70G", help="Limits that every point keeps.")
@click.option("--measure", is_flag=True, help="Run every point as a whole network, too.")
@click.option("--metric", metavar="NAME|MODULE:CALLABLE", default="auto", show_default=True,
              help="How --measure judges: error, top1, or a function.")  # fmt: skip
@click.option("--float-layers", type=int, default=0, metavar="N", help="Contractions that may stay "
              "in float.")  # fmt: skip
@click.option("--estimator", metavar="NAME", help="How damages are found.")
@click.option("--latency-table", type=FOLDER, help="Times that `qcompile profile` measured.")
@click.option("--scheme", "schemes", multiple=True, metavar="PATTERN=W4A8", help="Bits that single "
              "layers keep; repeatable.")  # fmt: skip
@click.option("--recipe", metavar="NAME|FILE", help="The passes on reals, as for compiling.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Nodes that stay in float.")
@click.option("--input-shape", "shapes", multiple=True, metavar="NAME=1x3x224x224")
@click.option("--threads", type=click.IntRange(min=1), default=None)
@click.option("--quiet", is_flag=True, help="No progress, no table.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def pareto_command(**given: Any) -> None:
    """What each size (or other resource) costs in damage: a front, with a plan for each point.

    `qcompile MODEL --plan DIR/plans/NN.json` builds the artifact of a point.
    """
    see_current_folder()
    budget = {} if given["budget"] is None else parse_budget(given["budget"])
    others = {name: value for name, value in given.items() if name != "budget"}
    draw_and_tell(**others, budget=budget)


def draw_and_tell(
    *,
    model: str,
    output: Path,
    on: str,
    points: int,
    measure: bool,
    schemes: tuple[str, ...],
    shapes: tuple[str, ...],
    threads: int | None,
    quiet: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Draws, writes, and prints a table or the JSON that was written."""
    from qcompile.cli.output import stdout_kept_clean
    from qcompile.cli.show import print_front, print_json
    from qcompile.options import Options
    from qcompile.pareto import pareto_front, write_pareto
    from qcompile.progress import progress

    scheme, widths = split_schemes(schemes)
    options = Options(
        scheme=scheme, widths=widths, shapes=input_shapes(shapes), bits="auto",
        threads=threads or default_threads(), **others,
    )  # fmt: skip
    with stdout_kept_clean(), progress(quiet=quiet) as say:
        drawn = pareto_front(model, options, on=on, points=points, measure=measure, say=say)
        write_pareto(drawn, output)
    if as_json:
        print_json(drawn.as_dict())
    elif not quiet:
        print_front(drawn.as_dict(), str(output))
