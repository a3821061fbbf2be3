"""What the runtime is told besides weights and kernels: launches, ports, layers, kernel images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import prod

from qcompile.errors import ArtifactError

ELEMENTS = {"u8": 1, "i8": 1, "i16": 2, "i32": 4, "f32": 4, "bool": 1, "i64": 8}  # and their bytes
MAX_RANK, MAX_ARGS, MAX_BLOCK, MAX_SHARED = 8, 64, 1024, 256 * 1024
LIMIT = 1 << 40


@dataclass(frozen=True, slots=True)
class Arena:
    """A place in working memory, in bytes."""

    offset: int


@dataclass(frozen=True, slots=True)
class Weights:
    """A place in weights.bin, in bytes."""

    offset: int


@dataclass(frozen=True, slots=True)
class InputOf:
    """The whole of an input."""

    index: int


@dataclass(frozen=True, slots=True)
class OutputOf:
    """The whole of an output."""

    index: int


Where = Arena | Weights | InputOf | OutputOf


class Phase(IntEnum):
    """When a launch takes part: inputs come as reals or raw, outputs leave as reals or raw."""

    ENTER_REAL = 0
    ENTER_RAW = 1
    BODY = 2
    LEAVE_RAW = 3
    LEAVE_REAL = 4


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel on `grid` blocks of `block` threads; `shared` bytes of dynamic shared memory.

    `args` are pointers, in the kernel's order. After it `shown` layers are complete, number `shows`
    and those that follow; −1 if there are none.
    """

    kernel: str
    grid: int
    block: int
    shared: int
    args: tuple[Where, ...]
    phase: Phase
    node: str
    shows: int = -1
    shown: int = 0

    def __post_init__(self) -> None:
        good = (
            0 < self.grid < 1 << 31
            and 0 < self.block <= MAX_BLOCK
            and 0 <= self.shared <= MAX_SHARED
            and len(self.args) <= MAX_ARGS
            and (self.shows >= 0 if self.shown > 0 else self.shows == -1 and self.shown == 0)
        )
        require(good, f"launch of {self.kernel} for {self.node}: out of range: {self}")


@dataclass(frozen=True, slots=True)
class Form:
    """Element, shape, unit of a dense tensor: no scales, one, or one for each index of `axis`."""

    elem: str
    shape: tuple[int, ...]
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis: int = 0

    def __post_init__(self) -> None:
        _check_shape(self.elem, self.shape)
        count = len(self.scales)
        fits = count < 2 or self.shape[self.axis : self.axis + 1] == (count,)
        good = fits and len(self.zeros) == count and 0 <= self.axis < MAX_RANK
        require(good, f"scales do not fit the axis: {self}")

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return ELEMENTS[self.elem] * prod(self.shape)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: as the model has it, and as the raw integers behind it."""

    name: str
    real: Form
    raw: Form


@dataclass(frozen=True, slots=True)
class Layer:
    """A value in the arena, for tracing. Element i of axis a is `strides[a]` elements further on.

    `offset` is in bytes, where element 0 is. An element takes `bits` bits; a 4-bit one (u8 or i8
    once unpacked) with an even index is in the low half of its byte.
    """

    name: str
    elem: str
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]
    bits: int

    def __post_init__(self) -> None:
        _check_shape(self.elem, self.shape)
        wide = 8 * ELEMENTS[self.elem]
        good = self.bits == wide or (self.bits == 4 and self.elem in ("u8", "i8"))
        require(good, f"layer {self.name}: {self.bits} bits for an element {self.elem}")
        require(len(self.strides) == len(self.shape), f"layer {self.name}: strides of another rank")
        apart = prod(self.shape) <= self._last + 1
        good = self.offset >= 0 and min(self.strides, default=0) >= 0 and apart
        require(good, f"layer {self.name}: offset {self.offset}, strides {self.strides}")

    @property
    def _last(self) -> int:
        return sum((d - 1) * s for d, s in zip(self.shape, self.strides, strict=True) if d > 0)

    @property
    def end(self) -> int:
        """The byte after its last."""
        if prod(self.shape) == 0:
            return self.offset
        return self.offset + ((self._last + 1) * self.bits + 7) // 8


@dataclass(frozen=True)
class Image:
    """One file of kernels: cubins (`sm_75`) or PTX (`ptx_75`); with an `a` for that device alone.

    `entries` gives offset and size of each kernel; `min_driver` is a version as the driver tells
    its own, 1000 · major + 10 · minor.
    """

    arch: str
    file: str
    bytes: int
    fingerprint: int
    entries: Mapping[str, tuple[int, int]]
    min_driver: int
    elf_abi: int = 0

    def __post_init__(self) -> None:
        self.capability  # noqa: B018  raises for an unknown arch
        named = self.file != "" and not self.file.startswith(".") and "/" not in self.file
        require(named, f"image {self.arch}: {self.file!r} is no file name")
        require(self.bytes % 8 == 0, f"image {self.file}: {self.bytes} bytes are no whole words")
        for kernel, (offset, size) in self.entries.items():
            inside = offset >= 0 and offset % 8 == 0 and size > 0 and offset + size <= self.bytes
            require(inside, f"image {self.file}: {kernel} at {offset}, {size} bytes")

    @property
    def kind(self) -> str:
        """`cubin` or `ptx`."""
        return "ptx" if self.arch.startswith("ptx_") else "cubin"

    @property
    def exact(self) -> bool:
        """For no later device."""
        return self.arch.endswith("a")

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability it is for."""
        kind, _, version = self.arch.removesuffix("a").partition("_")
        known = kind in ("sm", "ptx") and version.isdecimal() and version.isascii()
        require(known and 2 <= len(version) <= 3, f"{self.arch!r} is not like sm_75 or ptx_75")
        return int(version[:-1]), int(version[-1])


