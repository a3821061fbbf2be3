"""Each family of aten operators: torch and the graph give the same values."""

# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

import torch
from comparing import compare, compare_function, noise
from torch import Tensor, nn
from torch.nn import functional as f


def test_activations() -> None:
    compare_function(
        lambda x: {
            "relu": f.relu(x),
            "relu6": f.relu6(x * 5),
            "hardtanh": f.hardtanh(x, -0.5, 2.0),
            "clamp": x.clamp(-0.3, 0.4),
            "clamp_min": x.clamp(min=-0.2),
            "clamp_tensor": torch.clamp(x, min=x * 0.5),
            "leaky": f.leaky_relu(x, 0.2),
            "elu": f.elu(x, 0.7),
            "selu": f.selu(x),
            "celu": f.celu(x, 1.5),
            "gelu": f.gelu(x),
            "gelu_tanh": f.gelu(x, approximate="tanh"),
            "silu": f.silu(x),
            "mish": f.mish(x),
            "hardswish": f.hardswish(x * 3),
            "hardsigmoid": f.hardsigmoid(x * 3),
            "sigmoid": x.sigmoid(),
            "tanh": x.tanh(),
            "softplus": f.softplus(x),
            "softplus_beta": f.softplus(x, beta=2.0),
            "softsign": f.softsign(x),
            "logsigmoid": f.logsigmoid(x),
            "threshold": f.threshold(x, 0.1, 20.0),
            "softshrink": f.softshrink(x),
            "hardshrink": f.hardshrink(x),
            "tanhshrink": f.tanhshrink(x),
            "glu": f.glu(x, 1),
            "prelu": f.prelu(x, torch.full((4,), 0.3)),
        },
        noise(2, 4, 5, 3),
    )


def test_functions_of_one_value() -> None:
    compare_function(
        lambda x: {
            "exp": x.exp(),
            "log": x.abs().log(),
            "log2": x.abs().log2(),
            "log1p": x.abs().log1p(),
            "expm1": x.expm1(),
            "sqrt": x.abs().sqrt(),
            "rsqrt": x.abs().rsqrt(),
            "neg": -x,
            "sign": x.sign(),
            "floor": x.floor(),
            "ceil": x.ceil(),
            "round": (x * 4).round() / 4,
            "trunc": (x * 3).trunc(),
            "sin": x.sin(),
            "cos": x.cos(),
            "tan": x.tan(),
            "erf": x.erf(),
            "reciprocal": x.reciprocal(),
            "square": x.square(),
            "pow2": x**2,
            "pow3": x**3,
            "root": x.abs() ** 0.5,
            "base": 2.0**x,
            "pow": x.abs() ** x,
        },
        noise(3, 7),
    )


def test_functions_of_two_values() -> None:
    y = noise(7, seed=1)
    compare_function(
        lambda x: {
            "add": x + y,
            "add_alpha": torch.add(x, y, alpha=2),
            "add_number": x + 1,
            "sub": torch.sub(x, y, alpha=0.5),
            "rsub": 1 - x,
            "mul": x * y,
            "div": x / y,
            "div_number": x / 3,
            "div_floor": torch.div(x, 0.3, rounding_mode="floor"),
            "div_trunc": torch.div(x, 0.3, rounding_mode="trunc"),
            "floordiv": x // 0.7,
            "remainder": x % 0.7,
            "fmod": torch.fmod(x, 0.7),
            "minimum": torch.minimum(x, y),
            "maximum": torch.max(x, y),
            "addcmul": torch.addcmul(x, y, y, value=0.5),
            "lerp": torch.lerp(x, x * 2, 0.3),
        },
        noise(3, 7),
    )


