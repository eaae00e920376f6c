"""VadCLIP's text features: learned prompts around each category's name, through CLIP's frozen text tower.

Shapes: C categories, D 512 for CLIP ViT-B. A text has 77 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vad_pipeline.extract.embed.model_config import CONTEXT_LEN, TEXT_LAYERS, VOCABULARY
from vad_pipeline.extract.errors import ConfigError, quoted

from ..layers import TransformerBlock
from ..text import clip_tokens, text_heads

PLACES = 10  # learned places before and after a name's words
MAX_WORDS = CONTEXT_LEN - 2 - 2 * PLACES  # tokens of a name: start, places, words, places, end


class PromptEncoder(nn.Module):
    """CLIP's text tower, which reads names between learned places.

    Args:
        width: D.
    """

    def __init__(self, width: int):
        super().__init__()
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT_LEN, width).normal_(std=0.01))
        self.blocks = nn.ModuleList(TransformerBlock(width, n_heads=text_heads(width)) for _ in range(TEXT_LAYERS))
        self.ln_final = nn.LayerNorm(width)
        self.projection = nn.Parameter(torch.empty(width, width).normal_(std=width**-0.5))
        self.prompts = nn.Parameter(torch.empty(CONTEXT_LEN, width).normal_(std=0.01))

    def forward(self, words: Sequence[Tensor], ends: Tensor) -> Tensor:
        """Compute the text features of each category.

        Args:
            words: C tensors (2 + k,) int64: a name's tokens from start to end, as `name_tokens` gives them.
            ends: (2,) int64: the start and the end token.

        Returns:
            (C, D), not normalised.
        """
        start, end = self.token_embedding(ends)
        x = self.prompts.expand(len(words), -1, -1).clone()
        last = torch.tensor([len(name) + 2 * PLACES + 1 for name in words], device=x.device)
        x[:, 0] = start
        for row, name in enumerate(words):
            x[row, 1 + PLACES : 1 + PLACES + len(name)] = self.token_embedding(name)
            x[row, len(name) + 2 * PLACES + 1] = end
        # attention is causal and only the end token is read: what follows the last of them is left out
        x = (x + self.positional_embedding)[:, : int(last.max()) + 1]
        for block in self.blocks:
            x = block(x, causal=True)
        return self.ln_final(x)[torch.arange(len(words), device=x.device), last] @ self.projection


def name_tokens(names: Sequence[str]) -> tuple[list[Tensor], Tensor]:
    """Turn the names of categories into what `PromptEncoder` reads.

    Returns:
        For each name CLIP's tokens of its words, (k,) int64; and CLIP's start and end token, (2,) int64.

    Raises:
        ConfigError: a name has more tokens than fit between the learned places.
    """
    rows = clip_tokens(names)
    lengths = rows.argmax(dim=-1)  # where the end token stands, which is the largest number
    words = [row[1:length] for row, length in zip(rows, lengths.tolist(), strict=True)]
    for name, tokens in zip(names, words, strict=True):
        if len(tokens) > MAX_WORDS:
            raise ConfigError(f"{quoted(name, 40)}: {len(tokens)} tokens, {MAX_WORDS} fit between prompts; shorten it")
    return words, torch.stack([rows[0, 0], rows[0, int(lengths[0])]])
