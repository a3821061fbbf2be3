"""What each step of MambaQuant (arXiv 2501.13484, section 4) gains on the trained Mamba.

`python -m tests.bench.ablation` plants outliers where rotations can reach them, behind the norms
and in the vectors of low rank that become step sizes, and quantizes with Hadamard matrices, with
these behind a Karhunen-Loève transform wherever that costs nothing at run time, and with scales in
front of both. Every step runs with every seed of the Hadamard matrices' signs. The gain over the
step before is the mean of the differences on the same row of text, with the standard error of the
rows' means over seeds; perplexities differ by less than rounding's luck.

`--gated 5` plants in front of the convolutions, too, where no rotation reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import click
import numpy as np
from numpy.typing import NDArray

from qcompile.ir.graph import Graph
from qcompile.models import mamba, outliers, text
from qcompile.models.outliers import Planted
from qcompile.recipe_file import parse_recipe
from tests.bench.transforms import EXPOSED, Subject, held_rows, on_text, quantized

ONLINE: Final = "rotate-online: {seed: %(seed)d}, simplify]"
STEPS: Final = {
    "hadamard": EXPOSED + "rotate: {policy: hadamard, seed: %(seed)d}, " + ONLINE,
    "klt": EXPOSED + "rotate: {policy: klt-hadamard, seed: %(seed)d}, " + ONLINE,
    "fused": EXPOSED + "open-gates, rotate: {policy: klt-hadamard, seed: %(seed)d}, smooth, "
    "smooth, balance, close-gates, " + ONLINE,
}
"""Each with all that the one before it has."""

Values: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """[seeds, rows of text]: the mean of −log p, and the decibels of the logits above noise."""

    losses: Values
    decibels: Values

    def gain(self, before: Outcome) -> tuple[float, float]:
        """Decibels more than before, the mean over all, and its standard error over rows."""
        gains = (self.decibels - before.decibels).mean(0)
        return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


@click.command()
@click.option("--scheme", "schemes", multiple=True, default=("W8A8-tensor", "W8A8-token"))
@click.option("--seed", "seeds", multiple=True, type=int, default=(1, 2, 3), help="Repeatable.")
@click.option("--factor", default=100.0, help="How far out the channels are.")
@click.option("--gated", multiple=True, type=int, help="Channels in front of convolutions, too.")
@click.option("--rows", default=48, help="Rows of text to score.")
def main(
    schemes: Sequence[str],
    seeds: Sequence[int],
    factor: float,
    gated: Sequence[int],
    rows: int,
) -> None:
    """Prints a line for each scheme and step."""
    subject = planted(factor, rows, gated)
    held = held_rows(rows)
    wanted = [logits(subject.graph, row) for row in held]
    real = [text.losses(x, row[None]).mean() for x, row in zip(wanted, held, strict=True)]
    print(f"real {np.exp(np.mean(real)):.3f} perplexity")
    for scheme in schemes:
        before: Outcome | None = None
        for step in STEPS:
            found = outcome(subject, step, scheme, seeds, wanted)
            gained = "" if before is None else "   {:+6.2f} ± {:.2f} dB".format(*found.gain(before))
            perplexity, decibels = np.exp(found.losses.mean()), found.decibels.mean()
            print(
                f"{scheme:12} {step:8} {perplexity:8.3f} perplexity {decibels:6.2f} dB{gained}",
                flush=True,
            )
            before = found


def planted(factor: float, rows: int, gated: Sequence[int] = ()) -> Subject:
    """The trained Mamba with outliers, and samples for the passes."""
    what = Planted(norms=(3, 40), gated=gated, steps=(1,), factor=factor)
    return on_text(outliers.planted_mamba(mamba.trained(), what), rows)


def outcome(
    subject: Subject, step: str, scheme: str, seeds: Sequence[int], wanted: Sequence[Values]
) -> Outcome:
    """How the step does on the rows whose real logits are wanted, with each of the seeds."""
    graphs = [quantized(subject, parse_recipe(STEPS[step] % {"seed": n}), scheme) for n in seeds]
    pairs = list(zip(held_rows(len(wanted)), wanted, strict=True))
    found = [[_losses(g, row, want) for row, want in pairs] for g in graphs]
    losses, noise = np.moveaxis(np.array(found), -1, 0)
    return Outcome(losses, -10 * np.log10(noise))


def _losses(graph: Graph, row: Values, want: Values) -> tuple[float, float]:
    """Mean −log p, and the logits' noise over their power."""
    found = logits(graph, row)
    noise = np.square(found - want).sum() / np.square(want).sum()
    return float(text.losses(found, row[None]).mean()), float(noise)


def logits(graph: Graph, row: Values) -> Values:
    """f32[1, length, 256] for one row of tokens."""
    return graph.run(row[None])[0]


if __name__ == "__main__":
    main()
