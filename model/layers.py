"""The layers DSANet is built of: transformer blocks with local attention, graph convolutions, adjacencies.

Shapes: B windows (or texts), T positions, D width, H heads, L positions of a local block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

QUICK_GELU_SLOPE = 1.702
MLP_RATIO = 4
RESIDUAL_KERNEL = 5  # snippets a graph convolution's residual sees where widths differ
EPS = 1e-20  # keeps an all-zero row's cosine at 0 instead of NaN
DRAWING = frozenset((torch.Tensor.normal_, torch.Tensor.uniform_, nn.init.kaiming_uniform_, nn.init.uniform_))
Built = TypeVar("Built", bound=nn.Module)


def without_weights(build: Callable[[], Built]) -> Built:
    """A network of shapes alone, on the meta device: whatever its size, it takes no memory and no time."""
    with torch.device("meta"), _NothingDrawn():
        return build()


class _NothingDrawn(TorchFunctionMode):
    """What draws numbers leaves them as they are: for shapes alone, torch would first import for two seconds."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's GELU, `x * sigmoid(1.702 x)`."""
    return x * torch.sigmoid(QUICK_GELU_SLOPE * x)


class Mlp(nn.Module):
    """Two linear layers with an activation between them, QuickGELU unless told otherwise: D -> 4D -> D."""

    def __init__(self, width: int):
        super().__init__()
        self.activation: Callable[[Tensor], Tensor] = quick_gelu
        self.expand = nn.Linear(width, MLP_RATIO * width)
        self.project = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to each vector: (..., D) -> (..., D)."""
        return self.project(self.activation(self.expand(x)))


class SelfAttention(nn.Module):
    """Softmax attention among the positions of a sequence.

    Args:
        width: D.
        n_heads: H.
    """

    def __init__(self, width: int, *, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """Let positions attend to each other: (B, T, D) -> (B, T, D). With `causal`, none sees a later one."""
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        read = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.out(read.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Transformer block: attention and an MLP, each added to its input and with a LayerNorm before it.

    Args:
        width: D.
        n_heads: H.
    """

    def __init__(self, width: int, *, n_heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, n_heads=n_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, *, block_len: int | None = None, causal: bool = False) -> Tensor:
        """Apply the block: (B, T, D) -> (B, T, D).

        Args:
            x: (B, T, D).
            block_len: L, a divisor of T: the sequence is cut into blocks of L, and a position sees only its own block.
                This equals a block-diagonal mask and is T / L times less work. None: positions see the whole sequence.
            causal: whether a position sees only itself and earlier ones.
        """
        h = self.norm1(x)
        blocks = h if block_len is None else h.reshape(-1, block_len, h.shape[-1])
        x = x + self.attention(blocks, causal=causal).reshape(x.shape)
        return x + self.mlp(self.norm2(x))


class GraphConvolution(nn.Module):
    """`A (x W) + residual(x)`. The residual is the identity, or a convolution over time where the widths differ.

    Args:
        width_in: D of the input.
        width_out: D of the output.
    """

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_in, width_out))
        nn.init.xavier_uniform_(self.weight)
        self.residual = (
            None
            if width_in == width_out
            else nn.Conv1d(width_in, width_out, RESIDUAL_KERNEL, padding=RESIDUAL_KERNEL // 2)
        )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Mix positions by an adjacency (B, T, T) or (T, T): (B, T, width_in) -> (B, T, width_out)."""
        residual = x if self.residual is None else self.residual(x.transpose(1, 2)).transpose(1, 2)
        return adjacency @ (x @ self.weight) + residual


class GraphBranch(nn.Module):
    """Two graph convolutions over one adjacency, each followed by QuickGELU.

    Args:
        width_in: D of the input.
        width_out: D of the output.
    """

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        self.first = GraphConvolution(width_in, width_out)
        self.second = GraphConvolution(width_out, width_out)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Mix positions by an adjacency (B, T, T) or (T, T): (B, T, width_in) -> (B, T, width_out)."""
        return quick_gelu(self.second(quick_gelu(self.first(x, adjacency)), adjacency))


def similarity_adjacency(x: Tensor, lengths: Tensor, *, threshold: float) -> Tensor:
    """Adjacency by which a window's snippets mix with those that look like them: a softmax of their cosines.

    Args:
        x: (B, T, D).
        lengths: (B,) int, how many snippets of each window are no padding; 0 gives an adjacency of zeros.
        threshold: cosines that are not above it become 0; they still take part in the softmax.

    Returns:
        (B, T, T); rows of real snippets sum to 1, rows and columns of padding are 0.
    """
    unit = x / (x.norm(dim=-1, keepdim=True) + EPS)
    cosine = functional.threshold(unit @ unit.transpose(1, 2), threshold, 0.0)
    real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
    # a finite mask value: a window without any real snippet must not become NaN
    masked = cosine.masked_fill(~real[:, None, :], torch.finfo(cosine.dtype).min)
    return masked.softmax(dim=-1) * (real[:, :, None] & real[:, None, :])


def distance_adjacency(n_positions: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Adjacency by which near positions mix most: `exp(-|i - j| / e)`, (T, T), not normalised, padding included."""
    position = torch.arange(n_positions, device=device, dtype=dtype)
    return torch.exp(-(position[:, None] - position).abs() / torch.e)
