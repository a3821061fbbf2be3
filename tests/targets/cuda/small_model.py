"""A plan of five kernels for the fake driver, its folder, and what it computes, in numpy."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

from qcompile.ir.types import Array
from qcompile.targets.checksum import fingerprint
from qcompile.targets.compilers import c_compiler
from qcompile.targets.cuda.containers import contain
from qcompile.targets.cuda.host import build_host
from qcompile.targets.cuda.library import CudaLibrary
from qcompile.targets.cuda.plan import (
    Arena,
    Form,
    InputOf,
    Launch,
    Layer,
    OutputOf,
    Phase,
    Plan,
    Port,
    Weights,
    Where,
)  # fmt: skip
from qcompile.targets.cuda.plan_file import PLAN, WEIGHTS, encode

SHAPE = (2, 8)
WEIGHT = np.arange(128, dtype=np.uint8)
KERNELS = ("quantize", "copy", "add", "pack", "dequantize")
REAL = Form("f32", SHAPE, (0.5,), (10,))
RAW = Form("u8", SHAPE, (0.5,), (10,))
PLAIN = Form("u8", SHAPE)


def one(kernel: str, args: tuple[Where, ...], phase: Phase, node: str, shows: int = -1) -> Launch:
    return Launch(kernel, 2, 8, 0, args, phase, node, shows, int(shows >= 0))


LAUNCHES = (
    one("quantize", (InputOf(0), Arena(0)), Phase.ENTER_REAL, "q"),
    one("copy", (InputOf(0), Arena(0)), Phase.ENTER_RAW, "q"),
    one("add", (Arena(0), Weights(64), Arena(64)), Phase.BODY, "weighted", 0),
    replace(one("pack", (Arena(64), Arena(128)), Phase.BODY, "packed", 1), grid=1),
    one("add", (Arena(64), InputOf(1), Arena(192)), Phase.BODY, "sum", 2),
    one("copy", (Arena(192), OutputOf(0)), Phase.LEAVE_RAW, "real"),
    one("dequantize", (Arena(192), OutputOf(0)), Phase.LEAVE_REAL, "real"),
)
LAYERS = (
    Layer("weighted", "u8", SHAPE, 64, (8, 1), 8),
    Layer("packed", "i8", SHAPE, 128, (8, 1), 4),
    Layer("sum", "u8", (8, 2), 192, (1, 8), 8),  # seen across
)


def cubin(name: str) -> bytes:
    """What the fake driver takes for a cubin."""
    return (b"\x7fELF".ljust(64, b"\0") + name.encode()).ljust(130, b"\0")


def ptx(name: str) -> bytes:
    return b"// PTX " + name.encode()


CUBINS = {name: cubin(name) for name in KERNELS}
IMAGE, CUBIN_FILE = contain("sm_75", CUBINS, min_driver=12000, elf_abi=7)
PTX_IMAGE, PTX_FILE = contain("ptx_75", {n: ptx(n) for n in KERNELS}, min_driver=12040)
FILES = {IMAGE.file: CUBIN_FILE, PTX_IMAGE.file: PTX_FILE}

PLAN_SMALL = Plan(
    name="small", target="t4-int8", arena_bytes=256, weights_bytes=WEIGHT.nbytes,
    weights_fingerprint=fingerprint([WEIGHT.tobytes()]),
    inputs=(Port("x", REAL, RAW), Port("y", PLAIN, PLAIN)), outputs=(Port("z", REAL, RAW),),
    layers=LAYERS, images=(IMAGE, PTX_IMAGE), launches=LAUNCHES,
)  # fmt: skip


def written(folder: Path, plan: Plan = PLAN_SMALL) -> Path:
    """The artifact's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN).write_bytes(encode(plan))
    (folder / WEIGHTS).write_bytes(WEIGHT.tobytes())
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


def drawn(seed: int = 0) -> list[Array]:
    """A real x and an integer y."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-20, 200, SHAPE).astype(np.float32) / 4
    return [x, rng.integers(0, 256, SHAPE, dtype=np.uint8)]


def quantized(x: Array) -> Array:
    return np.clip(np.rint(x / np.float32(0.5)) + 10, 0, 255).astype(np.uint8)


def weighted(x: Array) -> Array:
    return quantized(x) + WEIGHT[64:80].reshape(SHAPE)


def raw_result(x: Array, y: Array) -> Array:
    return weighted(x) + y


def real_result(x: Array, y: Array) -> Array:
    return np.float32(0.5) * (raw_result(x, y).astype(np.float32) - 10)


def low_halves(values: Array) -> Array:
    """Their low four bits as signed numbers."""
    nibbles = (values & 15).astype(np.int8)
    return np.where(nibbles >= 8, nibbles - 16, nibbles).astype(np.int8)


def compile_c(source: Path, to: Path, *flags: str) -> Path:
    """A C file of the tests as a library or, with other flags, a program."""
    compiler = c_compiler("x86_64-linux-gnu")
    subprocess.run([*compiler, "-O1", "-g0", *flags, str(source), "-o", str(to), "-lm"], check=True)
    return to


class Fake:
    """The fake driver, and what it is told to be. One instance for each path."""

    def __init__(self, folder: Path) -> None:
        self.path = compile_c(
            Path(__file__).with_name("fake_driver.c"), folder / "fake_driver.so",
            "-fPIC", "-shared", "-fvisibility=hidden",
        )  # fmt: skip
        self.c = ctypes.CDLL(str(self.path))
        self.c.fake_logged.restype = ctypes.c_char_p

    def fail(self, name: str, result: int, *, call: int = 1) -> None:
        """The call of that number, from now on, gives that result."""
        self.c.fake_fault(name.encode(), call, result)

    @property
    def calls(self) -> list[str]:
        """What was called since the log was started."""
        return self.c.fake_logged().decode().split()

    @property
    def alive(self) -> int:
        """What was had from the driver and not given back."""
        return int(self.c.fake_alive())


class Place:
    """A folder with the runtime's library, the fake driver and the small model."""

    def __init__(self, folder: Path) -> None:
        build_host(folder / "host")
        self.library = folder / "host" / "libqcrt.so"
        self.fake = Fake(folder)
        self.folder = written(folder / "model")

    def open(self, folder: Path | None = None, *, graphs: bool = True, **options) -> CudaLibrary:
        """The model, opened on the fake driver."""
        return CudaLibrary(
            self.library, folder or self.folder, driver=self.fake.path, graphs=graphs, **options
        )
