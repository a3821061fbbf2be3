"""plan.bin: a plan ↔ its bytes.

The runtime reads them by `runtime/qcrt_plan.h`, field for field as they are written here: magic,
version, length, a checksum over the rest, then fields one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from qcompile.errors import ArtifactError
from qcompile.targets.checksum import fingerprint
from qcompile.targets.cuda.plan import (
    ELEMENTS,
    MAX_RANK,
    WHERES,
    Form,
    Image,
    Launch,
    Layer,
    Phase,
    Plan,
    Port,
    Where,
    flat,
    require,
)  # fmt: skip
from qcompile.targets.cuda.wire import Reader, Writer

T = TypeVar("T")

PLAN, WEIGHTS = "plan.bin", "weights.bin"
MAGIC, VERSION, HEADER = b"qcplan\r\n", 1, 32
KINDS, TYPES = ("cubin", "ptx"), tuple(ELEMENTS)


def encode(plan: Plan) -> bytes:
    """The file. Same plan, same bytes."""
    w = Writer()
    w.text(plan.name)
    w.text(plan.target)
    w.each((plan.arena_bytes, plan.weights_bytes, plan.weights_fingerprint), w.u64)
    for ports in (plan.inputs, plan.outputs):
        w.u32(len(ports))
        w.each(ports, partial(_write_port, w))
    w.u32(len(plan.layers))
    w.each(plan.layers, partial(_write_layer, w))
    w.u32(len(plan.kernels))
    w.each(plan.kernels, w.text)
    w.u32(len(plan.images))
    w.each(plan.images, partial(_write_image, w, plan.kernels))
    w.u32(len(plan.launches))
    w.each(plan.launches, partial(_write_launch, w, plan.kernels))
    return sealed(bytes(w.data))


def decode(data: bytes) -> Plan:
    """The plan again. `ArtifactError` says what is wrong with the bytes."""
    r = _unsealed(data)
    name, target = r.text(), r.text()
    arena, weights, checksum = r.u64(), r.u64(), r.u64()
    inputs, outputs = (r.each(r.u32(), partial(_read_port, r)) for _ in range(2))
    layers = r.each(r.u32(), partial(_read_layer, r))
    kernels = r.each(r.u32(), r.text)
    images = r.each(r.u32(), partial(_read_image, r, kernels))
    launches = r.each(r.u32(), partial(_read_launch, r, kernels))
    require(not any(data[HEADER + r.at :]), "plan.bin: there is something after its end")
    plan = Plan(
        name, target, arena, weights, checksum, inputs, outputs, layers, images, launches
    )  # fmt: skip
    require(plan.kernels == kernels, "plan.bin: its kernels are not those of its launches")
    return plan


def sealed(body: bytes) -> bytes:
    """The fields behind a header that vouches for them."""
    body += bytes(-len(body) % 8)
    w = Writer(bytearray(MAGIC))
    w.u32(VERSION)
    w.u32(0)
    w.u64(HEADER + len(body))
    w.u64(fingerprint([body]))
    return bytes(w.data) + body


def _unsealed(data: bytes) -> Reader:
    head = Reader(data)
    require(head.take(8) == MAGIC, "plan.bin: this is no plan")
    version = head.u32()
    require(version == VERSION, f"plan.bin has version {version}, this is version {VERSION}")
    whole = head.u32() == 0 and head.u64() == len(data) and len(data) % 8 == 0
    require(whole, "plan.bin is cut short or has grown")
    body = data[HEADER:]
    require(head.u64() == fingerprint([body]), "plan.bin is damaged: its checksum does not hold")
    return Reader(body)


def _write_shape(w: Writer, elem: str, shape: tuple[int, ...]) -> None:
    w.u32(TYPES.index(elem))
    w.u32(len(shape))
    w.each(shape, w.u64)


def _read_shape(r: Reader) -> tuple[str, tuple[int, ...]]:
    elem = _chosen(TYPES, r.u32())
    rank = r.u32()
    require(rank <= MAX_RANK, f"plan.bin: rank {rank}")
    return elem, r.each(rank, r.u64)


def _write_form(w: Writer, form: Form) -> None:
    _write_shape(w, form.elem, form.shape)
    w.u32(len(form.scales))
    w.u32(form.axis)
    w.each(form.scales, w.f32)
    w.each(form.zeros, w.i32)


def _read_form(r: Reader) -> Form:
    elem, shape = _read_shape(r)
    count, axis = r.u32(), r.u32()
    return Form(elem, shape, r.each(count, r.f32), r.each(count, r.i32), axis)


def _write_port(w: Writer, port: Port) -> None:
    w.text(port.name)
    _write_form(w, port.real)
    _write_form(w, port.raw)


def _read_port(r: Reader) -> Port:
    return Port(r.text(), _read_form(r), _read_form(r))


def _write_layer(w: Writer, layer: Layer) -> None:
    w.text(layer.name)
    _write_shape(w, layer.elem, layer.shape)
    w.u32(layer.bits)
    w.u64(layer.offset)
    w.each(layer.strides, w.u64)


def _read_layer(r: Reader) -> Layer:
    name = r.text()
    elem, shape = _read_shape(r)
    bits, offset = r.u32(), r.u64()
    return Layer(name, elem, shape, offset, r.each(len(shape), r.u64), bits)


def _write_image(w: Writer, kernels: tuple[str, ...], image: Image) -> None:
    major, minor = image.capability
    fields = (KINDS.index(image.kind), major, minor, int(image.exact))
    w.each((*fields, image.min_driver, image.elf_abi), w.u32)
    w.text(image.file)
    w.u64(image.bytes)
    w.u64(image.fingerprint)
    for kernel in kernels:
        w.each(image.entries[kernel], w.u64)


def _read_image(r: Reader, kernels: tuple[str, ...]) -> Image:
    prefix = _chosen(("sm", "ptx"), r.u32())
    arch = f"{prefix}_{r.u32()}{_chosen(range(10), r.u32())}{_chosen(('', 'a'), r.u32())}"
    min_driver, elf_abi = r.u32(), r.u32()
    file, size, checksum = r.text(), r.u64(), r.u64()
    entries = {kernel: (r.u64(), r.u64()) for kernel in kernels}
    return Image(arch, file, size, checksum, entries, min_driver, elf_abi)


def _write_launch(w: Writer, kernels: tuple[str, ...], launch: Launch) -> None:
    kernel = kernels.index(launch.kernel)
    w.each((kernel, launch.grid, launch.block, launch.shared, launch.phase), w.u32)
    w.i32(launch.shows)
    w.u32(launch.shown)
    w.text(launch.node)
    w.u32(len(launch.args))
    for kind, value in map(flat, launch.args):
        w.u32(kind)
        w.u64(value)


def _read_launch(r: Reader, kernels: tuple[str, ...]) -> Launch:
    kernel = _chosen(kernels, r.u32())
    grid, block, shared = r.u32(), r.u32(), r.u32()
    phase = _chosen(tuple(Phase), r.u32())
    shows, shown, node = r.i32(), r.u32(), r.text()
    args = r.each(r.u32(), partial(_read_where, r))
    return Launch(kernel, grid, block, shared, args, phase, node, shows, shown)


def _read_where(r: Reader) -> Where:
    kind = _chosen(WHERES, r.u32())
    return kind(r.u64())


def _chosen(values: Sequence[T], index: int) -> T:
    if index >= len(values):
        raise ArtifactError(f"plan.bin: choice {index} of {len(values)}")
    return values[index]
