"""CLIP's text tower with DSANet's adapters: descriptions -> category text features (C, 512).

Scoring with a converted checkpoint needs none of this: the features are constant, and kept in it.
Shapes: C categories, K tokens (77), D 512.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import TransformerBlock

VOCABULARY = 49408  # CLIP's byte pair encoding
CONTEXT_LEN = 77  # tokens
TEXT_LAYERS = 12
TEXT_HEADS = 8
LEAKY_SLOPE = 0.01
NORM_EPS = 1e-6


def tokenize(texts: Sequence[str]) -> Tensor:
    """CLIP's tokens (C, 77) int64; the end-of-text token is the largest id of a row, zeros follow it."""
    import open_clip  # late: 3 seconds

    return open_clip.tokenize(list(texts), context_length=CONTEXT_LEN)


class TextEncoder(nn.Module):
    """CLIP's text tower, its own projection left out, with trained adapters after the first blocks.

    Args:
        width: D.
        n_adapters: how many blocks are followed by an adapter.
        adapter_weight: the adapter's share in the blend, 0 to 1.
    """

    def __init__(self, width: int, *, n_adapters: int, adapter_weight: float):
        super().__init__()
        self.adapter_weight = adapter_weight
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT_LEN, width).normal_(std=0.01))
        self.blocks = nn.ModuleList(TransformerBlock(width, n_heads=TEXT_HEADS) for _ in range(TEXT_LAYERS))
        self.ln_final = nn.LayerNorm(width)
        self.adapters = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n_adapters))
        self.projection = nn.Linear(width, width, bias=False)
        for linear in (*self.adapters, self.projection):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Text features, one a category.

        Args:
            tokens: (C, 77) int64.

        Returns:
            (C, D), L2-normalised.
        """
        x = self.token_embedding(tokens) + self.positional_embedding
        for i, block in enumerate(self.blocks):
            x = block(x, causal=True)
            if i < len(self.adapters):
                x = self._blend(x, self.adapters[i])
        end_of_text = tokens.argmax(dim=-1)
        x = self.ln_final(x)[torch.arange(len(tokens), device=tokens.device), end_of_text]
        return functional.normalize(functional.leaky_relu(self.projection(x), LEAKY_SLOPE), dim=-1)

    def _blend(self, x: Tensor, adapter: nn.Linear) -> Tensor:
        u = functional.leaky_relu(adapter(x), LEAKY_SLOPE)
        u = u * x.norm(dim=-1, keepdim=True) / (u.norm(dim=-1, keepdim=True) + NORM_EPS)
        return self.adapter_weight * u + (1 - self.adapter_weight) * x
