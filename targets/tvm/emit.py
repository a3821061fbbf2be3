"""A planned program → the C file of its library: tables, a function per step, the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.types import TensorType
from qcompile.program.program import Buffer
from qcompile.targets.checksum import fingerprint
from qcompile.targets.loops.draft import Arg, External, Step_, Stored, Value
from qcompile.targets.loops.nest import BYTES
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.select import Lowered, Port
from qcompile.targets.tvm.isa import Isa
from qcompile.targets.tvm.weights_file import Spread, WeightsFile

C_TYPES = {
    "u8": "uint8_t", "i8": "int8_t", "bool": "uint8_t", "i16": "int16_t", "u16": "uint16_t",
    "i32": "int32_t", "f32": "float", "i64": "int64_t",
}  # fmt: skip
QC_TYPES = {
    "u8": "QC_U8", "i8": "QC_I8", "i16": "QC_I16", "i32": "QC_I32", "f32": "QC_F32",
    "bool": "QC_BOOL", "i64": "QC_I64",
}  # fmt: skip
X86 = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni", "avx512vbmi"}


@dataclass(frozen=True)
class Source:
    """What the C file is written from: each step's function in `kernels`, each value's name."""

    name: str
    values: Mapping[Node, str]
    lowered: Lowered
    kernels: tuple[str, ...]
    offsets: dict[Buffer, int]
    arena: int
    weights: WeightsFile
    isa: Isa


def model_c(source: Source) -> str:
    """The whole C file."""
    runtime = files("qcompile.targets.tvm").joinpath("runtime.c").read_text()
    values = _values(source)
    borders = [s.border for s in source.lowered.steps if s.border is not None]
    parts = [
        '#include "model.h"\n',
        _constants(source),
        _TYPES,
        _features(source.isa),
        *_declarations(source),
        *(_step_function(source, i, s) for i, s in enumerate(source.lowered.steps)),
        _spread_table(source),
        _border_table(source, borders),
        _value_table(source, values),
        _step_table(source, values),
        _ports("qc_input_tensors", source.lowered.inputs),
        _ports("qc_output_tensors", source.lowered.outputs),
        runtime,
    ]
    return "\n".join(parts)


_TYPES = """
typedef struct {
  uint8_t *arena;
  const uint8_t *weights, *unpacked;
  const uint8_t *const *inputs;
  uint8_t *const *outputs;
} qc_frame;

enum { QC_BODY, QC_ENTER_REAL, QC_ENTER_RAW, QC_LEAVE_REAL, QC_LEAVE_RAW };

typedef struct {
  void (*run)(const qc_frame *, int32_t, int32_t);
  int32_t tasks, phase, border, value;
  const char *name, *kernel;
} qc_step;

/* A constant of the file, packed, and where its elements go; weights_file.py says what is what. */
typedef struct {
  int32_t elem, bits, less, rank, axis, group;
  int64_t to, count, source, steps, scales;
  int64_t extent[QC_MAX_RANK], table[QC_MAX_RANK];
} qc_spread;

/* A block of `rank` stored axes; `last` of them have something before or after the inner box. */
typedef struct {
  int64_t offset;
  int32_t bytes, rank, last;
  uint64_t fill;
  int64_t extent[QC_MAX_RANK], before[QC_MAX_RANK], after[QC_MAX_RANK];
} qc_border;

