"""explain: where a pass fired, and where something of the right kind was left as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from qcompile.cli.sites import KINDS, explained_sites
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, Input
from qcompile.passes import PASSES
from qcompile.passes.pipeline import Step
from qcompile.passes.recipe import Recipe
from qcompile.read import load
from qcompile.stages import require_static, simplify, specify

ROOTS: Mapping[str, frozenset[str]] = {
    "fold-batchnorm": frozenset({"batch_norm"}),
    "fuse-padding": frozenset({"pad"}),
    "fuse-activations": frozenset({"mul", "sigmoid", "hard_sigmoid", "tanh", "erf", "softplus"}),
    "canonicalize": frozenset({"sub", "div", "add", "mul", "transpose", "reshape", "expand"}),
}
"""The operations at which a pass looks; a pass that is not named looks at every one."""

Signature = tuple[object, ...]


def explain(
    model: object, name: str, target_name: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """Each turn of the pass in the target's pipeline: nodes it replaced, and near misses.

    Of a pass that acts at sites: the sites, the maps that may act there, and what blocks others.
    """
    from qcompile.targets import target

    if name not in PASSES:
        near = get_close_matches(name, PASSES, n=2, cutoff=0.4) or list(PASSES)
        raise UsageError(f"no pass {name!r}: did you mean {' or '.join(near)}?")
    graph = load(model, shapes=shapes)
    require_static(graph)
    if name in KINDS:
        return explained_sites(simplify(graph), name)
    steps = [step for step in _steps(graph, target(target_name).recipe) if step.by.name == name]
    if not steps:
        raise UsageError(
            f"{name} does not run in the pipeline of {target_name}; `qcompile MODEL --target "
            f"{target_name} --recipe show` prints it"
        )
    return {
        "pass": name,
        "target": target_name,
        "turns": [_turn(index, step, name) for index, step in enumerate(steps, 1)],
    }


def _steps(graph: Graph, recipe: Recipe) -> list[Step]:
    """Every step of a compilation; ranges come from one sample of noise, they change no choice."""
    from qcompile.calibrate.collect import collect
    from qcompile.calibrate.datafree import noise
    from qcompile.passes.calibrate import Calibrate, observed
    from qcompile.passes.invariants import SPECIFIED
    from qcompile.passes.pipeline import Pipeline
    from qcompile.passes.quantize import Quantize

    kept = _Kept([])
    marked = specify(simplify(graph, (kept,)), recipe, (kept,))
    found = collect(marked, observed(marked), noise(graph, seed=0, count=1))
    last = Pipeline((Calibrate(found), Quantize(recipe)), given=frozenset({SPECIFIED}))
    last.run(marked, (kept,))
    return kept.steps


class _Kept:
    """An observer that remembers every step."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def after(self, step: Step) -> None:
        """One more."""
        self.steps.append(step)


def _turn(index: int, step: Step, name: str) -> dict[str, Any]:
    old, new = _signatures(step.before.nodes), _signatures(step.after.nodes)
    gone = [node for key, node in old.items() if key not in new]
    fresh = {node.name: node for key, node in new.items() if key not in old and node.name}
    roots = ROOTS.get(name)
    idle = [n for key, n in old.items() if key in new and (roots is None or n.op in roots)]
    return {
        "turn": index,
        "fired": [{"node": _title(n), "became": _became(n, fresh)} for n in gone],
        "idle": [
            {
                "node": _title(node),
                "reads": _several(o.op for o in node.operands),
                "readers": _several(u.op for u in step.before.users[node]) or "output",
            }
            for node in idle
        ]
        if roots is not None
        else [],
    }


def _signatures(nodes: Sequence[Node]) -> dict[Signature, Node]:
    """Nodes by what they are, not by identity: a rebuilt node that reads the same is the same."""
    return {
        (node.op, node.name, str(node.type), tuple(o.name or o.op for o in node.operands)): node
        for node in nodes
        if not isinstance(node, Input | Const)
    }


def _became(node: Node, fresh: Mapping[str, Node]) -> str:
    other = fresh.get(node.name)
    return "gone" if other is None else f"{other.op} of {_several(o.op for o in other.operands)}"


def _title(node: Node) -> str:
    return f"{node.op} {node.name}".rstrip()


def _several(words: Iterable[str]) -> str:
    return ", ".join(words)
