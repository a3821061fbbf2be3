"""Bytes of a text as rows of tokens, and how well a model foresees them."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Tokens: TypeAlias = NDArray[np.int64]
Logits: TypeAlias = NDArray[np.float32]


def read_text(path: Path) -> Tokens:
    """The bytes of a text, unpacked when its name ends in .gz, as i64[count]."""
    raw = path.read_bytes()
    content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return np.frombuffer(content, np.uint8).astype(np.int64)


def rows(tokens: Tokens, length: int) -> Tokens:
    """i64[count, length]: the text cut into rows, what is left over dropped."""
    count = len(tokens) // length
    return tokens[: count * length].reshape(count, length)


def perplexity(
    model: Callable[[Tokens], Logits], tokens: Tokens, *, length: int = 64, batch: int = 1
) -> float:
    """exp of the mean of −log p(next byte), in rows of `length` tokens that each start anew.

    `model` takes i64[batch, length] and gives logits of the token after each.
    """
    found = [losses(model(part), part) for part in _batches(rows(tokens, length), batch)]
    return float(np.exp(np.concatenate(found).mean()))


def losses(logits: Logits, tokens: Tokens) -> NDArray[np.float64]:
    """−log p of tokens 1, 2, … of each row, in the order of the text."""
    wide = logits[:, :-1].astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    total = np.log(np.exp(wide).sum(-1))
    chosen = np.take_along_axis(wide, tokens[:, 1:, None], -1)[..., 0]
    return (total - chosen).reshape(-1)


def _batches(whole: Tokens, batch: int) -> Iterator[Tokens]:
    for start in range(0, len(whole) - batch + 1, batch):
        yield whole[start : start + batch]