def test_integers_and_promotion() -> None:
    compare_function(
        lambda x: {
            "floor": torch.div(x, -3, rounding_mode="floor"),
            "trunc": torch.div(x, -3, rounding_mode="trunc"),
            "remainder": x % 3,
            "true": x / 4,
            "float": x * 0.5,
            "sum": x.sum(),
            "compare": x > 1.5,
            "cast": x.float() + x,
            "sin": x.sin(),
        },
        torch.arange(-5, 6),
    )


def test_comparisons_and_choices() -> None:
    y = noise(7, seed=1)
    compare_function(
        lambda x: {
            "eq": x == x.round(),
            "ne": x != 0,
            "lt": x < y,
            "le": x <= 0.1,
            "gt": x > y,
            "ge": x >= 0.1,
            "and": (x > 0) & (y > 0),
            "or": torch.logical_or(x > 0, y > 0),
            "not": ~(x > 0),
            "where": torch.where(x > y, x, y),
            "where_number": torch.where(x > 0, x, 0.0),
            "fill": x.masked_fill(x > 1, -1.0),
            "any": (x > 2).any(),
            "all": (x > -9).all(1),
        },
        noise(3, 7),
    )


def test_convolutions_1d_and_3d() -> None:
    w1, w3 = noise(6, 2, 3, seed=1), noise(4, 4, 2, 2, 1, seed=2)
    c = noise(4, 2, 3)
    d = noise(6)
    compare_function(
        lambda x: {
            "conv1d": f.conv1d(x.flatten(2), w1, d, stride=2, padding=1, groups=2),
            "conv3d": f.conv3d(x, w3, padding=(1, 0, 0), dilation=(1, 2, 1)),
            "transpose1d": f.conv_transpose1d(x.flatten(2), c, stride=2, groups=2),
            "transpose3d": f.conv_transpose3d(x, w3),
        },
        noise(2, 4, 3, 4, 5),
    )


def test_convolutions_2d() -> None:
    w = noise(8, 4, 3, 3, seed=1)
    c = noise(3)
    d = noise(4, 1, 3, 3)
    e = noise(4, 3, 3, 3)
    g = noise(8)
    h = noise(8, 4, 2, 3)
    compare_function(
        lambda x: {
            "plain": f.conv2d(x, w, g),
            "strided": f.conv2d(x, w, stride=(2, 1), padding=(1, 2)),
            "dilated": f.conv2d(x, w, dilation=2),
            "depthwise": f.conv2d(x, d, groups=4),
            "same": f.conv2d(x, h, padding="same", dilation=(2, 1)),
            "valid": f.conv2d(x, w, padding="valid"),
            "unbatched": f.conv2d(x[0], w),
            "transpose": f.conv_transpose2d(x, e, c, stride=2, padding=1, output_padding=1),
        },
        noise(2, 4, 9, 8),
    )


def test_products() -> None:
    a, b = noise(7, 5, seed=1), noise(2, 7, 3, seed=2)
    c = noise(5)
    compare_function(
        lambda x: {
            "linear": f.linear(x, a.t(), c),
            "linear_vector": f.linear(x[0, 0], a.t()),
            "matmul": x @ a,
            "bmm": torch.bmm(x, b),
            "mm": torch.mm(x[0], a),
            "mv": x[0] @ a[:, 0],
            "dot": torch.dot(x[0, 0], a[:, 1]),
            "addmm": torch.addmm(c, x[0], a),
            "addmm_scaled": torch.addmm(c, x[0], a, beta=0.5, alpha=2),
            "outer": torch.outer(x[0, 0], x[0, 1]),
            "einsum": torch.einsum("bij,bjk->bik", x, b),
        },
        noise(2, 4, 7),
    )


