"""The heads with all that training needs beside the scoring network, and how each part of them is trained.

DSANet: the text tower with its adapters, the normality branch, two optimisers. VadCLIP: learned prompts through the
text tower. CLIP's text tower is frozen in both.

Shapes: B windows, T snippets of a window, C categories, D 512.
Method: DSANet, "implementation details", and VadCLIP's, as their published code trains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from ..categories import Category
from ..heads.dsanet import DSANet, DSANetConfig, DSANetOutput
from ..heads.head_names import DEFAULT_HEAD, OWN
from ..heads.known import head_of
from ..heads.mil import Mil
from ..heads.normality import NormalityBranch, NormalityConfig
from ..heads.output import HeadOutput
from ..heads.own import OwnNetwork
from ..heads.prompts import PromptEncoder, name_tokens
from ..heads.vadclip import VadCLIP, VadCLIPConfig
from ..text import TextEncoder, tokenize
from .losses import LOSSES, NORMALITY_LOSSES, OWN_LOSSES, PLAIN_LOSSES, VADCLIP_LOSSES, Loss, Output
from .optimiser import WEIGHT_DECAY, Group, StableAdamW, epoch_cosine, stepped, warm_cosine
from .train_config import PLAIN_TRAINING, TRAINING_PRESETS, VADCLIP_TRAINING, Schedule, TrainConfig


class Trainable(Protocol):
    """What training asks of a network, which is a module."""

    scoring: nn.Module
    """The part that scores; its `config` is the head's configuration."""

    def __call__(self, features: Tensor, lengths: Tensor, *, losses: Collection[str]) -> Output:
        """Compute what the losses of these names read, from (B, T, D) and (B,)."""

    def text_features(self) -> Tensor | None:
        """Text features of the categories as they are now, (C, D); None of a head that reads no text."""

    def groups(self, config: TrainConfig, schedule: Schedule) -> list[Group]:
        """Make the optimisers, each with the parameters it trains and its rate at each step."""


