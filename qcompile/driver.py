"""compile(): from a model to an artifact, in ten steps."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from qcompile.artifact import Artifact, open_artifact, seal, written_whole
from qcompile.check import verify
from qcompile.coverage import coverage
from qcompile.diagnosis import diagnose
from qcompile.errors import NotLegal, UnsupportedOps
from qcompile.evidence import Evidence, gather
from qcompile.golden import VECTORS, write_golden
from qcompile.ir.graph import Graph
from qcompile.load import load
from qcompile.manifest import facts, identify
from qcompile.options import Options
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.invariants import SPECIFIED
from qcompile.passes.observe import Compare, Dump, Time, Verify
from qcompile.passes.pipeline import Observer, Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.progress import Progress, silent
from qcompile.quality import layer_sqnr, output_sqnr
from qcompile.stages import require_static, simplify, specify
from qcompile.summary import Measured, constant_bytes, summarize
from qcompile.targets import target
from qcompile.targets.base import Stages, Target


def compile_model(model: object, options: Options, say: Progress = silent) -> Artifact:
    """Reads, simplifies, calibrates, quantizes, emits, packages and verifies a model.

    The artifact stands in `options.output` when this returns, and not at all when it raises. Its
    `summary` is the object that `--json` prints.
    """
    start = time.perf_counter()
    place = target(options.target)
    recipe = wanted_recipe(place, options)
    clock = Time()
    graph = load(model, shapes=options.shapes)  # 1 read
    require_static(graph)
    watch = observers(graph, options, clock)
    say(f"read {graph.name}: {len(graph.nodes)} nodes")
    real = simplify(graph, watch)  # 2 canonicalize, 3 fuse
    specified = specify(real, recipe, watch)  # 4
    evidence = gather(graph, specified, recipe, options, say)
    quantize = Pipeline((Calibrate(evidence.statistics), Quantize(recipe)), frozenset({SPECIFIED}))
    stages = keep_stages(real, specified, quantize, watch)  # 5 calibrate, 6 quantize
    deployed = legal(place, stages, options)  # 7
    found = coverage(stages.integer, recipe)
    output = output_folder(model, options)
    with written_whole(output, force=options.force) as folder:
        say("building kernels")
        emitted = place.emit(deployed, folder, threads=options.threads)  # 8 plan, 9 emit
        golden = list(evidence.held_back)[:VECTORS]
        write_golden(deployed, golden, folder / "golden")
        about = identify(model, real)
        measured = measure(stages, specified, evidence)
        said = facts(about, options, place, deployed, emitted, found, evidence, measured)
        manifest = seal(folder, said)  # 10 package
        built = Artifact(folder, manifest, options.threads)
        if options.verify:
            say("verifying the artifact on its golden vectors")
            verify(built)  # check
    sizes = {
        "float_bytes": constant_bytes(real),
        "weight_bytes": constant_bytes(stages.integer),
        "artifact_bytes": sum(f["bytes"] for f in manifest["files"].values()),
    }
    summary = summarize(
        model=about, target=place.name, evidence=evidence, found=found, measured=measured,
        sizes=sizes, emitted=emitted, manifest=manifest, artifact=str(output), passes=clock.rows,
        verified=options.verify, exact=place.exact, seconds=time.perf_counter() - start,
    )  # fmt: skip
    return replace(open_artifact(output, threads=options.threads), summary=summary)


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
    """The target's recipe with the user's estimator and exclusions."""
    activation = replace(place.recipe.activation, method=options.method)
    return replace(place.recipe, activation=activation, exclude=options.exclude)


def keep_stages(
    real: Graph, specified: Graph, quantize: Pipeline, watch: tuple[Observer, ...]
) -> Stages:
    """Runs calibrate and quantize, and keeps the graph between them."""
    middle: list[Graph] = []

    class Keep:
        def after(self, step: object) -> None:
            middle.append(step.after)  # type: ignore[attr-defined]

    integer = quantize.run(specified, (*watch, Keep()))
    return Stages(real, middle[0], integer)


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


def measure(stages: Stages, specified: Graph, evidence: Evidence) -> Measured:
    """Quality on samples that calibration did not see."""
    seen = {
        node.name.removesuffix(".range"): found
        for node, found in zip(observed(specified), evidence.statistics, strict=True)
    }
    outputs = output_sqnr(stages.real, stages.integer, evidence.held_back)
    layers = layer_sqnr(stages.real, stages.calibrated, stages.integer, evidence.held_back[:2])
    return Measured(outputs, diagnose(layers, stages.calibrated, seen), layers, seen)


def output_folder(model: object, options: Options) -> Path:
    """Where the artifact goes: as asked, else the model's stem and the target."""
    if options.output is not None:
        return options.output
    stem = Path(model).stem if isinstance(model, str | Path) else "model"
    return Path(f"{stem.replace(':', '-')}-{options.target}")