def test_pools_over_windows() -> None:
    compare_function(
        lambda x: {
            "max": f.max_pool2d(x, 3, 2, 1),
            "max_ceil": f.max_pool2d(x, 2, 2, ceil_mode=True),
            "max_dilated": f.max_pool2d(x, 2, 1, dilation=2),
            "max1d": f.max_pool1d(x.flatten(2), 3),
            "max3d": f.max_pool3d(x.unsqueeze(2), (1, 2, 2)),
            "average": f.avg_pool2d(x, 3, 2, 1),
            "inside": f.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            "ceil": f.avg_pool2d(x, 2, 2, ceil_mode=True),
            "ceil_border": f.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
            "divisor": f.avg_pool2d(x, 3, 2, 1, ceil_mode=True, divisor_override=5),
            "average1d": f.avg_pool1d(x.flatten(2), 4, 3),
            "unbatched": f.max_pool2d(x[0], 2),
        },
        noise(2, 3, 8, 9),
    )


def test_adaptive_pools() -> None:
    graph = compare_function(
        lambda x: {
            "global": f.adaptive_avg_pool2d(x, 1),
            "windows": f.adaptive_avg_pool2d(x, (4, 3)),
            "uneven": f.adaptive_avg_pool2d(x, (3, 4)),
            "kept": f.adaptive_avg_pool2d(x, (None, 1)),
            "max": f.adaptive_max_pool2d(x, (3, 5)),
            "max_global": f.adaptive_max_pool2d(x, 1),
            "line": f.adaptive_avg_pool1d(x.flatten(2), 6),
        },
        noise(2, 3, 8, 9),
    )
    assert dict(graph.outputs)["global"].op == "reduce_mean"
    assert dict(graph.outputs)["windows"].op == "average_pool"


def test_reductions() -> None:
    compare_function(
        lambda x: {
            "mean": x.mean(),
            "mean_dims": x.mean((-1, 1), keepdim=True),
            "sum": x.sum(1),
            "prod": x.prod(2),
            "amax": x.amax((0, 2)),
            "amin": x.amin(-1, keepdim=True),
            "max": x.max(),
            "max_dim": x.max(1).values,
            "max_at": x.max(1).indices,
            "argmax": x.argmax(-1),
            "argmax_all": x.argmax(),
            "argmin": x.argmin(1, keepdim=True),
            "var": x.var(1),
            "var_biased": x.var((1, 2), unbiased=False, keepdim=True),
            "std": x.std(2),
            "norm": x.norm(dim=1),
            "unit": f.normalize(x, dim=-1),
            "logsumexp": x.logsumexp(1),
        },
        noise(2, 4, 5),
    )


def test_joining_and_cutting() -> None:
    compare_function(
        lambda x: {
            "cat": torch.cat([x, x * 2], -1),
            "stack": torch.stack([x, -x], 1),
            "split": torch.cat(x.split([1, 3], 1)[::-1], 1),
            "split_even": x.split(4, 2)[1],
            "chunk": x.chunk(2, 1)[1],
            "unbind": x.unbind(1)[2],
            "slice": x[:, 1:-1, ::2],
            "select": x[:, -1],
            "narrow": x.narrow(2, 1, 3),
            "index_select": x.index_select(2, torch.tensor([3, 0, 0])),
            "index": x[:, torch.tensor([1, -1])],
            "repeat": x.repeat(2, 1, 1, 2),
            "interleave": x.repeat_interleave(3, 1),
            "flip": x.flip(0, 2),
            "roll": x.roll((1, -2), (1, 2)),
        },
        noise(2, 4, 6),
    )


def test_shapes() -> None:
    compare_function(
        lambda x: {
            "view": x.view(2, -1),
            "reshape": x.transpose(1, 2).reshape(-1, 4),
            "flatten": x.flatten(),
            "unflatten": x.unflatten(1, (2, 2)),
            "permute": x.permute(2, 0, 1),
            "transpose": x.mT,
            "movedim": x.movedim(0, -1),
            "squeeze": x[:, :1].squeeze(1),
            "unsqueeze": x.unsqueeze(-2),
            "expand": x[:, :1].expand(-1, 3, -1),
            "identity": f.dropout(x.clone().contiguous().detach(), 0.5, training=False),
            "cast": x.to(torch.float64),
            "ones": x + torch.ones_like(x),
            "count": x * torch.arange(6),
        },
        noise(2, 4, 6),
    )


