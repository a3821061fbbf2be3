"""A step of a lowered graph → its kernel: text, launch, expected time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod

from qcompile.targets.cuda.border import Border, border_of
from qcompile.targets.cuda.contraction import Contraction, Summed
from qcompile.targets.cuda.contraction_kernel import contraction_kernel
from qcompile.targets.cuda.devices import Chip
from qcompile.targets.cuda.finishing import instructions
from qcompile.targets.cuda.formats import BITS
from qcompile.targets.cuda.nest_kernel import KernelSource, nest_kernel
from qcompile.targets.cuda.printer import Array
from qcompile.targets.cuda.roofline import machine, predict_map
from qcompile.targets.loops.draft import Arg, External, Step_, Value
from qcompile.targets.loops.nest import Nest, View, nbytes

OURS, THEIRS = 16, 4  # alignment of our buffers and of the caller's, in bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """A kernel and how long it should take on the chip."""

    source: KernelSource
    milliseconds: float


def kernel_of(step: Step_, chip: Chip) -> Ready:
    """The kernel of a step. Equal nests have one kernel, whatever their weights."""
    written = (step.border, *(value for _, value in step.beside))
    borders = tuple(border_around(value) for value in written)
    arrays = tuple(map(known, (*step.args, *(value.where for _, value in step.beside))))
    name = kernel_name(step, borders, arrays)
    comment = f"{step.node.op} {step.node.type}"
    match step.plan:
        case Contraction() as plan:
            source = contraction_kernel(
                step.nest, plan, name, comment=comment, borders=borders, arrays=arrays
            )
            return Ready(source, plan.milliseconds)
        case _:
            source = nest_kernel(step.nest, name, comment=comment, borders=borders, arrays=arrays)
            counted = isinstance(step.plan, Summed)
            return Ready(source, 0.0 if counted else map_milliseconds(step.nest, chip))


def border_around(value: Value | None) -> Border | None:
    """The halo that the kernel fills, if any."""
    return border_of(value) if value is not None and value.layout.has_halo else None


def known(arg: Arg) -> Array:
    """Alignment of an array, and whether it is the caller's."""
    outside = isinstance(arg, External)
    return Array(THEIRS if outside else OURS, outside)


def kernel_name(step: Step_, borders: tuple[Border | None, ...], arrays: tuple[Array, ...]) -> str:
    """Says what it does, and is the kernel's own."""
    nest, plan = step.nest, step.plan
    said = (nest, plan, borders, arrays, step.node.op, str(step.node.type))
    digest = hashlib.sha256(repr(said).encode()).hexdigest()[:10]
    shape = "x".join(map(str, nest.outer))
    match plan:
        case Contraction():
            parts = f"_parts{plan.splits}" if plan.splits > 1 else ""
            kind = f"mma_s{plan.bits}w{plan.weight_bits}_{shape}_k{plan.k_bytes}"
            return f"{kind}_{plan.tile.name}{parts}_{digest}"
        case _:
            over = f"_{nest.combine}" + "x".join(map(str, nest.inner)) if nest.inner else ""
            return f"map_{shape}{over}_{digest}"


def map_milliseconds(nest: Nest, chip: Chip) -> float:
    """What the cost model says of a kernel that is not a contraction."""
    elements = prod(nest.outer)
    results = ((nest.finish, nest.out.elem), *((a.result, a.out.elem) for a in nest.also))
    per = instructions(*results) + prod(nest.inner) * (3 if nest.inner else 0)
    prediction = predict_map(
        machine(chip),
        read_bytes=sum(_touched(view, nest) for view in nest.views),
        written_bytes=sum(_touched(v, nest) for v in (nest.out, *(a.out for a in nest.also))),
        elements=elements,
        instructions=per,
    )
    return prediction.milliseconds


def _touched(view: View, nest: Nest) -> int:
    """Bytes that a view shows, repetitions left out."""
    count = nest.lanes if view.lane != 0 else 1
    for step, extent in zip(view.steps, (*nest.extents, *nest.inner), strict=True):
        count *= extent if step != 0 else 1
    return min(nbytes(count, view.elem), 1 << 40) if view.elem in BITS else count
