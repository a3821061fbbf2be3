"""What the cost model says of ResNet-50 on a T4, beside HAWQ-V3's published times.

`python -m tests.bench.t4_model` prints each convolution's tile, predicted time and what bounds it,
for 8-bit and 4-bit products, then totals under other assumptions, designs and batches. Nothing is
measured here: the model's constants and their reasons stand in targets/cuda/factors.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import click

from qcompile.targets.cuda.cost import Choice, fastest
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.roofline import Machine, machine, predict, predict_map
from qcompile.targets.cuda.tiles import Tile, tiles
from qcompile.targets.cuda.work import Work
from tests.bench.t4_resnet50 import (
    AS_PLANNED,
    Design,
    Layer,
    layers,
    stem,
    tops,
    total,
    true_macs,
    work_of,
)

GOALS: Final = {8: 30.0, 4: 50.0}


def rest(on: Machine, bits: int, batch: int) -> float:
    """Stem, largest-of-window, mean and the last product, roughly."""
    pooled = batch * 56 * 56 * 64
    shrink = predict_map(
        on, read_bytes=4 * pooled, written_bytes=pooled + pooled * bits // 8,
        elements=pooled, instructions=30,
    )  # fmt: skip
    mean = predict_map(
        on, read_bytes=batch * 49 * 2048, written_bytes=batch * 2048,
        elements=batch * 49 * 2048, instructions=2,
    )  # fmt: skip
    head = Work(batch, 1000, 2048, 8, 8, batch * 2048, 2048 * 1000, batch * 4000)
    contractions = (stem(batch), head)
    return (
        shrink.milliseconds
        + mean.milliseconds
        + sum(fastest(on, work, None).milliseconds for work in contractions)
    )


def table(on: Machine, bits: int, batch: int) -> list[str]:
    """One line a layer, then the totals."""
    title = f"int{bits}, batch {batch}, {on.chip.name}"
    lines = [
        title,
        f"{'layer':20} {'places x n x k bytes':>20} {'GMAC':>6} {'n':>2}  "
        f"{'tile':16} {'parts':>5} {'at once':>7} {'us':>6} {'TOPS':>6}  {'bound':8} "
        f"{'tensor':>6} {'issue':>6} {'l2':>6} {'dram':>6} {'tail':>5} {'HAWQ us':>8} {'times':>5}",
    ]
    lines += [_line(on, layer, bits, batch) for layer in layers()]
    ours = total(on, bits, batch)
    macs = sum(layer.count * true_macs(layer, batch) for layer in layers())
    theirs = sum(layer.count * layer.published(bits) for layer in layers())
    lines.append(
        f"total of {sum(layer.count for layer in layers())} convolutions: {ours:.2f} ms, "
        f"{tops(macs, ours):.1f} TOPS (goal {GOALS[bits]:.0f}); HAWQ-V3 {theirs:.2f} ms at batch 8"
    )
    return lines


def _line(on: Machine, layer: Layer, bits: int, batch: int) -> str:
    work = work_of(layer, bits, batch, AS_PLANNED)
    choice = fastest(on, work, None)
    macs, time = true_macs(layer, batch), choice.prediction.time
    shape = f"{work.places}x{work.outputs}x{work.depth_bytes}"
    micro = choice.milliseconds * 1e3
    theirs = layer.published(bits) * 1e3
    return (
        f"{layer.name:20} {shape:>20} {macs / 1e9:6.2f} {layer.count:2}  "
        f"{choice.tile.name:16} {choice.splits:5} {_held(choice):>7} {micro:6.1f} "
        f"{tops(macs, choice.milliseconds):6.1f}  {choice.prediction.bound:8} "
        f"{time.tensor * 1e3:6.1f} {time.issue * 1e3:6.1f} {time.l2 * 1e3:6.1f} "
        f"{time.dram * 1e3:6.1f} {choice.prediction.tail * 1e3:5.1f} {theirs:8.1f} "
        f"{theirs / micro:5.1f}"
    )


def _held(choice: Choice) -> str:
    return f"{choice.prediction.resident}x{choice.prediction.rounds}"


Change = Callable[[Machine], Machine]


def _with(**values: float) -> Change:
    return lambda on: replace(on, factors=replace(on.factors, **values))


def assumptions() -> Mapping[str, Change]:
    """What if the chip is other than believed."""
    boost = T4.boost_mhz
    return {
        "as believed": lambda on: on,
        "clock 1590 MHz (boost)": _with(clock=1.0),
        "clock 1100 MHz": _with(clock=1100 / boost),
        "clock 900 MHz": _with(clock=900 / boost),
        "L2 at 60 % of that": lambda on: _with(l2=0.6 * on.factors.l2)(on),
        "DRAM at 80 % of that": lambda on: _with(dram=0.8 * on.factors.dram)(on),
        "finishing at half speed": lambda on: _with(issue=0.5 * on.factors.issue)(on),
        "no interference": _with(interference=0.0),
        "all bad: 1100 MHz, L2 60 %, issue 0.5, interference 0.4, launch 3 us": lambda on: _with(
            clock=1100 / boost, l2=0.6 * on.factors.l2, issue=0.5, interference=0.4, launch=3.0
        )(on),
    }


def designs() -> Mapping[str, Design]:
    """What if the network is cut otherwise."""
    return {
        "8-bit skips with a 4-bit copy": AS_PLANNED,
        "the copy costs nothing (no real design: its share of the time)": Design(copies=False),
        "4-bit skips": Design(residual_bits=4),
        "sums through shared memory, all in 64 bits": Design(rescale=15, residual=14, copy=12),
    }


def only(on: Machine, tile: Tile, bits: int) -> float:
    """Milliseconds of all convolutions at batch 8 if there were one tile, k never split."""
    works = ((layer.count, work_of(layer, bits, 8, AS_PLANNED)) for layer in layers())
    return sum(count * predict(on, w, tile=tile, splits=1).milliseconds for count, w in works)


def said(name: str, times: Mapping[int, float], batch: int) -> str:
    """One line: milliseconds and TOPS by width."""
    macs = sum(layer.count * true_macs(layer, batch) for layer in layers())
    each = (
        f"int{bits} {time:7.3f} ms {tops(macs, time):6.1f} TOPS" for bits, time in times.items()
    )
    return f"  {name:72} " + "   ".join(each)


def by_assumption(on: Machine) -> Iterator[str]:
    """Totals if the chip is other than believed."""
    yield "totals of the convolutions, batch 8, if the chip is"
    for name, change in assumptions().items():
        yield said(name, {bits: total(change(on), bits, 8) for bits in (8, 4)}, 8)


def by_design(on: Machine) -> Iterator[str]:
    """Totals if the network is cut otherwise, and with one tile for all."""
    yield "if the network is cut so, batch 8"
    for name, design in designs().items():
        yield said(name, {bits: total(on, bits, 8, design) for bits in (8, 4)}, 8)
    yield "if there were one tile"
    for tile in tiles(on.chip):
        yield said(tile.name, {bits: only(on, tile, bits) for bits in (8, 4)}, 8)


def by_batch(on: Machine) -> Iterator[str]:
    """Totals by batch, and whole networks in images a second."""
    yield "by batch, with whole networks (NVIDIA, MLPerf 0.5, a T4: 5622 images/s int8, 8940 int4)"
    for batch in (1, 8, 32, 128):
        for name, design in (("", AS_PLANNED), (", 4-bit skips", Design(residual_bits=4))):
            times = {bits: total(on, bits, batch, design) for bits in (8, 4)}
            whole = {bits: 1e3 * batch / (times[bits] + rest(on, bits, batch)) for bits in times}
            images = ", ".join(f"int{bits} {value:.0f}/s" for bits, value in whole.items())
            yield said(f"batch {batch}{name} ({images})", times, batch)


@click.command()
@click.option("--batch", default=8, help="Of the tables.")
def main(batch: int) -> None:
    """Prints the tables and the totals."""
    on = machine(T4)
    for bits in (8, 4):
        click.echo("\n".join(table(on, bits, batch)) + "\n")
    for lines in (by_assumption(on), by_design(on), by_batch(on)):
        click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
