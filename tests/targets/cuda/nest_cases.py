"""Every graph by name: integers that must be exact, reals that must be near."""

from collections.abc import Mapping

from qcompile.ir.graph import Graph
from qcompile.ir.types import I8, U8
from tests.targets.cuda import hadamard_cases as hadamards
from tests.targets.cuda import place_cases as places
from tests.targets.cuda import sum_cases as sums
from tests.targets.cuda import value_cases as values

EXACT: Mapping[str, Graph] = {
    "rescales": values.rescales(),
    "rescales_by_channel": values.rescales_by_channel(),
    "zero_points": values.zero_points_by_channel(),
    "tables": values.tables(),
    "sums": values.sums(),
    "residual_u8": values.residual(U8),
    "residual_i8_ragged": values.residual(I8, channels=19),
    "residual_u4": values.residual(values.U4),
    "residual_i4_ragged": values.residual(values.I4, channels=21),
    "nibbles": values.nibble_chain(),
    "quantized_reals": values.quantized_reals(),
    "long_integers": values.long_integers(),
    "shapes": values.shapes(),
    "reshapes": places.reshapes(),
    "concatenations": places.concatenations(),
    "slices": places.slices(),
    "pads": places.pads(),
    "gathers": places.gathers(),
    "passed_through": places.passed_through(),
    "softmaxes": sums.softmaxes(),
    "long_rows": sums.long_rows(),
    "max_pools": sums.max_pools(),
    "average_pools": sums.average_pools(),
    "reductions": sums.reductions(),
    "arguments": sums.arguments(),
    "convolutions": sums.convolutions(),
    "products": sums.products(),
    "transforms": hadamards.transforms(),
}  # fmt: skip

NEAR: Mapping[str, Graph] = {
    "float_functions": values.float_functions(),
    "float_pairs": values.float_pairs(),
    "casts": values.casts(),
    "resize_of_reals": places.resize_of_reals(),
    "float_rows": sums.float_rows(),
    "long_real_rows": sums.long_real_rows(),
    "float_reductions": sums.float_reductions(),
    "float_contractions": sums.float_contractions(),
    "float_transforms": hadamards.float_transforms(),
}
