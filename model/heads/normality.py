"""Self-guided normality modelling: patterns are read from a window's normal snippets, the window is rebuilt from them.

    visual (B, T, D)  --the 80% of lowest score-->  normal snippets (B, N, D)
    prototypes (P, D), reading the normal snippets  --extractor-->  patterns (B, P, D)
    visual, through the bottleneck, reading the patterns  --decoder-->  reconstruction (B, T, D)

What the patterns cannot rebuild is anomalous. Only the losses need this branch; scoring does not use it.
Shapes: B windows, T snippets of a window, N normal snippets, P prototypes (and patterns), D width, H heads.
In attention L positions read M others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers import MLP_RATIO, Mlp

NORM_EPS = 1e-8
INIT_STD, INIT_CUT = 0.01, 0.03


@dataclass(frozen=True, slots=True)
class NormalityConfig:
    """Shape of the normality branch; the defaults are the published one.

    Raises:
        ValueError: on a value outside its range.
    """

    n_prototypes: int = 16
    heads: int = 8
    decoder_blocks: int = 8
    normal_share: float = 0.8
    """Share of a window's positions, padding included, that count as normal: those of lowest anomaly score."""

    def __post_init__(self):
        for name in ("n_prototypes", "heads", "decoder_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if not 0 < self.normal_share <= 1:
            raise ValueError(f"expected normal_share in 0 to 1, got {self.normal_share}")


class CrossAttention(nn.Module):
    """Attention of one sequence to another: positions of the first read the second.

    Args:
        width: D.
        n_heads: H.
        rectified: whether weights are `relu(cosine * learned head scale)` instead of a softmax.
    """

    def __init__(self, width: int, *, n_heads: int, rectified: bool):
        super().__init__()
        self.n_heads = n_heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.learn_scale = nn.Parameter(torch.ones(n_heads, 1, 1)) if rectified else None

    def forward(self, x: Tensor, patterns: Tensor) -> Tensor:
        """Let `x` (B, L, D) read `patterns` (B, M, D): (B, L, D)."""
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (self.q(x), *self.kv(patterns).chunk(2, dim=-1))
        )
        if self.learn_scale is None:
            read = functional.scaled_dot_product_attention(query, key, value)
        else:
            cosine = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-1, -2)
            read = functional.relu(cosine * self.learn_scale) @ value
        return self.proj(read.transpose(1, 2).flatten(2))


class NormalityBlock(nn.Module):
    """Cross-attention and an MLP, each with a LayerNorm before it; both sequences share the first LayerNorm.

    Args:
        width: D.
        n_heads: H.
        rebuilds: whether what attention reads replaces the input instead of being added to it, so that the output is
            made of the patterns alone.
    """

    def __init__(self, width: int, *, n_heads: int, rebuilds: bool):
        super().__init__()
        self.rebuilds = rebuilds
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = CrossAttention(width, n_heads=n_heads, rectified=rebuilds)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = nn.Sequential(nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width))

    def forward(self, x: Tensor, patterns: Tensor) -> Tensor:
        """Let `x` (B, L, D) read `patterns` (B, M, D): (B, L, D)."""
        read = self.attn(self.norm1(x), self.norm1(patterns))
        x = read if self.rebuilds else x + read
        return x + self.mlp(self.norm2(x))


class NormalityBranch(nn.Module):
    """The normality branch: prototypes, the block by which they read normal snippets, and the decoder.

    Args:
        width: D.
        config: the branch's shape.
    """

    def __init__(self, width: int, config: NormalityConfig):
        super().__init__()
        self.config = config
        self.prototypes = nn.Parameter(torch.randn(config.n_prototypes, width))
        self.extractor = NormalityBlock(width, n_heads=config.heads, rebuilds=False)
        self.bottleneck = Mlp(width)
        self.decoder = nn.ModuleList(
            NormalityBlock(width, n_heads=config.heads, rebuilds=True) for _ in range(config.decoder_blocks)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=INIT_STD, a=-INIT_CUT, b=INIT_CUT)
                nn.init.zeros_(module.bias)

    def forward(self, visual: Tensor, anomaly_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Read what is normal in each window, and rebuild the window from it.

        Args:
            visual: (B, T, D).
            anomaly_logits: (B, T, 1); no gradient flows through the choice that they make.

        Returns:
            The reconstruction (B, T, D), and the gather loss: the mean, over normal snippets, of `1 - cosine` to the
            nearest pattern.
        """
        normal = self._normal_snippets(visual, anomaly_logits)
        patterns = self.extractor(self.prototypes.expand(len(visual), -1, -1), normal)
        cosine = functional.normalize(normal, dim=-1) @ functional.normalize(patterns, dim=-1).transpose(1, 2)
        gather_loss = (1 - cosine.amax(dim=-1)).mean()
        x = self.bottleneck(visual)
        for block in self.decoder:
            x = block(x, patterns)
        return x, gather_loss

    def _normal_snippets(self, visual: Tensor, anomaly_logits: Tensor) -> Tensor:
        """The snippets of lowest score, (B, N, D), detached from the gradient."""
        n_normal = int(self.config.normal_share * visual.shape[1])
        chosen = anomaly_logits.detach().squeeze(-1).topk(n_normal, dim=1, largest=False, sorted=False).indices
        return visual.detach().gather(1, chosen.unsqueeze(-1).expand(-1, -1, visual.shape[2]))
