"""DSANet with the other networks that training needs: the text tower with its adapters, and the normality branch.

Shapes: B windows, T snippets of a window, C categories, D 512.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from .categories import Category
from .heads.dsanet import DSANet, DSANetConfig, DSANetOutput
from .heads.normality import NormalityBranch, NormalityConfig
from .text import TextEncoder, tokenize


class TrainableDSANet(nn.Module):
    """All networks of a training run. CLIP's text tower is frozen; its adapters and projection are trained.

    Args:
        config: shape of the scoring network.
        normality: shape of the normality branch.
        categories: in column order; their descriptions are what the text tower reads.
    """

    def __init__(self, config: DSANetConfig, normality: NormalityConfig, categories: Sequence[Category]):
        super().__init__()
        self.scoring = DSANet(config)
        self.text = TextEncoder(
            config.width, n_adapters=config.text_adapter_layers, adapter_weight=config.text_adapter_weight
        )
        self.normality = NormalityBranch(config.width, normality)
        self.text.requires_grad_(False)
        for trained in (self.text.adapters, self.text.projection):
            trained.requires_grad_(True)
        tokens, columns = tokenize(categories)
        self.register_buffer("tokens", tokens, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, features: Tensor, lengths: Tensor, *, normality: bool = True) -> DSANetOutput:
        """Compute everything that the losses read.

        Args:
            features: (B, T, D) float, zeros where a window is padded.
            lengths: (B,) int, how many snippets of each window are no padding.
            normality: whether to compute the reconstruction and the gather loss too, by far the most work.
        """
        output = self.scoring(features, lengths, self.text_features())
        if not normality:
            return output
        reconstruction, gather_loss = self.normality(output.visual, output.anomaly_logits)
        return replace(output, reconstruction=reconstruction, gather_loss=gather_loss)

    def text_features(self) -> Tensor:
        """Text features of the categories with the adapters as they are now: (C, D), L2-normalised."""
        return self.text(self.tokens, self.columns)

    def trained_state(self) -> dict[str, Tensor]:
        """All weights that training changes, by name; CLIP's frozen text tower is left out."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {name: value for name, value in self.state_dict().items() if name in trained}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Load weights that `trained_state` gave, all or some of them.

        Raises:
            KeyError: a name is that of no parameter.
        """
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, value in state.items():
                own[name].copy_(value)
