"""CLIP's text tower with DSANet's adapters: descriptions -> category text features (C, D).

Scoring with a converted checkpoint needs none of this: the features do not change, and the checkpoint holds them.
Shapes: C categories, N descriptions (each category has one or more), D 512 for CLIP ViT-B. A text has 77 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vad_pipeline.extract.embed.model_config import CONTEXT_LEN, TEXT_LAYERS, VOCABULARY
from vad_pipeline.extract.errors import ConfigError, quoted

from .categories import Category
from .layers import TransformerBlock

LONGEST_TEXT = 4096  # tokens; a message can say how many a text has up to here
HEAD_WIDTH = 64  # of every text tower of CLIP's, whatever its width
LEAKY_SLOPE = 0.01
NORM_EPS = 1e-6


def text_heads(width: int) -> int:
    """How many attention heads CLIP's text tower of a width has: 8 of 512, 12 of 768."""
    return max(1, width // HEAD_WIDTH)


def tokenize(categories: Sequence[Category]) -> tuple[Tensor, Tensor]:
    """Turn the descriptions of categories into what the text tower reads.

    Returns:
        CLIP's tokens, (N, 77) int64: the end-of-text token is the largest number of a row, and zeros follow it.
        The column of the category that each row describes, (N,) int64, ascending.
    """
    texts = [text for category in categories for text in category.descriptions]
    columns = [column for column, category in enumerate(categories) for _ in category.descriptions]
    return clip_tokens(texts), torch.tensor(columns)


def clip_tokens(texts: Sequence[str]) -> Tensor:
    """Turn texts into CLIP's tokens, (N, 77) int64.

    Raises:
        ConfigError: a text has more tokens than CLIP reads, and would be cut silently.
    """
    import open_clip  # late: 3 seconds

    tokens = open_clip.tokenize(list(texts), context_length=LONGEST_TEXT)
    for text, n_tokens in zip(texts, (tokens.argmax(dim=-1) + 1).tolist(), strict=True):
        if n_tokens > CONTEXT_LEN:
            raise ConfigError(f"{quoted(text, 40)}: {n_tokens} tokens, CLIP reads {CONTEXT_LEN}; shorten it")
    return tokens[:, :CONTEXT_LEN]


class TextEncoder(nn.Module):
    """CLIP's text tower without its own projection, and with trained adapters after its first blocks.

    Args:
        width: D.
        n_adapters: how many of the first blocks are followed by an adapter.
        adapter_weight: share of an adapter's output when it is blended with its input, 0 to 1.
    """

    def __init__(self, width: int, *, n_adapters: int, adapter_weight: float):
        super().__init__()
        self.adapter_weight = adapter_weight
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT_LEN, width).normal_(std=0.01))
        self.blocks = nn.ModuleList(TransformerBlock(width, n_heads=text_heads(width)) for _ in range(TEXT_LAYERS))
        self.ln_final = nn.LayerNorm(width)
        self.adapters = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n_adapters))
        self.projection = nn.Linear(width, width, bias=False)
        for linear in (*self.adapters, self.projection):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, tokens: Tensor, columns: Tensor) -> Tensor:
        """Compute the text features of each category: the mean over its descriptions, then L2-normalised.

        Args:
            tokens: (N, 77) int64, as `tokenize` gives them.
            columns: (N,) int64, column of the category that each row describes.

        Returns:
            (C, D), L2-normalised.
        """
        end_of_text = tokens.argmax(dim=-1)
        # attention is causal and only the end-of-text token is read: what follows the last of them is left out
        tokens = tokens[:, : int(end_of_text.max()) + 1]
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, causal=True)
            if i < len(self.adapters):
                x = self._blend(x, self.adapters[i])
        x = self.ln_final(x)[torch.arange(len(tokens), device=tokens.device), end_of_text]
        x = functional.leaky_relu(self.projection(x), LEAKY_SLOPE)
        mean = functional.one_hot(columns).to(x.dtype)
        return functional.normalize((mean / mean.sum(dim=0)).T @ x, dim=-1)

    def _blend(self, x: Tensor, adapter: nn.Linear) -> Tensor:
        u = functional.leaky_relu(adapter(x), LEAKY_SLOPE)
        u = u * x.norm(dim=-1, keepdim=True) / (u.norm(dim=-1, keepdim=True) + NORM_EPS)
        return self.adapter_weight * u + (1 - self.adapter_weight) * x