class TrainableDSANet(nn.Module):
    """DSANet's networks. Of the text tower its adapters and projection are trained.

    Args:
        config: shape of the scoring network.
        categories: in column order; their descriptions are what the text tower reads.
        normality: shape of the normality branch; None: the published one.
    """

    def __init__(self, config: DSANetConfig, categories: Sequence[Category], normality: NormalityConfig | None = None):
        super().__init__()
        self.scoring = DSANet(config)
        self.text = TextEncoder(
            config.width, n_adapters=config.text_adapter_layers, adapter_weight=config.text_adapter_weight
        )
        self.normality = NormalityBranch(config.width, normality or NormalityConfig())
        self.text.requires_grad_(False)
        for trained in (self.text.adapters, self.text.projection):
            trained.requires_grad_(True)
        tokens, columns = tokenize(categories)
        self.register_buffer("tokens", tokens, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, features: Tensor, lengths: Tensor, *, losses: Collection[str] = LOSSES) -> DSANetOutput:
        """Compute everything that the losses read.

        Args:
            features: (B, T, D) float, zeros where a window is padded.
            lengths: (B,) int, how many snippets of each window are no padding.
            losses: their names; those that do not read the reconstruction spare the normality branch, by far the most
                work. Others than DSANet's may read it.
        """
        output = self.scoring(features, lengths, self.text_features())
        if not set(losses) & NORMALITY_LOSSES and set(losses) <= LOSSES.keys():
            return output
        reconstruction, gather_loss = self.normality(output.visual, output.anomaly_logits)
        return replace(output, reconstruction=reconstruction, gather_loss=gather_loss)

    def text_features(self) -> Tensor:
        """Text features of the categories with the adapters as they are now: (C, D), L2-normalised."""
        return self.text(self.tokens, self.columns)

    def groups(self, config: TrainConfig, schedule: Schedule) -> list[Group]:
        """The normality branch with a rate that rises first, and all else with one that falls by the epoch."""
        base, normality = config.learning_rate, list(self.normality.parameters())
        held = {id(parameter) for parameter in normality}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in held]
        return [
            Group(
                StableAdamW(normality, lr=base),
                partial(warm_cosine, base=base, warmup=schedule.warmup, total=schedule.total_iterations),
                name="normality",
            ),
            Group(
                torch.optim.AdamW(rest, lr=base, weight_decay=WEIGHT_DECAY),
                lambda step: epoch_cosine(step // schedule.steps_per_epoch, base=base, n_epochs=schedule.n_epochs),
            ),
        ]


class TrainableVadCLIP(nn.Module):
    """VadCLIP's networks. Of the text tower only the prompts around the names are trained.

    Args:
        config: shape of the scoring network.
        categories: in column order; the first description of each is the name that the text tower reads.

    Raises:
        ConfigError: a name is too long for the text tower.
    """

    def __init__(self, config: VadCLIPConfig, categories: Sequence[Category]):
        super().__init__()
        self.scoring = VadCLIP(config)
        self.text = PromptEncoder(config.width)
        self.text.requires_grad_(False)
        self.text.prompts.requires_grad_(True)
        words, ends = name_tokens([category.descriptions[0] for category in categories])
        self.register_buffer("words", torch.cat(words), persistent=False)
        self.register_buffer("ends", ends, persistent=False)
        self._lengths = [len(name) for name in words]

    def forward(self, features: Tensor, lengths: Tensor, *, losses: Collection[str] = VADCLIP_LOSSES) -> HeadOutput:
        """Compute everything that the losses read; see `TrainableDSANet.forward`."""
        text = self.text_features()
        visual, anomaly, category = self.scoring.logits(features, lengths, text)
        return HeadOutput(anomaly, category, text, visual)

    def text_features(self) -> Tensor:
        """Text features of the categories with the prompts as they are now: (C, D), not normalised."""
        return self.text(self.words.split(self._lengths), self.ends)

    def groups(self, config: TrainConfig, schedule: Schedule) -> list[Group]:
        """All that is trained, at a rate that falls at the milestones."""
        return [adamw_group(self, config, schedule)]


class TrainablePlain(nn.Module):
    """A head that reads no text: all that is trained is the scoring network.

    Args:
        scoring: the network.
    """

    def __init__(self, scoring: nn.Module):
        super().__init__()
        self.scoring = scoring

    def forward(self, features: Tensor, lengths: Tensor, *, losses: Collection[str] = ()) -> HeadOutput:
        """Compute everything that the losses read; see `TrainableDSANet.forward`."""
        visual, anomaly, category = self.scoring.logits(features, lengths, None)
        return HeadOutput(anomaly, category, visual=visual)

    def text_features(self) -> None:
        """None: there are none."""
        return None

    def groups(self, config: TrainConfig, schedule: Schedule) -> list[Group]:
        """All of it, at one rate."""
        return [adamw_group(self, config, schedule)]


def adamw_group(network: nn.Module, config: TrainConfig, schedule: Schedule) -> Group:
    """AdamW over all that is trained of a network, at a rate that falls at the configuration's milestones."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def rate(step: int) -> float:
        epoch = step // schedule.steps_per_epoch
        return stepped(epoch, base=config.learning_rate, milestones=config.milestones)

    return Group(torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=WEIGHT_DECAY), rate)


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """How a head is trained."""

    network: Callable[..., Trainable]
    """The configuration and the categories (for a head of the user's own its code too) -> the network, all that
    training needs included, drawn at random."""
    losses: Mapping[str, Loss]
    """The losses by name; those of a head of the user's own may be others, see `losses_of`."""
    presets: Mapping[str, TrainConfig]
    """The published hyper-parameters by the name of the data set."""


TRAINED = {
    DEFAULT_HEAD: TrainedHead(TrainableDSANet, LOSSES, TRAINING_PRESETS),
    "vadclip": TrainedHead(TrainableVadCLIP, VADCLIP_LOSSES, VADCLIP_TRAINING),
    "mil": TrainedHead(lambda config, categories: TrainablePlain(Mil(config)), PLAIN_LOSSES, PLAIN_TRAINING),
    OWN: TrainedHead(
        lambda config, categories, own: TrainablePlain(OwnNetwork(config, own)), OWN_LOSSES, PLAIN_TRAINING
    ),
}
"""The heads that can be trained, by their names in `HEADS`."""


def losses_of(scoring: nn.Module) -> Mapping[str, Loss]:
    """The losses of a scoring network by name: a head of the user's own may bring its own.

    Raises:
        ConfigError: what it brings are no losses.
    """
    head = head_of(scoring.config)
    if head != OWN:
        return TRAINED[head].losses
    brought = scoring.losses()
    usual = {name: loss for name, loss in OWN_LOSSES.items() if name != "align" or scoring.config.has_categories}
    return usual if brought is None else brought


def trained_state(network: nn.Module) -> dict[str, Tensor]:
    """All tensors that training changes, by name; CLIP's frozen text tower is left out."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


def load_trained_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load tensors that `trained_state` gave, all or some of them.

    Raises:
        KeyError: a name is that of no tensor.
    """
    own = network.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)