def test_borders() -> None:
    compare_function(
        lambda x: {
            "zeros": f.pad(x, (1, 2)),
            "value": f.pad(x, (1, 0, 2, 1), value=3.0),
            "cut": f.pad(x, (-1, 2)),
            "reflect": f.pad(x, (2, 1, 1, 0), mode="reflect"),
            "edge": f.pad(x, (2, 1, 1, 0), mode="replicate"),
            "wrap": f.pad(x, (2, 1, 1, 0), mode="circular"),
        },
        noise(2, 3, 5, 6),
    )


def test_resampling() -> None:
    compare_function(
        lambda x: {
            "nearest": f.interpolate(x, scale_factor=2),
            "nearest_size": f.interpolate(x, (7, 4)),
            "nearest_odd": f.interpolate(x, scale_factor=1.7),
            "exact": f.interpolate(x, (7, 4), mode="nearest-exact"),
            "bilinear": f.interpolate(x, scale_factor=2, mode="bilinear"),
            "bilinear_less": f.interpolate(x, (3, 4), mode="bilinear"),
            "corners": f.interpolate(x, (9, 11), mode="bilinear", align_corners=True),
            "linear": f.interpolate(x.flatten(2), 17, mode="linear"),
            "trilinear": f.interpolate(x[:, None], (4, 7, 5), mode="trilinear"),
            "shuffle": f.pixel_shuffle(x, 2),
            "unshuffle": f.pixel_unshuffle(x[..., :4, :], 2),
            "channels": f.channel_shuffle(x, 2),
        },
        noise(2, 4, 5, 6),
    )


def test_normalizations() -> None:
    w, b = noise(6, seed=1), noise(6, seed=2)
    c = noise(5)
    compare_function(
        lambda x: {
            "batch": f.batch_norm(x, b, w.abs() + 0.5, w, b),
            "batch_bare": f.batch_norm(x, b, w.abs() + 0.5),
            "layer": f.layer_norm(x, (5,), c, c),
            "layer_bare": f.layer_norm(x, (4, 5)),
            "group": f.group_norm(x, 3, w, b),
            "instance": f.instance_norm(x, weight=w, bias=b),
            "instance_bare": f.instance_norm(x),
            "local": f.local_response_norm(x, 3),
            "rms": f.rms_norm(x, (5,), c),
            "softmax": f.softmax(x, 1),
            "log_softmax": f.log_softmax(x, -1),
        },
        noise(2, 6, 4, 5),
    )


def test_attention() -> None:
    mask = noise(5, 5) > -0.5
    c = noise(5, 5)
    compare_function(
        lambda x: {
            "plain": f.scaled_dot_product_attention(x, x * 2, x + 1),
            "causal": f.scaled_dot_product_attention(x, x, x, is_causal=True),
            "kept": f.scaled_dot_product_attention(x, x, x, attn_mask=mask | torch.eye(5).bool()),
            "added": f.scaled_dot_product_attention(x, x, x, attn_mask=c, scale=0.2),
            "grouped": f.scaled_dot_product_attention(x, x[:, :2], x[:, :2], enable_gqa=True),
        },
        noise(2, 4, 5, 8),
    )


def test_norms_without_parameters() -> None:
    compare_function(
        lambda x: {
            "root": f.rms_norm(x, (5,)),
            "two": f.rms_norm(x, (4, 5), torch.ones(4, 5) * 2, 1e-3),
            "layer": f.layer_norm(x, (4, 5), eps=0.1),
            "wide": f.rms_norm(x.double(), (5,)),
        },
        noise(2, 4, 5),
    )


def test_running_sums() -> None:
    compare_function(
        lambda x: {
            "last": x.cumsum(-1),
            "inner": x.cumsum(1),
            "places": (x > 0).cumsum(2),
            "vector": x[0, 0].cumsum(0),
        },
        noise(2, 4, 5),
    )


