"""compile(): from a model to an artifact, in ten steps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from qcompile.artifact import Artifact, open_artifact, require_vacant, seal, written_whole
from qcompile.bound import load_bound
from qcompile.calibrate.samples import kept
from qcompile.check import verify
from qcompile.coverage import coverage
from qcompile.diagnosis import diagnose
from qcompile.drop import Drop, Judge, judge
from qcompile.errors import NotLegal, TargetError, UnsupportedOps, UsageError
from qcompile.evidence import Evidence, gather
from qcompile.golden import VECTORS, write_golden
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.job import Job
from qcompile.manifest import facts, identify
from qcompile.options import Options
from qcompile.passes.calibrate import observed
from qcompile.passes.choose_widths import Scaling, choose_widths
from qcompile.passes.each import Each
from qcompile.passes.observe import Compare, Dump, Time, Verify
from qcompile.passes.patterns import names
from qcompile.passes.pipeline import Observer
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import without_marks
from qcompile.plan_file import write_plan
from qcompile.planned import wanted_plan, with_plan
from qcompile.profile.lookup import wanted_table
from qcompile.program.graph_file import write_graph
from qcompile.progress import Count, Counting, Progress, Unannounced, silent
from qcompile.quality import layer_sqnr, output_sqnr
from qcompile.quantized import quantized
from qcompile.report import write_report
from qcompile.resume import begin
from qcompile.stages import specify
from qcompile.summary import UNPROVED, Decided, Measured, constant_bytes, summarize
from qcompile.targets import target
from qcompile.targets.base import Stages, Target
from qcompile.transformed import transformed


def compile_model(model: object, options: Options, say: Progress = silent) -> Artifact:
    """Reads, simplifies, calibrates, quantizes, emits, packages and verifies a model.

    The artifact stands in `options.output` when this returns, and not at all when it raises. Its
    `summary` is the object that `--json` prints. Array libraries are held to one thread, since
    with another number of them sums of reals may end in other bits; samples run side by side.
    """
    with threadpool_limits(limits=1):
        return _compiled(model, options, say)


def _compiled(model: object, options: Options, say: Progress) -> Artifact:
    """The ten steps."""
    start, long = time.perf_counter(), Unannounced(say)
    options = replace(options.settled, calib=kept(options.calib))
    place = target(options.target)
    output = output_folder(model, options)
    require_vacant(output, force=options.force)
    table = wanted_table(options)
    if place.emulates and not options.allow_emulated:
        raise TargetError(place.emulates)
    recipe = wanted_recipe(place, options)
    clock = Time()
    graph = load_bound(model, options, say)  # 1 read
    watch = observers(graph, options, clock)
    say(f"read {graph.name}: {len(graph.nodes)} nodes")
    digest_weights(graph, say)
    run = begin(Job(graph, graph, recipe, options, say), output)
    turned = transformed(graph, recipe, options, watch, say)  # 2 canonicalize, 3 fuse
    real = turned.real
    require_matches("--exclude", options.exclude, operations(real))
    job, by = Job(graph, real, recipe, options, say), wanted_judge(real, options)
    chosen = wanted_plan(job, by)
    recipe = with_plan(recipe, chosen.plan)
    choices = choose_widths(real, recipe.widths)
    decided = Decided(str(recipe.widths.on(real)), choices, chosen.plan, turned)
    require_matches("--scheme", tuple(options.widths), tuple(choices))
    specified = specify(real, recipe, watch)  # 4
    evidence = gather(graph, specified, recipe, options, say, chosen.known)
    stages = quantized(real, specified, evidence, recipe, watch, Counting(say))  # 5 and 6 quantize
    deployed = legal(place, stages, options)  # 7
    found = coverage(stages.integer, recipe)
    digest_weights(deployed, say)
    with written_whole(output, force=options.force) as folder:
        say("building kernels")
        emitted = place.emit(deployed, folder, threads=options.threads)  # 8 plan, 9 emit
        emitted = emitted if table is None else table.foretold(emitted, place.outline(deployed))
        golden = list(evidence.held_back)[:VECTORS]
        write_golden(deployed, golden, folder / "golden", long)
        about = identify(model, real)
        say("measuring quality")
        lost = None if by is None else final_drop(by, specified, recipe, stages, options)
        measured = measure(stages, specified, evidence, recipe, lost, long)
        said = facts(about, options, place, choices, deployed, emitted, found, evidence, measured)
        if chosen.plan is not None:
            write_plan(chosen.plan, folder / "plan.json")
        write_report(folder, said, stages, found, measured, decided, clock.rows)
        if not (folder / "graph.qc").exists():
            write_graph(deployed, folder, emitted.kept)  # what `run --reference` runs
        manifest = seal(folder, said, long)  # 10 package
        built = Artifact(folder, manifest, options.threads)
        proof = proved(built, deployed, options, say)
    run.finish()
    summary = summarize(
        model=about, target=place.name, decided=decided, evidence=evidence, found=found,
        measured=measured, sizes=sizes(stages, manifest), emitted=emitted, manifest=manifest,
        artifact=str(output), passes=clock.rows, proof=proof, exact=place.exact,
        seconds=time.perf_counter() - start,
    )  # fmt: skip
    return replace(open_artifact(output, threads=options.threads), summary=summary)


def proved(built: Artifact, graph: Graph, options: Options, say: Progress) -> str:
    """How the artifact was found to compute what the graph does; `CheckFailed` if it does not."""
    if not options.verify:
        return UNPROVED
    say("verifying the artifact on its golden vectors")
    return str(verify(built, graph, Unannounced(say)))


def digest_weights(graph: Graph, say: Progress) -> None:
    """Computes every constant once, one at a time: after this its digest is known."""
    count = Count(say, "computing weights, MB", sum(c.data.nbytes for c in graph.constants) / 1e6)
    for constant in graph.constants:
        _ = constant.data.digest
        count.add(constant.data.nbytes / 1e6)


def sizes(stages: Stages, manifest: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of all constants, real and as integers, and of the artifact's files."""
    return {
        "float_bytes": constant_bytes(stages.real),
        "weight_bytes": constant_bytes(stages.integer),
        "artifact_bytes": sum(file["bytes"] for file in manifest["files"].values()),
    }


