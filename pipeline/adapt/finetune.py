"""Fine-tunes a checkpoint's scoring network on ranges of snippets, held near the weights that it had.

The text features stay as they are, so that CLIP's text tower is not needed; the network is used as it scores: windows
cut as for scoring, no dropout. What is learned, each a mean and of weight 1 unless the recipe says otherwise: the
marked ranges (`marked_loss`), whole videos by their labels (the usual top-k mean), snippets that nobody marked (they
should score what they did). After each step the weights are drawn back towards the old ones, decoupled from
the gradient as AdamW's decay is (L2-SP: Li et al., "Explicit inductive bias for transfer learning", ICML 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vad_pipeline.extract.errors import RunStopped
from vad_pipeline.model.checkpoint import Checkpoint
from vad_pipeline.model.heads.known import HEADS
from vad_pipeline.model.heads.output import HeadOutput
from vad_pipeline.model.learning.losses import TrainingBatch, align, mil
from vad_pipeline.model.learning.marked import Marked, marked_loss


@dataclass(frozen=True, slots=True)
class TuneRecipe:
    """How it is fine-tuned; chosen on rendered worlds other than those that figures are reported of."""

    steps: int = 120
    marked_windows: int = 8
    """Of a step."""
    labelled_rows: int = 8
    learning_rate: float = 3e-4
    label_weight: float = 2.0
    keep_weight: float = 1.0
    pull: float = 0.005
    """Share of the way from the old weights that is taken back after each step."""


@dataclass(frozen=True, slots=True, eq=False)
class MarkedWindow:
    """One window of a video as it is scored, and what was said of its snippets."""

    features: np.ndarray = field(repr=False)
    """(T, D) float32, zeros where it is padded."""
    length: int
    """How many snippets are no padding."""
    number: np.ndarray = field(repr=False)
    """(T,) int64: the number of a range of this window, from 1; 0: nobody said anything."""
    columns: np.ndarray = field(repr=False)
    """(R, C) float32, as in `Marked`."""
    keep: np.ndarray = field(repr=False)
    """(T,) float32: the score that a snippet should keep; NaN where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRow:
    """One video with a label of the whole, pooled to a window as for training."""

    features: np.ndarray = field(repr=False)
    """(n, D) float32, n up to T."""
    columns: tuple[int, ...]
    """Positions of its categories; (0,): normal."""


def finetune(
    checkpoint: Checkpoint,
    marked: Sequence[MarkedWindow],
    labelled: Sequence[LabelledRow],
    *,
    recipe: TuneRecipe,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Fine-tune a checkpoint; the same arguments give the same weights on one machine.

    Args:
        checkpoint: where it starts from; its network is trained in place, so that a head of the user's own need not
            be one that can be copied.
        marked: at least one window.
        labelled: whole videos, mixed in; none are needed.
        recipe: how.
        seed: of the order in which windows are taken.
        on_step: called after each step.

    Raises:
        RunStopped: a loss is not finite any more.
    """
    network = checkpoint.model.eval().requires_grad_(True)
    old = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=0)
    rng = np.random.default_rng(seed)
    turns = _turns(len(marked), recipe.marked_windows, rng), _turns(len(labelled), recipe.labelled_rows, rng)
    for _ in range(recipe.steps):
        optimiser.zero_grad(set_to_none=True)
        loss = _marks(checkpoint, [marked[i] for i in next(turns[0])], recipe)
        if labelled:
            loss = loss + recipe.label_weight * _labels(checkpoint, [labelled[i] for i in next(turns[1])])
        if not torch.isfinite(loss):
            raise RunStopped("fine-tuning diverged: a loss is not finite; the checkpoint stays as it is")
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for parameter, before in zip(network.parameters(), old, strict=True):
                parameter.lerp_(before, recipe.pull)
        on_step()
    network.requires_grad_(False)


def _turns(n: int, at_once: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Numbers below n, `at_once` of them each time; all have had their turn before one has it again."""
    waiting: list[int] = []
    while True:
        while len(waiting) < min(at_once, n):
            waiting += rng.permutation(n).tolist()
        yield waiting[:at_once]
        del waiting[:at_once]


def _answer(checkpoint: Checkpoint, features: Tensor, lengths: Tensor) -> tuple[HeadOutput, Tensor]:
    """Logits of windows, and the score that curves are made of, (B, T)."""
    visual, anomaly, category = checkpoint.model.logits(features, lengths, checkpoint.text_features)
    score, _ = HEADS[checkpoint.head].scores(anomaly, category, checkpoint.config)
    return HeadOutput(anomaly, category, visual=visual), score


def _marks(checkpoint: Checkpoint, windows: Sequence[MarkedWindow], recipe: TuneRecipe) -> Tensor:
    features = torch.from_numpy(np.stack([window.features for window in windows]))
    lengths = torch.tensor([window.length for window in windows])
    output, score = _answer(checkpoint, features, lengths)
    keep = torch.from_numpy(np.stack([window.keep for window in windows]))
    held = ~torch.isnan(keep)
    loss = marked_loss(output.anomaly_logits, output.category_logits, joined(windows))
    if held.any():
        loss = loss + recipe.keep_weight * functional.mse_loss(score[held], keep[held])
    return loss


def joined(windows: Sequence[MarkedWindow]) -> Marked:
    """The ranges of several windows, numbered through."""
    numbers, before = [], 0
    for window in windows:
        numbers.append(np.where(window.number > 0, window.number + before, 0))
        before += len(window.columns)
    columns = np.concatenate([window.columns for window in windows])
    return Marked(torch.from_numpy(np.stack(numbers)), torch.from_numpy(columns))


def _labels(checkpoint: Checkpoint, rows: Sequence[LabelledRow]) -> Tensor:
    config = checkpoint.config
    features = torch.zeros(len(rows), config.window_len, config.width)
    labels = torch.zeros(len(rows), len(config.categories))
    for i, row in enumerate(rows):
        features[i, : len(row.features)] = torch.from_numpy(row.features)
        labels[i, list(row.columns)] = 1
    batch = TrainingBatch(features, torch.tensor([len(row.features) for row in rows]), labels)
    output, _ = _answer(checkpoint, features, batch.lengths)
    return mil(output, batch) + (align(output, batch) if output.category_logits is not None else 0)
