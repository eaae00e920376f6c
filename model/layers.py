"""What DSANet is built of: transformer blocks with local attention, graph convolutions, adjacencies.

Shapes: B windows (or texts), T positions, D width, H heads, L positions of a local block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

QUICK_GELU_SLOPE = 1.702
MLP_RATIO = 4
RESIDUAL_KERNEL = 5  # snippets a graph convolution's residual sees where widths differ
EPS = 1e-20  # keeps an all-zero row's cosine at 0 instead of NaN


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's GELU, `x * sigmoid(1.702 x)`."""
    return x * torch.sigmoid(QUICK_GELU_SLOPE * x)


class Mlp(nn.Module):
    """D -> 4D -> QuickGELU -> D."""

    def __init__(self, width: int):
        super().__init__()
        self.expand = nn.Linear(width, MLP_RATIO * width)
        self.project = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.project(quick_gelu(self.expand(x)))


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
        """(B, T, D) -> (B, T, D); with `causal`, a position sees itself and what comes before it."""
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        read = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.out(read.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Pre-norm transformer block.

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
        """(B, T, D) -> (B, T, D).

        Args:
            block_len: L, a divisor of T: positions see only their own consecutive block of L. Cutting the sequence
                equals a block-diagonal mask and is T / L times less work. None: they see all of the sequence.
            causal: positions see no later ones.
        """
        h = self.norm1(x)
        blocks = h if block_len is None else h.reshape(-1, block_len, h.shape[-1])
        x = x + self.attention(blocks, causal=causal).reshape(x.shape)
        return x + self.mlp(self.norm2(x))


class GraphConvolution(nn.Module):
    """`A (x W) + residual(x)`: the identity, or a convolution over time where widths differ.

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
        """(B, T, width_in) and (B, T, T) or (T, T) -> (B, T, width_out)."""
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
        """(B, T, width_in) and (B, T, T) or (T, T) -> (B, T, width_out)."""
        return quick_gelu(self.second(quick_gelu(self.first(x, adjacency)), adjacency))


def similarity_adjacency(x: Tensor, lengths: Tensor, *, threshold: float) -> Tensor:
    """Who looks like whom among a window's real snippets.

    Args:
        x: (B, T, D).
        lengths: (B,) real snippets; 0 gives an adjacency of zeros.
        threshold: cosines not above it count as 0, and as such still take part in the softmax.

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
    """`exp(-|i - j| / e)` over all positions, padding included, not normalised: (T, T)."""
    position = torch.arange(n_positions, device=device, dtype=dtype)
    return torch.exp(-(position[:, None] - position).abs() / torch.e)
