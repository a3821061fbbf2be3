"""Whole graphs by generated kernels in the emulator: integers bit for bit, reals nearly so."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import qcompile
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.program.graph_file import read_graph
from qcompile.targets.cuda.build import Kernel, compile_kernels
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.emulator import Emulator, device_headers
from tests.strategies import random_graph
from tests.targets.cuda.checks import built, case, nearly, run, same_bits, same_raw_bits
from tests.targets.cuda.nest_cases import EXACT, NEAR
from tests.targets.cuda.place_cases import gather_at_values

CASES = {name: case(name, graph) for name, graph in {**EXACT, **NEAR}.items()}
AT_VALUES = case("at_values", gather_at_values())
FOUR_BITS = {"op:Conv": "W4A4", "op:ConvTranspose": "W4A4", "op:MatMul": "W4A4"}


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Emulator:
    return built([*CASES.values(), AT_VALUES], emulator_cache)


@pytest.mark.parametrize("name", EXACT)
def test_integers_are_the_interpreters(name: str, emulator: Emulator):
    same_bits(CASES[name], emulator)


@pytest.mark.parametrize("name", ["quantized_reals", "residual_u4", "nibbles", "average_pools"])
def test_integers_come_and_go_as_they_are(name: str, emulator: Emulator):
    same_raw_bits(CASES[name], emulator)


@pytest.mark.parametrize("name", NEAR)
def test_reals_are_near_the_interpreters(name: str, emulator: Emulator):
    nearly(CASES[name], emulator, tolerance=1e-3)


def test_indices_that_are_known_at_run_time(emulator: Emulator):
    chosen = np.array([[0, 8, 3, -1, 2], [1, 1, 1, -9, 5]])
    (found,) = run(AT_VALUES, emulator, chosen)
    np.testing.assert_array_equal(found, AT_VALUES.graph.run(chosen)[0])


# networks


def network(seed: int, folder: Path, widths: Mapping[str, str]) -> Graph:
    """A random network, quantized."""
    graph = random_graph(seed)
    kinds: Mapping[type[Node], str] = {
        Conv: "op:Conv",
        ConvTranspose: "op:ConvTranspose",
        MatMul: "op:MatMul",
    }
    there = {kinds[type(node)] for node in graph.nodes if type(node) in kinds}
    rng = np.random.default_rng(seed)
    shapes = {node.name: static(node.type.shape) for node in graph.inputs}
    calib = [
        {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(4)
    ]
    chosen = {pattern: width for pattern, width in widths.items() if pattern in there}
    qcompile.compile(graph, target="reference", calib=calib, output=folder / "model", widths=chosen)
    return read_graph(folder / "model")


def whole_network(seed: int, folder: Path, cache: Path, widths: Mapping[str, str]) -> None:
    found = case(f"net{seed}", network(seed, folder, widths))
    emulator = built([found], cache)
    same_bits(found, emulator)
    same_raw_bits(found, emulator)


@pytest.mark.parametrize("seed", [3, 7])
def test_a_random_network_of_4_bits(seed: int, tmp_path: Path, emulator_cache: Path):
    whole_network(seed, tmp_path, emulator_cache, FOUR_BITS)


@pytest.mark.slow
@pytest.mark.parametrize("widths", [{}, FOUR_BITS], ids=["8", "4"])
@pytest.mark.parametrize("seed", range(200, 220))
def test_random_networks(
    seed: int, widths: Mapping[str, str], tmp_path: Path, emulator_cache: Path
):
    whole_network(seed, tmp_path, emulator_cache, widths)


# the real compiler


def compiled(step: int) -> dict[str, Kernel]:
    """Every `step`-th kernel, as machine code."""
    every = [kernel for found in CASES.values() for kernel in found.kernels][::step]
    texts = {kernel.name: kernel.text for kernel in every}
    return compile_kernels(texts, T4, headers=device_headers(), cache=None, threads=2)


def lacking(kernels: Mapping[str, Kernel]) -> list[str]:
    """Those that keep anything outside of registers, or need too many of them."""
    return [k.name for k in kernels.values() if k.stack or k.spill_loads or k.registers > 128]


def test_kernels_live_in_registers():
    assert lacking(compiled(40)) == []


@pytest.mark.slow
def test_all_kernels_live_in_registers():
    assert lacking(compiled(1)) == []
