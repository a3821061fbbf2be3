"""What becomes of sums: the method of a contraction's Problem, in a kernel of one call a thread."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.types import I8, U8
from qcompile.targets.cuda.emulator import Emulator, emulator_library
from qcompile.targets.cuda.finish import finish_source
from qcompile.targets.cuda.nest_kernel import KernelSource, nest_kernel
from qcompile.targets.cuda.printer import parameters
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Step_
from qcompile.targets.loops.nest import Nest, View
from tests.targets.cuda.checks import Case, Memory, case, kernel
from tests.targets.cuda.value_cases import I4, U4, residual
from tests.targets.tvm.checks import drawn


@dataclass(frozen=True)
class Halves:
    """A step in two kernels: one writes the bare sums, one takes them as a contraction would."""

    step: Step_
    sums: KernelSource
    rest: KernelSource
    count: int


def halves(step: Step_, name: str) -> Halves:
    nest = step.nest
    width, places = nest.blocks * nest.lanes, prod(nest.outer[:-1])
    strides = [prod(nest.outer[i + 1 : -1]) * width for i in range(len(nest.outer) - 1)]
    out = View("i32", (*strides, nest.lanes, *(0 for _ in nest.inner)), 1)
    bare = replace(nest, out=out, init=e.imm(0), finish=e.Acc(*e.INT32, "i32"), exact=False)
    sums = nest_kernel(bare, f"{name}_sums", comment="")
    return Halves(step, sums, rest(nest, f"{name}_rest", places, width), places * width)


def rest(nest: Nest, name: str, places: int, width: int) -> KernelSource:
    """A thread for each place and run of channels."""
    finish = finish_source(nest)
    runs, lanes = width // nest.lanes, nest.lanes
    text = f"""#include "qc_values.cuh"
struct Problem_{name} {{
{finish.members}
{finish.method}
}};
extern "C" __global__ void {name}({parameters(nest)}, const int* all) {{
    const int thread = blockIdx.x * 256 + threadIdx.x;
    if (thread >= {places * runs}) return;
    int sums[{lanes}];
    for (int i = 0; i < {lanes}; ++i) sums[i] = all[thread * {lanes} + i];
    const Problem_{name} problem{{{finish.arguments}}};
    problem.finish(thread / {runs}, thread % {runs} * {lanes}, 0, true, sums);
}}
QC_KERNEL({name})
"""
    return KernelSource(name, text, -(-places * runs // 256), 256)


def split(name: str, whole: Case) -> list[KernelSource | Halves]:
    """The case's kernels; each sum of products in two."""
    steps = whole.lowered.steps
    return [
        halves(step, f"{name}_{i}") if step.nest.body else kernel(step, f"{name}_{i}")
        for i, step in enumerate(steps)
    ]


CASES: Mapping[str, Case] = {
    "u8": case("u8", residual(U8), lanes=8),
    "i8_ragged": case("i8_ragged", residual(I8, channels=19), lanes=8),
    "u4": case("u4", residual(U4), lanes=8),
    "i4_ragged": case("i4_ragged", residual(I4, channels=37), lanes=8),
}
PARTS = {name: split(name, whole) for name, whole in CASES.items()}


def texts(part: KernelSource | Halves) -> list[KernelSource]:
    return [part.sums, part.rest] if isinstance(part, Halves) else [part]


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Emulator:
    files = {
        name: "\n".join(k.text for part in parts for k in texts(part))
        for name, parts in PARTS.items()
    }
    return Emulator(emulator_library(files, cache=emulator_cache, flags=("-O0",)))


def launch(
    emulator: Emulator,
    part: KernelSource | Halves,
    arrays: list[np.ndarray],  # pyright: ignore
) -> None:
    if isinstance(part, KernelSource):
        emulator.launch(part.name, grid=(part.grid,), block=(part.block,), arrays=arrays)
        return
    sums = np.zeros(part.count + 64, np.int32)
    launch(emulator, part.sums, [*arrays[:-1], sums])
    launch(emulator, part.rest, [*arrays, sums])


def outputs(name: str, emulator: Emulator) -> list[np.ndarray]:  # pyright: ignore
    whole = CASES[name]
    memory = Memory(whole.lowered, drawn(whole.graph))
    kinds = [port.real for port in whole.lowered.outputs]
    used = (*whole.lowered.enter_real, *whole.lowered.body, *whole.lowered.leave_real)
    for step, part in zip(whole.lowered.steps, PARTS[name], strict=True):
        if any(step is u for u in used):
            launch(emulator, part, [memory.array(a, kinds) for a in step.args])
    return [memory.outputs[i] for i in range(len(kinds))]


@pytest.mark.parametrize("name", CASES)
def test_sums_become_what_the_interpreter_says(name: str, emulator: Emulator):
    graph = CASES[name].graph
    for got, want in zip(outputs(name, emulator), graph.run(*drawn(graph)), strict=True):
        np.testing.assert_array_equal(got.view(want.dtype).reshape(want.shape), want)


def test_a_part_of_a_split_sum_goes_to_its_place():
    step = next(s for s in CASES["u8"].lowered.steps if s.nest.body)
    text = finish_source(step.nest, parts=5000).method
    assert "+ split * 5000;" in text


def test_only_pointers_that_are_used_are_members():
    step = next(s for s in CASES["u8"].lowered.steps if s.nest.body)
    finish = finish_source(step.nest)
    assert finish.arguments.split(", ")[-1] == "out"
    assert "v0;" not in finish.members
    assert finish.members.count(";") == len(finish.arguments.split(", "))