def require_matches(option: str, patterns: Sequence[str], nodes: Sequence[Node]) -> None:
    """`UsageError` for a pattern that means none of the nodes, with names that are near."""
    for pattern in patterns:
        if any(names(pattern, node) for node in nodes):
            continue
        near = get_close_matches(pattern, [node.name for node in nodes if node.name], n=3)
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(
            f"{option} {pattern} matches no operation that is left after fusing{hint}; "
            "--dump-after-each DIR shows them all"
        )


def operations(graph: Graph) -> tuple[Node, ...]:
    """All that computes."""
    return tuple(node for node in graph.nodes if node.operands)


def observers(graph: Graph, options: Options, clock: Time) -> tuple[Observer, ...]:
    """Verify and time always; compare and dump when asked."""
    from qcompile.calibrate.datafree import noise

    extra: list[Observer] = []
    if options.check:
        extra.append(Compare(noise(graph, seed=options.seed, count=1)[0]))
    if options.dump_after_each is not None:
        extra.append(Dump(options.dump_after_each))
    return (Verify(), clock, *extra)


def wanted_recipe(place: Target, options: Options) -> Recipe:
    """The target's recipe with the user's estimator, rounding, widths and exclusions."""
    own = place.recipe
    widths = replace(
        own.widths,
        default=options.default_widths or own.widths.default,
        scaling=Scaling.CALIBRATED if options.per_tensor else own.widths.scaling,
        overrides={**own.widths.overrides, **options.overrides},
    )
    activation = replace(own.activation, method=options.method)
    return replace(
        own, activation=activation, widths=widths, exclude=options.exclude,
        rounding=options.rounding,
    )  # fmt: skip


def legal(place: Target, stages: Stages, options: Options) -> Graph:
    """The graph that the target deploys. `NotLegal` names all that it cannot take."""
    graph = place.deployed(stages)
    refused = place.refusals(graph)
    if refused:
        raise NotLegal(f"{place.name} cannot take this model: {'; '.join(refused)}")
    if options.strict:
        islands = coverage(stages.integer, Recipe(exclude=options.exclude)).islands
        if islands:
            listed = "; ".join(f"{node}: {why}" for node, why in islands.items())
            raise UnsupportedOps(f"float islands under --strict: {listed}")
    return graph


def wanted_judge(real: Graph, options: Options) -> Judge | None:
    """What measures the drop, where that is asked for."""
    return judge(real, options) if options.judges else None


def final_drop(
    by: Judge, specified: Graph, recipe: Recipe, stages: Stages, options: Options
) -> Drop:
    """What the integer program loses on all samples that the judge has."""
    value = by.drop(specified, recipe, lambda: stages.integer)
    return Drop(by.metric.name, value, options.max_drop, len(by.samples))


def measure(
    stages: Stages,
    specified: Graph,
    evidence: Evidence,
    recipe: Recipe,
    lost: Drop | None,
    each: Each,
) -> Measured:
    """Quality on samples that calibration did not see; without data, of the twin on its noise."""
    seen = {
        node.name.removesuffix(".range"): found
        for node, found in zip(observed(specified), evidence.statistics, strict=True)
    }
    if evidence.twin is not None:
        stages = quantized(stages.real, evidence.twin, evidence, recipe)
        stages = replace(stages, real=without_marks(evidence.twin))
    held = evidence.held_back
    outputs = output_sqnr(stages.real, stages.integer, held, each)
    layers = layer_sqnr(stages.real, stages.calibrated, stages.integer, held[:2], each)
    causes = diagnose(layers, stages.calibrated, seen, recipe)
    return Measured(outputs, causes, layers, seen, lost)


def output_folder(model: object, options: Options) -> Path:
    """Where the artifact goes: as asked, else the model's stem and the target."""
    if options.output is not None:
        return options.output
    stem = Path(model).stem if isinstance(model, str | Path) else "model"
    return Path(f"{stem.replace(':', '-')}-{options.target}")
