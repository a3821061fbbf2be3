"""A lowered graph → the artifact's files: kernels, plan, weights, the runtime in C."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.types import TensorType
from qcompile.program.program import Buffer, Program
from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda import plan as p
from qcompile.targets.cuda.build import Kernel, compile_kernels
from qcompile.targets.cuda.containers import contain
from qcompile.targets.cuda.devices import Chip
from qcompile.targets.cuda.elf import read_cubin, read_ptx
from qcompile.targets.cuda.emulator import device_headers
from qcompile.targets.cuda.gates import Limit, check_resources, limit
from qcompile.targets.cuda.host import build_host
from qcompile.targets.cuda.nest_kernel import KernelSource
from qcompile.targets.cuda.plan_file import PLAN, WEIGHTS, encode
from qcompile.targets.cuda.steps import kernel_of
from qcompile.targets.loops.draft import Arg, External, Stored, Value
from qcompile.targets.loops.memory import planned
from qcompile.targets.loops.nest import NIBBLES
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.select import Lowered, Port

KERNELS = "kernels"  # the folder of sources
FOREIGN = ("aarch64",)
Gate: TypeAlias = Callable[[Kernel, Limit], None]


@dataclass(frozen=True)
class Built:
    """What was written, and the program behind it."""

    files: tuple[str, ...]
    plan: p.Plan
    kernels: Mapping[str, Kernel]
    milliseconds: float


def build(lowered: Lowered, name: str, target: str, chip: Chip, folder: Path, *,
          cache: Path | None, threads: int, gate: Gate = check_resources) -> Built:  # fmt: skip
    """Compiles the program into the folder; same graph, same bytes. Kernels must pass the gate."""
    ready = [kernel_of(step, chip) for step in lowered.steps]
    texts = [each.source for each in ready]
    kernels, sources = compiled(texts, chip, gate=gate, cache=cache, threads=threads)
    program = planned(lowered)
    folder.mkdir(parents=True, exist_ok=True)
    images = _write_images(kernels, chip, folder)
    weights = lowered.weights or (bytes(64),)
    with (folder / WEIGHTS).open("wb") as file:
        file.writelines(weights)
    layers, shows = _layers(lowered, program)
    plan = p.Plan(
        name=name,
        target=target,
        arena_bytes=max(program.size, 64),
        weights_bytes=sum(map(len, weights)),
        weights_fingerprint=fingerprint(weights),
        inputs=tuple(_port(port) for port in lowered.inputs),
        outputs=tuple(_port(port) for port in lowered.outputs),
        layers=layers,
        images=images,
        launches=tuple(_launches(lowered, sources, program, shows)),
    )
    (folder / PLAN).write_bytes(encode(plan))
    written = _write_sources(sources, folder)
    host = build_host(folder, foreign=FOREIGN)
    binaries = tuple(image.file for image in images)
    return Built(
        files=(PLAN, WEIGHTS, *binaries, *written, *host),
        plan=plan,
        kernels=kernels,
        milliseconds=_of_reals(lowered, [each.milliseconds for each in ready]),
    )


def _of_reals(lowered: Lowered, times: Sequence[float]) -> float:
    """What a run on reals takes: the steps for raw inputs and outputs are not in it."""
    skipped = {id(step) for step in (*lowered.enter_raw, *lowered.leave_raw)}
    steps = zip(lowered.steps, times, strict=True)
    return sum(time for step, time in steps if id(step) not in skipped)


def compiled(
    sources: Sequence[KernelSource], chip: Chip, *, gate: Gate, cache: Path | None, threads: int
) -> tuple[dict[str, Kernel], list[KernelSource]]:
    """Machine code of every kernel, within what the chip gives a block; and the sources it is of.

    The compiler holds registers back so that many blocks fit side by side, and now and then spills
    for it. Such kernels are compiled again with leave to use what one block may have.
    """
    each = {source.name: source for source in sources}
    kernels = _compile(each, chip, cache=cache, threads=threads)
    tight = [name for name, kernel in kernels.items() if kernel.stack or kernel.spill_stores]
    if tight:
        each |= {name: relaxed(each[name]) for name in tight}
        again = {name: each[name] for name in tight}
        kernels |= _compile(again, chip, cache=cache, threads=threads)
    for name, kernel in kernels.items():
        source = each[name]
        gate(kernel, limit(chip, threads=source.block, dynamic_shared=source.shared))
    return kernels, [each[source.name] for source in sources]


def relaxed(source: KernelSource) -> KernelSource:
    """The kernel with one block a multiprocessor in mind."""
    bound = f"__launch_bounds__({source.block})"
    return replace(source, text=source.text.replace(bound, f"{bound[:-1]}, 1)"))


def _compile(
    sources: Mapping[str, KernelSource], chip: Chip, *, cache: Path | None, threads: int
) -> dict[str, Kernel]:
    texts = {name: source.text for name, source in sources.items()}
    return compile_kernels(texts, chip, headers=device_headers(), cache=cache, threads=threads)


def _write_images(kernels: Mapping[str, Kernel], chip: Chip, folder: Path) -> tuple[p.Image, ...]:
    """Machine code for the chip, PTX for every later one."""
    cubins = {name: kernel.cubin for name, kernel in kernels.items()}
    texts = {name: kernel.ptx for name, kernel in kernels.items()}
    first = next(iter(kernels.values()))
    version = chip.arch.removeprefix("sm_")
    cubin, ptx = read_cubin(first.cubin), read_ptx(first.ptx)
    images = (
        contain(chip.arch, cubins, min_driver=cubin.min_driver, elf_abi=cubin.abi_version),
        contain(f"ptx_{version}", texts, min_driver=ptx.min_driver),
    )
    for image, content in images:
        (folder / image.file).write_bytes(content)
    return tuple(image for image, _ in images)


def _write_sources(sources: Sequence[KernelSource], folder: Path) -> tuple[str, ...]:
    """What was compiled, to be read, and run by the emulator."""
    texts = {f"{source.name}.cu": source.text for source in sources} | device_headers()
    (folder / KERNELS).mkdir()
    for name, text in sorted(texts.items()):
        (folder / KERNELS / name).write_text(text)
    return tuple(f"{KERNELS}/{name}" for name in sorted(texts))


# the plan


def _launches(
    lowered: Lowered,
    sources: Sequence[KernelSource],
    program: Program[int],
    shows: dict[int, tuple[int, int]],
) -> Iterable[p.Launch]:
    phases = (
        (p.Phase.ENTER_REAL, lowered.enter_real),
        (p.Phase.ENTER_RAW, lowered.enter_raw),
        (p.Phase.BODY, lowered.body),
        (p.Phase.LEAVE_RAW, lowered.leave_raw),
        (p.Phase.LEAVE_REAL, lowered.leave_real),
    )
    index = 0
    for phase, steps in phases:
        for step in steps:
            source = sources[index]
            given = (*step.args, *(value.where for _, value in step.beside))
            yield p.Launch(
                kernel=source.name,
                grid=source.grid,
                block=source.block,
                shared=source.shared,
                args=tuple(_where(arg, program) for arg in given),
                phase=phase,
                node=step.node.name or step.node.op,
                shows=shows.get(index, (-1, 0))[0],
                shown=shows.get(index, (-1, 0))[1],
            )
            index += 1


def _where(arg: Arg, program: Program[int]) -> p.Where:
    match arg:
        case Buffer():
            return p.Arena(program.offsets[arg])
        case Stored(offset=offset):
            return p.Weights(offset)
        case External(index=index, output=True):
            return p.OutputOf(index)
        case External(index=index):
            return p.InputOf(index)


def _layers(
    lowered: Lowered, program: Program[int]
) -> tuple[tuple[p.Layer, ...], dict[int, tuple[int, int]]]:
    """Values that lie complete in memory; after each step the first such, and how many."""
    last: dict[int, tuple[int, Node, Value]] = {}
    for i, step in enumerate(lowered.steps):
        shown = () if step.shows is None else ((step.node, step.shows), *step.beside)
        last |= {id(node): (i, node, value) for node, value in shown}
    layers: list[p.Layer] = []
    shows: dict[int, tuple[int, int]] = {}
    for i, node, value in sorted(last.values(), key=lambda entry: entry[0]):
        first, count = shows.get(i, (len(layers), 0))
        shows[i] = (first, count + 1)
        layers.append(_layer(node, value, program))
    return tuple(layers), shows


def _layer(node: Node, value: Value, program: Program[int]) -> p.Layer:
    assert isinstance(value.where, Buffer)
    elem = stored(node.type.elem)
    bits = 4 if value.elem in NIBBLES else 8 * p.ELEMENTS[value.elem]
    return p.Layer(
        name=node.name or node.op,
        elem=elem,
        shape=static(node.type.shape),
        offset=program.offsets[value.where] + value.layout.offset * bits // 8,
        strides=tuple(value.layout.strides),
        bits=bits,
    )


def _port(port: Port) -> p.Port:
    return p.Port(port.name, _form(port.real), _form(port.raw))


def _form(kind: TensorType) -> p.Form:
    shape, elem = static(kind.shape), stored(kind.elem)
    if kind.unit is None:
        return p.Form(elem, shape)
    unit = kind.unit
    scales = tuple(float(np.float32(scale)) for scale in unit.scale)
    zeros = unit.zero_point * (len(scales) if len(unit.zero_point) == 1 else 1)
    return p.Form(elem, shape, scales, zeros, unit.axis or 0)