@dataclass(frozen=True)
class Plan:
    """One compiled model. Every image holds every kernel that is launched."""

    name: str
    target: str
    arena_bytes: int
    weights_bytes: int
    weights_fingerprint: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Layer, ...]
    images: tuple[Image, ...]
    launches: tuple[Launch, ...]

    def __post_init__(self) -> None:
        require(
            0 <= self.arena_bytes <= LIMIT, f"{self.name}: an arena of {self.arena_bytes} bytes"
        )
        whole = self.weights_bytes % 8 == 0 and 0 <= self.weights_bytes <= LIMIT
        require(whole, f"{self.name}: weights of {self.weights_bytes} bytes are no whole words")
        for image in self.images:
            odd = sorted(set(self.kernels) ^ set(image.entries))
            require(not odd, f"{self.name}: {image.file} and the launches differ in {odd}")
        for layer in self.layers:
            require(layer.end <= self.arena_bytes, f"layer {layer.name} lies outside the arena")
        for launch in self.launches:
            good = launch.shows + launch.shown <= len(self.layers)
            good = good and all(map(self._holds, launch.args))
            require(good, f"{launch.node}: {launch} lies outside of what there is")

    @property
    def kernels(self) -> tuple[str, ...]:
        """Every kernel once, in the order of first use."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))

    def _holds(self, where: Where) -> bool:
        kind, value = flat(where)
        limits = (self.arena_bytes, self.weights_bytes, len(self.inputs), len(self.outputs))
        return 0 <= value < limits[kind]


def flat(where: Where) -> tuple[int, int]:
    """Its kind as a number, and the offset or index."""
    match where:
        case Arena(offset=value):
            return 0, value
        case Weights(offset=value):
            return 1, value
        case InputOf(index=value):
            return 2, value
        case OutputOf(index=value):
            return 3, value


WHERES: tuple[type[Where], ...] = (Arena, Weights, InputOf, OutputOf)  # by the numbers of `flat`


def require(holds: bool, message: str) -> None:
    """`ArtifactError` unless it holds."""
    if not holds:
        raise ArtifactError(message)


def _check_shape(elem: str, shape: tuple[int, ...]) -> None:
    require(elem in ELEMENTS, f"no element {elem!r} at run time: give one of {', '.join(ELEMENTS)}")
    small = len(shape) <= MAX_RANK and ELEMENTS[elem] * prod(max(d, 1) for d in shape) <= LIMIT
    require(min(shape, default=0) >= 0 and small, f"shape {list(shape)}: beyond all limits")
