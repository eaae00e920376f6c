"""Snippet embeddings of a video -> `SnippetScores`.

Shapes: n snippets, B windows of a batch, T snippets of a window, C categories, D 512 for CLIP ViT-B.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field

import numpy as np
import torch

from vad_pipeline.extract.device import resolve_device
from vad_pipeline.extract.embed.ways import DTYPES, EMULATED, multiplies_bf16
from vad_pipeline.extract.errors import VadError
from vad_pipeline.extract.recipe import SNIPPET_LEN

from .checkpoint import Checkpoint
from .heads.known import HEADS, head_of
from .windows import from_windows, to_windows

logger = logging.getLogger(__name__)

BATCH_WINDOWS = 16  # windows scored at once: 65,536 frames, about 100 MB of intermediate values
ROWS_AT_ONCE = 4096  # snippets looked at together, to bound memory: a day of footage has 135,000
SUM_TOLERANCE = 1e-4  # how far the sum of a row of probabilities may be from 1


class EmbeddingsError(VadError):
    """Embeddings that cannot be scored."""


@dataclass(frozen=True, slots=True, eq=False)
class SnippetScores:
    """The anomaly score and the category probabilities of each snippet of a video."""

    anomaly: np.ndarray = field(repr=False)
    """(n,) float32: the anomaly score, 0 to 1."""
    category: np.ndarray = field(repr=False)
    """(n, C) float32, rows sum to 1, column 0 is the normal category."""
    categories: tuple[str, ...]
    """Names of the columns."""
    snippet_len: int
    """Frames a snippet spans."""

    def __post_init__(self):
        n = len(self.anomaly)
        if self.anomaly.shape != (n,) or self.category.shape != (n, len(self.categories)):
            raise ValueError(
                f"expected anomaly (n,) and category (n, {len(self.categories)}), "
                f"got {self.anomaly.shape} and {self.category.shape}"
            )
        if not ((self.anomaly >= 0) & (self.anomaly <= 1)).all():
            raise ValueError("expected anomaly scores in 0 to 1, got values outside or not finite")
        if not (np.abs(self.category.sum(axis=1) - 1) <= SUM_TOLERANCE).all():
            raise ValueError("expected category probabilities with rows that sum to 1, got others")
        if self.snippet_len < 1:
            raise ValueError(f"expected snippet_len of at least 1 frame, got {self.snippet_len}")

    def __repr__(self) -> str:
        return f"SnippetScores(anomaly={self.anomaly.shape}, category={self.category.shape})"


def checked_embeddings(embeddings: np.ndarray, width: int) -> np.ndarray:
    """Check that the embeddings of a video can be scored, and return them as an array.

    Args:
        embeddings: (n, D) float, n at least 1.
        width: D.

    Raises:
        EmbeddingsError: they have another shape or type, or hold values that are not finite.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.shape[1] != width or not len(embeddings):
        raise EmbeddingsError(
            f"embeddings must have the shape (snippets, {width}) with at least one snippet, got {embeddings.shape}"
        )
    if not np.issubdtype(embeddings.dtype, np.floating):
        raise EmbeddingsError(f"embeddings must be floating point numbers, got {embeddings.dtype}")
    parts = range(0, len(embeddings), ROWS_AT_ONCE)
    finite = np.concatenate([np.isfinite(embeddings[i : i + ROWS_AT_ONCE]).all(axis=1) for i in parts])
    if not finite.all():
        raise EmbeddingsError(
            f"embeddings of {np.count_nonzero(~finite)} of {len(finite)} snippets are not finite (first: snippet "
            f"{np.argmin(finite)}); extract the video again with --force"
        )
    return embeddings


def refuse_not_finite(anomaly: np.ndarray, category: np.ndarray) -> None:
    """Refuse scores that are not numbers.

    Raises:
        EmbeddingsError: some are not finite.
    """
    if not (np.isfinite(anomaly).all() and np.isfinite(category).all()):
        raise EmbeddingsError("the network gives scores for them that are not finite")


class Scorer:
    """Scores videos with a checkpoint's network.

    A batch holds windows of one video only, and how many follows from the video's length alone. So on one machine a
    video's scores are the same bits whatever else is scored.

    Args:
        checkpoint: the network and its text features; it is not changed.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, or `bf16`, which is faster on a processor or GPU that multiplies bf16 in hardware and moves
            scores by up to 0.01.
        batch_windows: windows scored at once; bounds memory, and changes scores by rounding only.

    Raises:
        ConfigError: this machine has no such device.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        batch_windows: int = BATCH_WINDOWS,
    ):
        if batch_windows < 1:
            raise ValueError(f"expected batch_windows of at least 1, got {batch_windows}")
        self.config = checkpoint.config
        self._head = HEADS[head_of(checkpoint.config)]
        self.categories = checkpoint.categories
        self.device = resolve_device(device)
        self.batch_windows = batch_windows
        self._dtype = DTYPES[precision]
        kinds = {(each.device, each.dtype) for each in checkpoint.model.parameters()}
        # a network in training is there already, and one of the user's own may hold tensors that cannot be copied
        as_it_is = kinds == {(self.device, self._dtype)}
        self._model = checkpoint.model if as_it_is else copy.deepcopy(checkpoint.model).to(self.device, self._dtype)
        text = checkpoint.text_features
        self._text_features = None if text is None else text.to(self.device, self._dtype)
        if precision == "bf16" and self.device.type == "cpu" and not multiplies_bf16():
            logger.warning(EMULATED)

    def score(self, embeddings: np.ndarray) -> SnippetScores:
        """Score one video.

        Args:
            embeddings: (n, D) float, not L2-normalised, n at least 1.

        Returns:
            Scores of the video's n snippets.

        Raises:
            EmbeddingsError: the embeddings have another shape or type, or they or their scores are not finite.
        """
        embeddings = checked_embeddings(embeddings, self.config.width)
        step = self.batch_windows * self.config.window_len
        parts = [self._score_batch(embeddings[start : start + step]) for start in range(0, len(embeddings), step)]
        anomaly, category = (np.concatenate(values) for values in zip(*parts, strict=True))
        refuse_not_finite(anomaly, category)
        return SnippetScores(anomaly, category, self.categories, SNIPPET_LEN)

    def _score_batch(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        windows, lengths = to_windows(embeddings.astype(np.float32, copy=False), window_len=self.config.window_len)
        return tuple(from_windows(values, lengths) for values in self.score_windows(windows, lengths))

    def score_windows(self, windows: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score windows all at once.

        Args:
            windows: (B, T, D) float32, zeros where a window is padded.
            lengths: (B,) int64, how many snippets of each window are no padding.

        Returns:
            Anomaly scores (B, T) and category probabilities (B, T, C), float32; at padding they mean nothing.
        """
        # a GPU's convolutions round to TF32 by default, far outside the tolerance scores are held to
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            _, anomaly, category = self._model.logits(
                torch.from_numpy(windows).to(self.device, self._dtype),
                torch.from_numpy(lengths).to(self.device),
                self._text_features,
            )
            category = None if category is None else category.float()
            anomaly, category = self._head.scores(anomaly.float(), category, self.config)
        return anomaly.cpu().numpy(), category.cpu().numpy()