def test_choices_of_a_router() -> None:
    def route(x: torch.Tensor) -> dict[str, torch.Tensor]:
        weights, experts = x.softmax(-1).topk(2)
        least, _ = x.topk(3, 0, largest=False)
        chosen = x.gather(-1, experts)
        crossed = x.gather(1, experts[:, :1] % 4)
        hot = f.one_hot(experts, 6).sum(-2)
        return {"w": weights, "e": experts, "l": least, "c": chosen, "x": crossed, "h": hot}

    compare_function(route, noise(3, 4, 6))


def test_written_in_place() -> None:
    def write(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, 1] = x[:, 0].sum()
        return y

    compare_function(write, noise(2, 3, 4))


def test_embedding_and_positions() -> None:
    table = nn.Embedding(10, 4)
    positions = noise(16, 4)

    def look_up(tokens: torch.Tensor) -> torch.Tensor:
        return table(tokens) + positions[torch.arange(tokens.shape[1])]

    compare_function(look_up, torch.tensor([[1, 9, 0], [3, 3, 2]]))


def test_table_that_no_input_changes_is_worked_out() -> None:
    graph = compare_function(lambda x: x + torch.tril(torch.ones(4, 4)).sort(1).values, noise(4, 4))
    assert {node.op for node in graph.nodes} <= {"input", "const", "add"}


def test_unknown_operator_is_taken_apart() -> None:
    compare_function(lambda x: torch.logit(x.sigmoid()) + torch.special.expit(x), noise(3, 4))


def test_transformer_layer() -> None:
    torch.manual_seed(0)
    compare(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), noise(2, 5, 16))


def test_several_indices_at_once() -> None:
    rows, columns = torch.tensor([[0], [-1]]), torch.tensor([2, 0, -3])
    places = torch.tensor([1, 0])
    compare_function(
        lambda x: {
            "beside": x[:, rows, columns],
            "apart": x[places, :, :, places],
            "first": x[rows, columns],
            "computed": x[(x.sum((1, 2, 3)) > 0).long(), places],
            "along": torch.gather(
                (x * 9).long(), 3, torch.tensor([[[[4, 0, 1]]]]).expand(2, 3, 4, 3)
            ),
        },
        noise(2, 3, 4, 5),
    )


def test_writing_to_places() -> None:
    places = torch.tensor([[2, 0], [1, 1]])

    def written(x: Tensor) -> dict[str, Tensor]:
        part, row = torch.zeros_like(x), x.clone()
        part[:, 1:3] = x[:, :2] * 2
        part[:, 3:] = x[:, 3:]
        row[1] = 7.0
        return {
            "value": x.scatter(1, places, 9.0),
            "source": x.scatter(1, places[:, :1], x[:, 3:]),
            "computed": x.scatter(1, x.topk(2, 1).indices, 0.0),
            "part": part,
            "row": row,
        }

    compare_function(written, noise(2, 4))


def test_complex_numbers_are_pairs_of_reals() -> None:
    angles = torch.outer(torch.arange(5), torch.tensor([1.0, 0.1, 0.01]))
    turns = torch.polar(torch.ones_like(angles), angles)

    def turned(x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.reshape(2, 5, 4, 3, 2)) * turns[:, None]
        return torch.view_as_real(pairs).flatten(3)

    def computed(x: Tensor) -> Tensor:
        z = torch.view_as_complex(x.reshape(2, 5, 4, 3, 2)).transpose(1, 2)
        own = torch.polar(x[..., 0].abs(), x[..., 1])[..., None].transpose(1, 2)
        return torch.view_as_real((z * own.conj() + z) * 2.0).flatten(3)

    compare_function(lambda x: {"turned": turned(x), "computed": computed(x)}, noise(2, 5, 4, 6))
