"""What a target is: a name, what it wants quantized, what it takes, how it is built and run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array
from qcompile.passes.recipe import Recipe
from qcompile.program.kept import Kept
from qcompile.targets.steps import Outline

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Stages:
    """The graphs of one compilation, all runnable: float, calibrated (fake-quantized), integer."""

    real: Graph
    calibrated: Graph
    integer: Graph


@dataclass(frozen=True)
class Emitted:
    """What a target wrote: files relative to the artifact folder, and facts for the manifest.

    `details` must be plain JSON and the same on every run. `activation_peak_bytes` is the memory
    for values at run time, `latency_ms` a prediction if the target has one, for which the
    times of the `interpolated` kernels were guessed from others. `kept`: constants of the graph, by
    digest, that the files hold as they are.
    """

    files: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    activation_peak_bytes: int = 0
    latency_ms: float | None = None
    interpolated: tuple[str, ...] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict[str, Kept], repr=False)


class Runtime(Protocol):
    """An artifact, opened. Inputs and outputs by name, one sample at a time.

    Inputs are reals (or integers where the model's own input is integer). `run` gives reals,
    `run_raw` the integers behind them where an output has some, `trace` the integers of every
    named value that the runtime can show, in order of execution.
    """

    @property
    def device(self) -> str:
        """What the program runs on, in words."""
        ...

    @property
    def emulated(self) -> bool:
        """It runs on something else than it is for: right results, times that say nothing."""
        ...

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as reals."""
        ...

    def run_raw(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as the integer program gives them."""
        ...

    def trace(self, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """Named intermediate integers, by node name."""
        ...


Computing = Callable[[Mapping[Node, Array]], Mapping[Node, Array]]
"""Values of some nodes of a graph, computed from those of others."""


@runtime_checkable
class InParts(Protocol):
    """A runtime that can run pieces of its program on given values."""

    def part(self, graph: Graph, given: Sequence[Node], wanted: Sequence[Node]) -> Computing:
        """The program's own operators between values of the graph that it stands for: those that
        compute `wanted` from `given`."""
        ...


Correct = Callable[[Node, Array], Array]
"""What stands in for a node's value that was computed."""


@runtime_checkable
class InSteps(Protocol):
    """A runtime whose steps can be given other operands than those that it computed."""

    def stepped(self, graph: Graph, inputs: Arrays, correct: Correct) -> dict[str, Array]:
        """Outputs as reals. What `correct` makes of each value in memory, in the order of the
        program, is what later steps read. `graph` is what the program stands for."""
        ...


class Target(Protocol):
    """A place where integer programs run.

    `exact`: a program without float islands equals the interpreter bit for bit. Otherwise each
    output may differ by `tolerance`, the relative error in the Euclidean norm; 0 allows nothing.
    """

    @property
    def name(self) -> str:
        """The word behind --target."""
        ...

    @property
    def summary(self) -> str:
        """One line for `qcompile targets`."""
        ...

    @property
    def instructions(self) -> Mapping[str, str]:
        """Instruction or operator → native, emulated or absent."""
        ...

    @property
    def emulates(self) -> str:
        """Why it serves for checking only, since the chip emulates its instructions; or empty."""
        ...

    @property
    def recipe(self) -> Recipe:
        """What is quantized, and how."""
        ...

    @property
    def exact(self) -> bool:
        """Integer parts equal the interpreter bit for bit."""
        ...

    @property
    def tolerance(self) -> float:
        """Relative error of an output allowed where reals are computed."""
        ...

    def deployed(self, stages: Stages) -> Graph:
        """The stage's graph that the artifact stands for, in this target's own form."""
        ...

    def refusals(self, graph: Graph) -> Sequence[str]:
        """One sentence for each node that the target has no kernel for."""
        ...

    def outline(self, graph: Graph) -> Outline:
        """What a deployed graph's program does, step by step; nothing is built for it.

        `TargetError` says why where the program is not ours to cut into steps.
        """
        ...

    def here(self) -> str:
        """The device of this machine that runs the programs themselves, in words; or nothing."""
        ...

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """Writes kernels and weights into the folder; same graph, same bytes."""
        ...

    def open(self, folder: Path, manifest: Mapping[str, Any], *, threads: int) -> Runtime:
        """The artifact in the folder, ready to run. `ArtifactError` says what is wrong with it."""
        ...
