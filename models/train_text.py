"""Trains the byte models on a plain text and writes their weights.

`python -m qcompile.models.train_text --text FILE llama`, in about three minutes on one core, writes
`llama_jargon.npz`; `bert` and `mamba` likewise. The text is the Jargon File, which is in the public
domain and comes with the Debian package jargon-text: `apt-get download jargon-text`, `dpkg -x *.deb
DIR`, and the file is `DIR/usr/share/doc/jargon-text/jargon.txt.gz`. Its last twentieth is kept for
tests, and `excerpt` writes 64 KB of that. The seed is fixed, but sums are ordered by the processor:
another machine gets other bits of the same quality.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from qcompile.models import bert, llama, mamba
from qcompile.models.adam import train
from qcompile.models.stored import FOLDER, store
from qcompile.models.text import Tokens, perplexity, read_text

EXCERPT: Final = 64 * 1024
HIDDEN: Final = 0.15  # of the bytes, for BERT

Loss = Callable[[nn.Module, Tensor], Tensor]


def next_byte(network: nn.Module, rows: Tensor) -> Tensor:
    """The mean of −log p of each byte after the first."""
    logits = network(rows[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def hidden_bytes(network: nn.Module, rows: Tensor) -> Tensor:
    """The mean of −log p of the bytes that were drawn to be hidden."""
    hidden = torch.rand(rows.shape) < HIDDEN
    logits = network(torch.where(hidden, bert.MASK, rows))
    return functional.cross_entropy(logits[hidden], rows[hidden])


@dataclass(frozen=True)
class Lesson:
    """What to train, towards what, and for how long."""

    build: Callable[[], nn.Module]
    loss: Loss
    steps: int
    batch: int
    length: int
    peak: float = 4e-3


LESSONS: Final = {
    "llama": Lesson(llama.llama, next_byte, steps=1100, batch=16, length=97),
    "bert": Lesson(bert.bert, hidden_bytes, steps=1800, batch=24, length=48, peak=1e-3),
    "mamba": Lesson(mamba.mamba, next_byte, steps=600, batch=8, length=65),
}


@click.command()
@click.argument("what", type=click.Choice([*LESSONS, "excerpt"]))
@click.option("--text", type=click.Path(path_type=Path), required=True, help="The Jargon File.")
@click.option("--out", type=click.Path(path_type=Path), default=FOLDER)
@click.option("--steps", type=int, help="Fewer or more steps than usual.")
def main(what: str, text: Path, out: Path, steps: int | None) -> None:
    """Train one network, or cut the excerpt that tests read."""
    tokens = read_text(text)
    cut = len(tokens) * 19 // 20
    if what == "excerpt":
        kept = tokens[cut : cut + EXCERPT].astype(np.uint8).tobytes()
        (out / "jargon_excerpt.txt.gz").write_bytes(gzip.compress(kept, 9, mtime=0))
        return
    torch.set_num_threads(1)
    lesson = LESSONS[what]
    network = lesson.build()
    learn(network, lesson, tokens[:cut], steps or lesson.steps)
    store(network, out / f"{what}_jargon.npz")
    click.echo(f"{what}: {measure(network, lesson, tokens[cut : cut + EXCERPT])}")


def learn(network: nn.Module, lesson: Lesson, tokens: Tokens, steps: int) -> None:
    """Trains in place on rows drawn at random."""
    whole = torch.from_numpy(tokens)

    def loss() -> Tensor:
        starts = torch.randint(len(whole) - lesson.length, (lesson.batch, 1))
        return lesson.loss(network, whole[starts + torch.arange(lesson.length)])

    train(network, loss, steps=steps, peak=lesson.peak)


@torch.no_grad()
def measure(network: nn.Module, lesson: Lesson, tokens: Tokens) -> str:
    """Perplexity of the next byte, or of hidden ones, on text that was not trained on."""
    if lesson.loss is next_byte:
        found = perplexity(lambda x: network(torch.from_numpy(x)).numpy(), tokens, batch=16)
        return f"perplexity of the next byte {found:.3f}"
    torch.manual_seed(0)
    rows = torch.from_numpy(tokens[: len(tokens) // 64 * 64].reshape(-1, 64))
    return f"perplexity of hidden bytes {hidden_bytes(network, rows).exp().item():.3f}"


if __name__ == "__main__":
    main()
