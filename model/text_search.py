"""Finds the moments of an archive that are most like a text or another moment, by the cosine to every snippet.

Shapes: N snippets, Q questions, D values of an embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from vad_pipeline.extract.embed.encoder_config import EncoderConfig, load_weights
from vad_pipeline.extract.embed.model_config import refuse_other_text
from vad_pipeline.extract.embed.tower import build_clip
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.store.snippet_matrix import SnippetMatrix

from .text import clip_tokens

ROWS_AT_ONCE = 4096  # in float32 they stay in a processor's cache


@dataclass(frozen=True, slots=True)
class Moment:
    """Adjacent snippets of one video. Snippets count from 0 in their video."""

    video: int
    """Index of the video in the matrix's `entries`."""
    first: int
    """The first snippet."""
    end: int
    """The snippet after the last one."""
    peak: int
    """The snippet that has the highest score."""
    score: float
    """Score of that snippet: its cosine to the question, less its cosine to what it should not be like."""


def text_embeddings(texts: Sequence[str], *, pretrained: str, model: str, identity: str) -> np.ndarray:
    """Embed texts with CLIP's text tower.

    Args:
        texts: what to look for.
        pretrained: open_clip tag, weights file or `random:SEED`.
        model: open_clip model name.
        identity: the weights that the image embeddings were made with, as their recipe names them.

    Returns:
        (len(texts), D) float32, L2-normalised.

    Raises:
        ConfigError: `pretrained` are other weights than `identity`, are not of that model, or lack the text tower.
    """
    refuse_other_text(model, causal=False, why="texts to search for or score by are in CLIP's tokens")
    weights = load_weights(pretrained, model)
    if weights.identity != identity:
        raise ConfigError(
            f"--pretrained {pretrained}: the embeddings were made with other weights ({identity[:19]}); text and "
            "images are only comparable under the same"
        )
    clip = build_clip(EncoderConfig(model=model, pretrained=pretrained, device="cpu"), weights)
    if weights.tensors is not None:
        own = clip.state_dict()
        given = {name: value.float() for name, value in weights.tensors.items() if name in own}
        lacking = [name for name in own if not name.startswith("visual.") and name not in given]
        lacking = [name for name in lacking if name not in ("attn_mask", "logit_bias")]
        if lacking:
            raise ConfigError(f"--pretrained {pretrained}: holds no text tower ({lacking[0]} is missing)")
        wrong = [name for name, value in given.items() if value.shape != own[name].shape]
        if wrong:
            raise ConfigError(f"--pretrained {pretrained}: not weights of {model} ({wrong[0]} is of another shape)")
        clip.load_state_dict(given, strict=False)
    with torch.inference_mode():
        tokens = clip_tokens(texts)
        return functional.normalize(clip.eval().encode_text(tokens).float(), dim=-1).numpy()


def scores(matrix: SnippetMatrix, like: np.ndarray, unlike: np.ndarray | None = None) -> np.ndarray:
    """Score every snippet for each question.

    Args:
        matrix: the snippets.
        like: (Q, D), L2-normalised: what snippets should be like, one row for each question.
        unlike: (D,), L2-normalised: what they should not be like; None: nothing.

    Returns:
        (Q, N) float32: cosine to the row of `like`, less the cosine to `unlike`.
    """
    queries = torch.from_numpy((like if unlike is None else like - unlike).astype(np.float32))
    found = torch.empty((len(queries), len(matrix.rows)))
    block = torch.empty((ROWS_AT_ONCE, matrix.rows.shape[1]))
    for start in range(0, len(matrix.rows), ROWS_AT_ONCE):
        rows = torch.from_numpy(np.asarray(matrix.rows[start : start + ROWS_AT_ONCE]))
        block[: len(rows)] = rows
        found[:, start : start + len(rows)] = queries @ block[: len(rows)].T
    return found.numpy()


def top_moments(matrix: SnippetMatrix, found: np.ndarray, *, n: int, per_video: int) -> list[Moment]:
    """The best moments, best first.

    A moment is a snippet with a high score and the neighbours whose scores are more than half-way from the median of
    all scores to its own.

    Args:
        matrix: the snippets that were scored.
        found: (N,) scores; snippets of score -inf are left out.
        n: how many moments at most.
        per_video: how many moments of one video at most.
    """
    looked_at = np.isfinite(found)
    if not looked_at.any():
        return []
    middle = float(np.median(found[looked_at]))
    left, per_taken, moments = np.where(looked_at, found, -np.inf), Counter(), []
    while len(moments) < n and np.isfinite(left[peak := int(left.argmax())]):
        video = int(np.searchsorted(matrix.starts, peak, side="right")) - 1
        start, stop = int(matrix.starts[video]), int(matrix.starts[video + 1])
        first, end = _extent(found, peak, start, stop, middle)
        known = (left[first:end] != found[first:end]).any()  # part of a better moment, found before
        left[first:end] = -np.inf
        if known:
            continue
        moments.append(Moment(video, first - start, end - start, peak - start, float(found[peak])))
        per_taken[video] += 1
        if per_taken[video] == per_video:
            left[start:stop] = -np.inf
    return moments


def _extent(found: np.ndarray, peak: int, low: int, high: int, middle: float) -> tuple[int, int]:
    """The rows around a peak, between `low` and `high`, that score more than half-way from `middle` to the peak."""
    enough = (float(found[peak]) + middle) / 2
    first, end = peak, peak + 1
    while first > low and found[first - 1] > enough:
        first -= 1
    while end < high and found[end] > enough:
        end += 1
    return first, end
