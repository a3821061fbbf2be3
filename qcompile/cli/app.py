"""`qcompile MODEL --target T` and the verbs, each a few lines; the work is imported when asked."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from qcompile.budget import parse_budget, parse_drop
from qcompile.cli.arguments import (
    default_threads,
    input_shapes,
    see_current_folder,
    split_schemes,
)
from qcompile.cli.pareto import pareto_command
from qcompile.options import METHODS, ROUNDINGS

FOLDER = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=None, help="Threads; results do not depend "
    "on it.",
)  # fmt: skip
shape_option = click.option(
    "--input-shape", "shapes", multiple=True, metavar="NAME=1x3x224x224",
    help="Binds open dimensions of an input; repeatable. Else they are as the samples have them.",
)  # fmt: skip


class Verbs(click.Group):
    """A group in which whatever is no verb is a model to compile."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`MODEL --target T` means `compile MODEL --target T`."""
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            _refuse_word(args[0], [*self.commands])
            args.insert(0, "compile")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of a compilation first: that is the main thing; then the verbs."""
        compiling = self.commands["compile"]
        formatter.write_usage("qcompile", "MODEL --target TARGET [OPTIONS]")
        formatter.write_usage("qcompile", "VERB ... [--help]", "   or  ")
        compiling.format_help_text(ctx, formatter)
        compiling.format_options(click.Context(compiling, info_name="qcompile"), formatter)
        verbs = [
            (name, command.get_short_help_str(70))
            for name, command in self.commands.items()
            if name != "compile"
        ]
        with formatter.section("Verbs"):
            formatter.write_dl(verbs)
        formatter.write_paragraph()
        formatter.write_text(
            "Exit codes: 0 good, 1 a bug in qcompile, 2 the input's or the user's fault, "
            "3 verification failed, or more lost than --max-drop."
        )


def _refuse_word(word: str, verbs: list[str]) -> None:
    """`UsageError` for a bare word that is neither a verb nor a file."""
    if not word.replace("-", "").isalnum() or word.startswith("-") or Path(word).exists():
        return
    near = get_close_matches(word, verbs, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the verbs are {', '.join(verbs)}"
    raise click.UsageError(f"{word!r} is neither a model nor a verb; {hint}")


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.version_option(package_name="qcompile")
@click.pass_context
def app(ctx: click.Context) -> None:
    """A quantization compiler."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@app.command("compile")
@click.argument("model")
@click.option("--target", required=True, help="Where it shall run; `qcompile targets` lists them.")
@click.option("-o", "--output", type=FOLDER, help="Artifact folder [default: MODEL-TARGET].")
@click.option("--force", is_flag=True, help="Replace an artifact that stands at --output.")
@click.option("--calib", metavar="SOURCE", help="Samples: x.npz, a folder of .npz/.npy, or "
              "package.module:callable. Absent: data-free.")  # fmt: skip
@shape_option
@click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True,
              help="How ranges are chosen.")  # fmt: skip
@click.option("--rounding", type=click.Choice(ROUNDINGS), default="nearest", show_default=True,
              help="How weights of fewer than 8 bits take their integers: each the nearest, or "
              "together by what the layer reads (gptq, learned as by AdaRound, the best of both "
              "layer by layer); wants --calib.")  # fmt: skip
@click.option("--scheme", "schemes", multiple=True, metavar="W4A8[-g128][-token]|PATTERN=W4A8",
              help="Bits of weights and activations [default: the target's own]; -g128: groups of "
              "weights, -token: scales at run time, -tensor: none of these; repeatable, with a "
              "pattern for single layers.")  # fmt: skip
@click.option("--bits", metavar="uniform|auto", default="uniform", help="auto: chosen layer by "
              "layer, the least damage under --budget.")  # fmt: skip
@click.option("--budget", metavar="size=8MB,bops=70G", help="Limits for --bits auto.")
@click.option("--max-drop", metavar="1%", help="The cheapest bits that lose no more by --metric, "
              "measured on the samples.")  # fmt: skip