typedef struct {
  int64_t offset;
  int32_t bytes;
  int64_t stride[QC_MAX_RANK];
  qc_tensor tensor;
} qc_value;
"""


def _constants(source: Source) -> str:
    return "\n".join(
        (
            f"#define QC_NAME {_quoted(source.name)}",
            f'#define QC_ISA "{source.isa.name}"',
            f"#define QC_STEPS {len(source.lowered.steps)}",
            f"#define QC_INPUTS {len(source.lowered.inputs)}",
            f"#define QC_OUTPUTS {len(source.lowered.outputs)}",
            f"#define QC_ARENA_BYTES {source.arena}",
            f"#define QC_WEIGHTS_BYTES {sum(map(len, source.weights.parts))}",
            f"#define QC_WEIGHTS_FINGERPRINT {fingerprint(source.weights.parts):#x}u",
            f"#define QC_UNPACKED_BYTES {source.weights.memory}",
            f"#define QC_SPREADS {len(source.weights.spreads)}",
        )
    )


def _features(isa: Isa) -> str:
    if isa.triple.startswith("aarch64"):
        need = ['QC_NEED("asimddp", getauxval(16) >> 20 & 1)'] if "asimddp" in isa.features else []
        return "#include <sys/auxv.h>\n#define QC_FEATURES " + " ".join(need)
    need = [f'QC_NEED("{f}", __builtin_cpu_supports("{f}"))' for f in isa.features if f in X86]
    return "#define QC_FEATURES " + " ".join(need)


def _declarations(source: Source) -> list[str]:
    seen: dict[str, str] = {}
    for step, kernel in zip(source.lowered.steps, source.kernels, strict=True):
        views = step.nest.views
        takes = [f"const {C_TYPES[v.elem]} *" for v in views]
        takes += [f"{C_TYPES[step.nest.out.elem]} *", "int32_t", "int32_t"]
        seen[kernel] = f"void {kernel}({', '.join(takes)});"
    return list(seen.values())


def _step_function(source: Source, index: int, step: Step_) -> str:
    nest, kernel = step.nest, source.kernels[index]
    kinds = [f"const {C_TYPES[v.elem]} *" for v in nest.views] + [f"{C_TYPES[nest.out.elem]} *"]
    places = [f"({k})({_place(source, a)})" for k, a in zip(kinds, step.args, strict=True)]
    return (
        f"/* {_comment(f'{step.node.name}: {step.node.op} {step.node.type}')} */\n"
        f"static void step_{index}(const qc_frame *f, int32_t lo, int32_t hi) {{\n"
        f"  {kernel}({', '.join(places)}, lo, hi);\n}}"
    )


def _place(source: Source, arg: Arg) -> str:
    match arg:
        case Buffer():
            return f"f->arena + {source.offsets[arg]}"
        case Stored() if arg in source.weights.unpacked:
            return f"f->unpacked + {source.weights.unpacked[arg]}"
        case Stored():
            return f"f->weights + {source.weights.mapped[arg]}"
        case External(index=index, output=True):
            return f"f->outputs[{index}]"
        case External(index=index):
            return f"f->inputs[{index}]"


def _spread_table(source: Source) -> str:
    rows = [f"  {_spread(spread)}," for spread in source.weights.spreads] or ["  {0},"]
    return "static const qc_spread qc_spreads[] = {\n" + "\n".join(rows) + "\n};"


def _spread(s: Spread) -> str:
    numbers = (QC_TYPES[s.elem], s.bits, s.less, len(s.shape), s.axis, s.group)
    places = (s.to, s.count, s.source, s.steps, s.scales)
    lists = ("{" + ", ".join(map(str, v)) + "}" for v in (s.shape, s.tables))
    return f"{{{', '.join(map(str, (*numbers, *places, *lists)))}}}"


def _border_table(source: Source, borders: Sequence[Value]) -> str:
    rows = [f"  {_border(source, value)}," for value in borders] or ["  {0},"]
    return "static const qc_border qc_borders[] = {\n" + "\n".join(rows) + "\n};"


def _border(source: Source, value: Value) -> str:
    layout = value.layout
    assert isinstance(value.where, Buffer)
    sides = [layout.halo[a] for a in layout.order]
    extents = [layout.shape[a] + sum(layout.halo[a]) for a in layout.order]
    extents[-1] = max(extents[-1], layout.width)
    last = max(i for i, (before, after) in enumerate(sides) if before or after) + 1
    bits = int.from_bytes(_element(value).tobytes(), "little")
    before, after = ([s[i] for s in sides] for i in (0, 1))
    if before[-1] or after[-1]:
        after[-1] = extents[-1] - before[-1] - layout.shape[layout.inner]
    lists = ", ".join("{" + ", ".join(map(str, v)) + "}" for v in (extents, before, after))
    offset = source.offsets[value.where]
    width = BYTES[value.elem]
    return f"{{{offset}, {width}, {len(extents)}, {last}, {bits:#x}u, {lists}}}"


_DTYPES = {"u8": np.uint8, "i8": np.int8, "i16": np.int16, "i32": np.int32, "f32": np.float32}


def _element(value: Value) -> np.ndarray:  # pyright: ignore
    kind = _DTYPES.get(value.elem, np.uint8)
    return np.array([value.fill if value.elem == "f32" else int(value.fill)]).astype(kind)


def _values(source: Source) -> list[int]:
    """Steps whose node's value is complete and in memory: the last step of each node."""
    last: dict[int, int] = {}
    for i, step in enumerate(source.lowered.steps):
        if step.shows is not None:
            last[id(step.node)] = i
    return sorted(last.values())


