"""Orthogonal matrices that spread outliers: Hadamard behind signs, KLT-enhanced, Givens chains.

A row x becomes x·R. With covariance C of x that of x·R is Rᵀ·C·R; a quantizer with one range for
all channels loses least when its diagonal is even (MambaQuant, arXiv 2501.13484, section 4;
OSTQuant, arXiv 2501.13987, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.numerics.hadamard import fast_hadamard, hadamard

Matrix = NDArray[np.float64]
_MASK = (1 << 64) - 1


def signs(count: int, seed: int) -> NDArray[np.int8]:
    """`count` numbers of ±1, the same on every machine; seed 0 gives +1 only.

    Number i is the top bit of SplitMix64's output i for this seed.
    """
    if seed == 0:
        return np.ones(count, np.int8)
    start = (seed * 0x9E3779B97F4A7C15) & _MASK
    steps = np.arange(1, count + 1, dtype=np.uint64)
    z = steps * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.where((z ^ (z >> np.uint64(31))) >> np.uint64(63), -1, 1).astype(np.int8)


def transformed(x: NDArray[Any], *, axis: int, size: int, seed: int) -> NDArray[Any]:
    """x·diag(ε)·(I ⊗ H) along the axis, H of order `size` and ε the `signs` of every block.

    Integers in int64, exactly; floats in their own format. Divided by √size it is a rotation.
    """
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    blocks = x.reshape(*before, x.shape[axis] // size, size, *after)
    wide = blocks if blocks.dtype.kind == "f" else blocks.astype(np.int64)
    if seed:
        wide = wide * signs(size, seed).reshape(-1, *(1,) * len(after)).astype(wide.dtype)
    return fast_hadamard(wide, axis + 1).reshape(x.shape)


def klt(covariance: NDArray[Any]) -> Matrix:
    """Eigenvectors as columns, the greatest eigenvalue first; each one's largest entry positive."""
    _, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    ordered: Matrix = vectors[:, ::-1]
    largest = np.abs(ordered).argmax(0)
    return ordered * np.sign(ordered[largest, np.arange(len(ordered))])


def klt_hadamard(covariance: NDArray[Any]) -> Matrix:
    """K·H/√n with the eigenvectors K: (Rᵀ·C·R)_ii = tr C / n for every i.

    Where no H of this order is known, a chain of Givens rotations takes its place.
    """
    c: Matrix = np.asarray(covariance, np.float64)
    vectors = klt(c)
    h = hadamard(len(c))
    if h is not None:
        return vectors @ (h / np.sqrt(len(c)))
    return vectors @ equalized(vectors.T @ c @ vectors)


def equalized(covariance: NDArray[Any]) -> Matrix:
    """G orthogonal with all (Gᵀ·C·G)_ii = tr C / n, by n − 1 Givens rotations.

    Each takes the least and the greatest variance left, i and j, and turns their plane by θ so that
    i has the mean m: (c_jj − m)·t² + 2·c_ij·t + (c_ii − m) = 0 for t = tan θ.
    """
    c: Matrix = np.array(covariance, np.float64)
    n = len(c)
    turned: Matrix = np.eye(n)
    mean = float(np.trace(c)) / n
    left = np.ones(n, np.bool_)
    for _ in range(n - 1):
        variances = c.diagonal()
        i = int(np.where(left, variances, np.inf).argmin())
        j = int(np.where(left, variances, -np.inf).argmax())
        left[i] = False
        if i == j or variances[j] <= mean:
            continue
        plane = _turn(variances[i] - mean, c[i, j], variances[j] - mean)
        c[:, [i, j]] = c[:, [i, j]] @ plane
        c[[i, j]] = plane.T @ c[[i, j]]
        turned[:, [i, j]] = turned[:, [i, j]] @ plane
    return turned


def block_diagonal(blocks: Sequence[NDArray[Any]]) -> Matrix:
    """The blocks along the diagonal, zeros elsewhere."""
    sizes = [len(b) for b in blocks]
    result: Matrix = np.zeros((sum(sizes), sum(sizes)))
    start = 0
    for block in blocks:
        result[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    return result


def peak_to_average(x: NDArray[Any]) -> float:
    """ρ = n·E[max|x|²] / E[‖x‖²] over the rows of x: 1 at best, n for one channel alone.

    The error energy of a symmetric quantizer per row is ρ·E[‖x‖²] / (3·4^bits). 0 for zeros.
    """
    rows: Matrix = np.abs(np.asarray(x, np.float64)).reshape(-1, x.shape[-1])
    energy = float((rows**2).sum(1).mean())
    return 0.0 if energy == 0 else rows.shape[-1] * float((rows.max(1) ** 2).mean()) / energy


def peak_bound(n: int, delta: float) -> float:
    """2·ln(2n/δ): above it no fixed row has n·max²/‖x‖² after `transformed`, but for a chance of δ
    over its seeds.

    QuIP (arXiv 2307.13304), incoherence by random signs and a Hadamard matrix.
    """
    return 2 * float(np.log(2 * n / delta))


def _turn(low: float, between: float, high: float) -> Matrix:
    """The rotation of a plane with variances mean + low ≤ mean ≤ mean + high, by the lesser angle.

    The root is formed without cancellation: low ≤ 0 ≤ high, so both terms have one sign.
    """
    root = np.sqrt(max(between * between - high * low, 0.0))
    divisor = -(between + np.copysign(root, between))
    tangent = low / divisor if divisor != 0 else 0.0
    cosine = 1 / np.sqrt(1 + tangent * tangent)
    sine = tangent * cosine
    return np.array([[cosine, -sine], [sine, cosine]])