@click.option("--metric", metavar="NAME|MODULE:CALLABLE", default="auto", show_default=True,
              help="error, top1, or a function of real and quantized outputs.")  # fmt: skip
@click.option("--float-layers", type=int, default=0, metavar="N", help="Contractions that may "
              "stay in float when bits are chosen.")  # fmt: skip
@click.option("--estimator", metavar="NAME", help="How --bits auto finds damages.")
@click.option("--recipe", metavar="NAME|FILE|show", help="Passes on reals, with their options "
              "(rotate, smooth, best, or a file); show prints the usual ones.")  # fmt: skip
@click.option("--plan", type=FOLDER, help="plan.json of an earlier artifact: the same choices.")
@click.option("--latency-table", type=FOLDER, help="Times of kernels that `qcompile profile` "
              "measured: for --budget latency, and the predicted latency.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Nodes that stay in float: glob "
              "on names, or op:Conv; repeatable.")  # fmt: skip
@click.option("--strict", is_flag=True, help="A float island is an error.")
@click.option("--allow-emulated", is_flag=True, help="Take a target whose instructions the chip "
              "only emulates: for checking results, not speed.")  # fmt: skip
@click.option("--verify/--no-verify", default=True, help="Run the golden vectors before success.")
@click.option("--check", is_flag=True, help="Run both sides of every pass and compare.")
@click.option("--dump-after-each", type=FOLDER, help="Folder for the graph after each pass.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@threads_option
@click.option("--quiet", is_flag=True, help="No progress, no table.")
@click.option("--verbose", is_flag=True, help="Passes and all islands in the table; causes of "
              "errors.")  # fmt: skip
@json_option
def compile_command(**given: Any) -> int:
    """Compiles MODEL (model.onnx, model.pt2, package.module:callable) to integers for TARGET.

    The artifact is a folder: packed weights, kernels, manifest, golden vectors, report. It is
    written whole or not at all, and the same input and options give the same bytes.
    """
    from qcompile.cli.compiling import compile_and_tell, show_recipe

    see_current_folder()
    if given["recipe"] == "show":
        show_recipe(given["target"], as_json=given["as_json"])
        return 0
    read = ("shapes", "schemes", "threads", "budget", "max_drop")
    kept = {k: v for k, v in given.items() if k not in read}
    threads = given["threads"] or default_threads()
    shapes, (scheme, widths) = input_shapes(given["shapes"]), split_schemes(given["schemes"])
    budget = {} if given["budget"] is None else parse_budget(given["budget"])
    max_drop = None if given["max_drop"] is None else parse_drop(given["max_drop"])
    return compile_and_tell(
        **kept, shapes=shapes, scheme=scheme, widths=widths, budget=budget, max_drop=max_drop,
        threads=threads,
    )  # fmt: skip


app.add_command(pareto_command)


@app.command("inspect")
@click.argument("model")
@shape_option
@json_option
def inspect_command(model: str, shapes: tuple[str, ...], as_json: bool) -> None:
    """Operations, shapes, parameters, and what each target could take."""
    from qcompile.cli.show import print_json, print_model
    from qcompile.inspect_model import inspect_model

    see_current_folder()
    found = inspect_model(model, input_shapes(shapes))
    (print_json if as_json else print_model)(found)


@app.command("run")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("--input", "source", required=True, help="Samples: x.npz or a folder.")
@click.option("-o", "--output", required=True, type=FOLDER, help="Results: y.npz.")
@click.option("--raw", is_flag=True, help="The integers instead of reals.")
@click.option("--reference", is_flag=True, help="By the interpreter, not by the artifact's code.")
@threads_option
@json_option
def run_command(threads: int | None, **given: Any) -> None:
    """Runs an artifact on samples."""
    from qcompile.cli.running import run_artifact

    see_current_folder()
    run_artifact(**given, threads=threads or default_threads())


@app.command("verify")
@click.argument("folder", type=FOLDER, metavar="DIR")
@threads_option
@json_option
def verify_command(folder: Path, threads: int | None, as_json: bool) -> None:
    """Golden vectors bit for bit, or every operator where reals lie between integers.

    Names the first element that differs, or the operators that differ on equal operands.
    """
    from qcompile.cli.running import verify_artifact

    verify_artifact(folder, threads=threads or default_threads(), as_json=as_json)


@app.command("report")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("-o", "--output", type=FOLDER, help="Render the page anew, to this file.")
@json_option
def report_command(folder: Path, output: Path | None, as_json: bool) -> None:
    """Where an artifact's report is; renders it anew with -o."""
    from qcompile.cli.running import show_report

    show_report(folder, output, as_json=as_json)


@app.command("bench")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("--model", type=FOLDER, help="The float ONNX file: onnxruntime runs beside.")
@click.option("--rounds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--threads", "threads", type=click.IntRange(min=1), multiple=True,
              help="Repeatable [default: 1 and 2].")  # fmt: skip
@json_option
def bench_command(
    folder: Path, model: Path | None, rounds: int, threads: tuple[int, ...], as_json: bool
) -> None:
    """Latency of an artifact, beside onnxruntime in float and int8."""
    from qcompile.bench import bench
    from qcompile.cli.show import print_bench, print_json

    found = bench(folder, model=model, rounds=rounds, threads=threads or (1, 2))
    (print_json if as_json else print_bench)(found)


@app.command("targets")
@json_option
def targets_command(as_json: bool) -> None:
    """All targets, and what is native, emulated or absent there."""
    from qcompile.cli.listing import list_targets
    from qcompile.cli.show import print_json, print_targets

    (print_json if as_json else print_targets)(list_targets())


@app.command("passes")
@json_option
def passes_command(as_json: bool) -> None:
    """All passes: what each needs, gives and keeps."""
    from qcompile.cli.listing import list_passes
    from qcompile.cli.show import print_json, print_passes

    (print_json if as_json else print_passes)(list_passes())


@app.command("explain")
@click.argument("model")
@click.option("--pass", "name", required=True, metavar="NAME", help="One of `qcompile passes`.")
@click.option("--target", default="reference", show_default=True)
@shape_option
@json_option
def explain_command(
    model: str, name: str, target: str, shapes: tuple[str, ...], as_json: bool
) -> None:
    """Where a pass fired in a model, and where it might have but did not."""
    from qcompile.cli.explaining import explain
    from qcompile.cli.show import print_explained, print_json
    from qcompile.cli.sites import print_sites

    see_current_folder()
    found = explain(model, name, target, input_shapes(shapes))
    told = print_sites if "sites" in found else print_explained
    (print_json if as_json else told)(found)


@app.command("profile")
@click.argument("model", required=False)
@click.option("--target", required=True, help="A target whose programs run on this machine.")
@click.option("-o", "--output", type=FOLDER, help="The table [default: TARGET-THREADS.json].")
@click.option("--calib", metavar="SOURCE", help="Samples, as for compiling MODEL.")
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True,
              help="A time is the median of so many.")  # fmt: skip
@shape_option
@threads_option
@json_option
def profile_command(**given: Any) -> None:
    """Measures kernels on the device at hand: a table for --latency-table.

    With MODEL those of all its layers, at every width that the target offers; without, of a spread
    of layers from which others are interpolated.
    """
    from qcompile.cli.profiling import profile_and_tell

    see_current_folder()
    shapes, threads = input_shapes(given.pop("shapes")), given.pop("threads") or default_threads()
    profile_and_tell(**given, shapes=shapes, threads=threads)


@app.command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """What is installed, and what each missing piece would give."""
    from qcompile.cli.show import print_doctor, print_json
    from qcompile.doctor import doctor

    (print_json if as_json else print_doctor)(doctor())