def _value_table(source: Source, shown: Sequence[int]) -> str:
    rows: list[tuple[str, str]] = []
    for index in shown:
        step = source.lowered.steps[index]
        value = step.shows
        assert value is not None
        assert isinstance(value.where, Buffer)
        offset = source.offsets[value.where] + value.layout.offset * BYTES[value.elem]
        strides = "{" + ", ".join(map(str, value.layout.strides or (0,))) + "}"
        tensor = _tensor(f"v{index}", source.values.get(step.node, ""), step.node.type)
        rows.append((tensor[0], f"  {{{offset}, {BYTES[value.elem]}, {strides}, {tensor[1]}}},"))
    lines = "\n".join(r[1] for r in rows) or "  {0},"
    return "\n".join(r[0] for r in rows) + f"\nstatic const qc_value qc_values[] = {{\n{lines}\n}};"


def _step_table(source: Source, shown: Sequence[int]) -> str:
    lowered = source.lowered
    phases = ["QC_ENTER_REAL"] * len(lowered.enter_real)
    phases += ["QC_ENTER_RAW"] * len(lowered.enter_raw) + ["QC_BODY"] * len(lowered.body)
    phases += ["QC_LEAVE_RAW"] * len(lowered.leave_raw)
    phases += ["QC_LEAVE_REAL"] * len(lowered.leave_real)
    rows, borders = list[str](), 0
    for i, (step, phase) in enumerate(zip(lowered.steps, phases, strict=True)):
        border = -1
        if step.border is not None:
            border, borders = borders, borders + 1
        value = shown.index(i) if i in shown else -1
        name = _quoted(step.node.name or step.node.op)
        rows.append(
            f"  {{step_{i}, {step.nest.tasks}, {phase}, {border}, {value}, {name}, "
            f'"{source.kernels[i]}"}},'
        )
    return "static const qc_step qc_steps[] = {\n" + "\n".join(rows) + "\n};"


def _ports(name: str, ports: Sequence[Port]) -> str:
    before, rows = list[str](), list[str]()
    for i, port in enumerate(ports):
        for form, kind in (("real", port.real), ("raw", port.raw)):
            arrays, row = _tensor(f"{name}_{i}_{form}", port.name, kind)
            before.append(arrays)
            rows.append(f"  {row},")
    lines = "\n".join(rows) or "  {0},"
    return "\n".join(before) + f"\nstatic const qc_tensor {name}[] = {{\n{lines}\n}};"


def _tensor(key: str, name: str, kind: TensorType) -> tuple[str, str]:
    """Arrays of scales and zero points, and the initializer that points to them."""
    shape = static(kind.shape)
    elem = stored(kind.elem)
    count = BYTES[elem] * int(np.prod(shape, dtype=np.int64))
    dims = "{" + ", ".join(map(str, shape or (1,))) + "}"
    head = f"{_quoted(name)}, {QC_TYPES[elem]}, {len(shape)}, {dims}, {count}"
    if kind.unit is None:
        return "", f"{{{head}, 0, 0, NULL, NULL}}"
    unit = kind.unit
    scales = ", ".join(f"{float(np.float32(s)).hex()}f" for s in unit.scale)
    zeros = unit.zero_point * (len(unit.scale) if len(unit.zero_point) == 1 else 1)
    arrays = (
        f"static const float {key}_scales[] = {{{scales}}};\n"
        f"static const int32_t {key}_zeros[] = {{{', '.join(map(str, zeros))}}};"
    )
    axis = 0 if unit.axis is None else unit.axis
    return arrays, f"{{{head}, {len(unit.scale)}, {axis}, {key}_scales, {key}_zeros}}"


def _quoted(text: str) -> str:
    safe = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '"'


def _comment(text: str) -> str:
    return (
        "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
        .replace("*/", "* /")
        .replace("/*", "/ *")
    )
