"""The main command: options to values, progress to standard error, summary to standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qcompile.cli.guard import BELOW, GOOD
from qcompile.cli.output import stdout_kept_clean
from qcompile.cli.show import print_json, print_summary
from qcompile.cli.transforms import print_transforms
from qcompile.progress import progress


def compile_and_tell(
    *,
    model: str,
    target: str,
    calib: str | None,
    output: Path | None,
    shapes: Mapping[str, tuple[int, ...]],
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **others: Any,
) -> int:
    """Compiles; then prints the summary as a table, as JSON, or not at all. The exit code: 3 when
    more is lost than `--max-drop` allows."""
    from qcompile.driver import compile_model
    from qcompile.options import Options

    options = Options(target=target, calib=calib, output=output, shapes=shapes, **others)
    with stdout_kept_clean(), progress(quiet=quiet) as say:
        summary = compile_model(model, options, say).summary
    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary, verbose=verbose)
        print_transforms(summary["transforms"], verbose=verbose)
    return told_drop(summary)


def show_recipe(name: str, *, as_json: bool) -> None:
    """The passes in order with their options, and the target's formats."""
    from qcompile.passes.specify import Specify
    from qcompile.stages import SIMPLIFY
    from qcompile.targets import target

    recipe = target(name).recipe
    passes = [*(str(one) for one in SIMPLIFY.passes), Specify.name, "calibrate", "quantize"]
    formats = asdict(recipe.activation) | {"elem": str(recipe.activation.elem)}
    rule = recipe.widths
    found = {
        "target": name,
        "passes": passes,
        "activation": formats,
        "scheme": str(rule.default),
        "first_and_last": str(rule.ends),
        "depthwise": str(rule.depthwise),
    }
    if as_json:
        print_json(found)
        return
    print(f"target: {name}\npasses:")
    for one in passes:
        print(f"  - {one}")
    print(f"activation: {', '.join(f'{k} {v}' for k, v in formats.items())}")
    print(f"scheme: {rule.default}, weights symmetric with one scale for each output channel")
    print(f"first and last contraction: {rule.ends}, depthwise: {rule.depthwise}")


def told_drop(summary: Mapping[str, Any]) -> int:
    """0, or 3 with a message on standard error about what lost too much and what to do."""
    drop = summary["quality"]["drop"]
    if drop is None or drop["bound"] is None or drop["value"] <= drop["bound"]:
        return GOOD
    worst = ", ".join(layer["node"] for layer in summary["quality"]["worst_layers"][:3])
    print(
        f"error: {drop['metric']} drops by {drop['value']:.2%}, more than the {drop['bound']:.2%} "
        f"of --max-drop: {summary['artifact']} is written; worst are {worst or 'none'}: give them "
        "more bits in the plan, or let --max-drop choose without --plan",
        file=sys.stderr,
    )
    return BELOW
