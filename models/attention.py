"""What encoders share: attention from everywhere to everywhere, and an MLP with GELU."""

from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """softmax(q·kᵀ/√size)·v in `heads` heads; one projection makes q, k and v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.o = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """What each place gathers from all."""
        batch, length, width = x.shape
        heads = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.o(y.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Sequential):
    """Four times as wide in the middle."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
