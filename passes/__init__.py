"""Passes by name, imported when used; the public ones by class."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

PASSES: Mapping[str, str] = {
    "fold-constants": "qcompile.passes.fold_constants:FoldConstants",
    "canonicalize": "qcompile.passes.canonicalize:Canonicalize",
    "fuse-norms": "qcompile.passes.fuse_norms:FuseNorms",
    "fuse-activations": "qcompile.passes.fuse_activations:FuseActivations",
    "fuse-padding": "qcompile.passes.fuse_padding:FusePadding",
    "fold-batchnorm": "qcompile.passes.fold_batchnorm:FoldBatchNorm",
    "untie-weights": "qcompile.passes.untie_weights:UntieWeights",
    "hoist-slices": "qcompile.passes.hoist_slices:HoistSlices",
    "center-norms": "qcompile.passes.center_norms:CenterNorms",
    "fold-shifts": "qcompile.passes.fold_shifts:FoldShifts",
    "fold-norm-scales": "qcompile.passes.fold_norm_scales:FoldNormScales",
    "expose-sites": "qcompile.passes.expose_sites:ExposeSites",
    "open-gates": "qcompile.passes.open_gates:OpenGates",
    "close-gates": "qcompile.passes.close_gates:CloseGates",
    "open-clips": "qcompile.passes.open_clips:OpenClips",
    "close-clips": "qcompile.passes.close_clips:CloseClips",
    "rotate": "qcompile.passes.rotate:Rotate",
    "rotate-online": "qcompile.passes.rotate_online:RotateOnline",
    "smooth": "qcompile.passes.smooth:Smooth",
    "balance": "qcompile.passes.balance:Balance",
    "specify": "qcompile.passes.specify:Specify",
    "calibrate": "qcompile.passes.calibrate:Calibrate",
    "clip-weights": "qcompile.passes.clip_weights:ClipWeights",
    "round-weights": "qcompile.passes.round_weights:RoundWeights",
    "correct-bias": "qcompile.passes.correct_bias:CorrectBias",
    "quantize": "qcompile.passes.quantize:Quantize",
}

_PUBLIC: Mapping[str, str] = {
    "Pass": "qcompile.passes.base",
    "Meaning": "qcompile.passes.base",
    "Pipeline": "qcompile.passes.pipeline",
    "Recipe": "qcompile.passes.recipe",
    "Verify": "qcompile.passes.observe",
    "Compare": "qcompile.passes.observe",
    "Dump": "qcompile.passes.observe",
    "Time": "qcompile.passes.observe",
} | {place.partition(":")[2]: place.partition(":")[0] for place in PASSES.values()}

__all__ = ["PASSES", *_PUBLIC]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'qcompile.passes' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
