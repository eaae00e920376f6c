"""Lays given scores over a video's frames: what each of them stands for, and what becomes of a few too many or few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.recipe import SNIPPET_LEN
from vad_pipeline.model.categories import ANOMALY_ALONE, NORMAL
from vad_pipeline.model.curve import category_of_scores, means_of_snippets, snippet_of_frame

FRAME, SNIPPET = "frame", "snippet"
ROUNDING = 1e-5  # by which scores may lie outside 0 to 1: they come as float32, or as text
SUM_ROUNDING = 1e-2


class UnfitScores(ValueError):
    """Scores that can be read, and cannot be those of this video."""


@dataclass(frozen=True, slots=True, eq=False)
class LaidScores:
    """Scores of one video, one a frame."""

    scores: np.ndarray = field(repr=False)
    """(F,) float32 in 0 to 1."""
    category: np.ndarray = field(repr=False)
    """(n, C) float32: the probability of each category in each snippet."""
    categories: tuple[str, ...]
    note: str = ""
    """What was done where the lengths differ; empty where they do not."""


def lengths_of(n_frames: int, per: str) -> tuple[int, ...]:
    """How many scores a video of so many frames may have, the likeliest first.

    One a snippet: with a shorter last snippet, or without it as the published features are. One a frame: of all frames,
    or of whole snippets, as published code repeats each snippet's score 16 times.
    """
    kept, dropped = -(-n_frames // SNIPPET_LEN), max(1, n_frames // SNIPPET_LEN)
    if per == SNIPPET:
        return kept, dropped
    return n_frames, SNIPPET_LEN * dropped, SNIPPET_LEN * kept


def fits(n: int, n_frames: int, per: str) -> bool:
    """Whether so many scores are those of a video of so many frames, up to less than a snippet."""
    return n in lengths_of(n_frames, per) if per == SNIPPET else abs(n - n_frames) < SNIPPET_LEN


def unit_of(lengths: Sequence[tuple[int, int]]) -> str:
    """What the scores of many videos stand for, told from their lengths: the unit that most of those fit, exactly or
    else nearly, that fit only one.

    Args:
        lengths: number of scores and of frames of each video.

    Raises:
        ConfigError: as many fit the one as the other.
    """
    only = {FRAME: 0, SNIPPET: 0}
    for n, n_frames in lengths:
        exactly = [per for per in only if n in lengths_of(n_frames, per)]
        fitting = exactly or [per for per in only if fits(n, n_frames, per)]
        if len(fitting) == 1:
            only[fitting[0]] += 1
    if only[FRAME] == only[SNIPPET]:
        if not only[FRAME] and not any(fits(*each, FRAME) for each in lengths):
            return FRAME  # nothing fits at all: each video says by how much
        raise ConfigError("whether there is a score for each frame or each snippet of 16 cannot be told: give --per")
    return max(only, key=only.get)


def cut_lengths(n: int, frames: Sequence[int], asked: str | None) -> tuple[str, list[int]]:
    """How the scores of many videos, one after the other, are cut apart.

    Args:
        n: how many there are in all.
        frames: of each video.
        asked: what each stands for, where that is given.

    Returns:
        What each stands for, and the number of scores of each video.

    Raises:
        ConfigError: no way of counting gives so many, or several do, with different cuts.
    """
    ways = [(per, rule) for per in (FRAME, SNIPPET) if asked in (None, per) for rule in range(2 + (per == FRAME))]
    found: dict[tuple[int, ...], str] = {}
    for per, rule in ways:
        lengths = tuple(lengths_of(each, per)[rule] for each in frames)
        if sum(lengths) == n:
            found.setdefault(lengths, per)
    if not found:
        snippets = sum(lengths_of(each, SNIPPET)[0] for each in frames)
        raise ConfigError(
            f"{plural(n, 'score')} are not those of {plural(len(frames), 'video')} of {sum(frames)} frames "
            f"({snippets} snippets): give the number of each one's scores in --names"
        )
    if len(found) > 1:
        raise ConfigError("they can be cut apart in several ways: give the number of each video's scores in --names")
    lengths, per = next(iter(found.items()))
    return per, list(lengths)


def lay(values: np.ndarray, n_frames: int, per: str, categories: tuple[str, ...]) -> LaidScores:
    """Give each frame its score.

    Args:
        values: (n, 1) the scores; or with categories (n, C) their probabilities, or (n, 1 + C) both.
        n_frames: F of the video.
        per: what each of the n rows stands for.
        categories: names of the C columns, the normal one first; empty: there are scores alone.

    Raises:
        UnfitScores: the values are of another length or shape, or out of range; the message says it.
    """
    _check(values, categories)
    if not fits(len(values), n_frames, per):
        raise UnfitScores(_other_length(len(values), n_frames, per))
    note = ""
    if per == FRAME:
        values, note = _exactly(values, n_frames)
        probabilities = means_of_snippets(values, snippet_len=SNIPPET_LEN)
        of_frames = values
    else:
        of_frames = values[snippet_of_frame(n_frames, n_snippets=len(values), snippet_len=SNIPPET_LEN)]
        probabilities = values.astype(np.float32)
    has_score = values.shape[1] != len(categories)
    scores = (of_frames[:, 0] if has_score else 1 - of_frames[:, NORMAL]).astype(np.float32)
    if not categories:
        return LaidScores(scores, category_of_scores(scores, snippet_len=SNIPPET_LEN), ANOMALY_ALONE, note)
    return LaidScores(scores, probabilities[:, int(has_score) :], categories, note)


def _check(values: np.ndarray, categories: tuple[str, ...]) -> None:
    n_columns, n_categories = values.shape[1], len(categories)
    if not categories and n_columns != 1:
        raise UnfitScores(
            f"has {n_columns} columns: name their categories with --categories FILE, the normal one first"
        )
    if categories and n_columns not in (n_categories, n_categories + 1):
        raise UnfitScores(
            f"has {plural(n_columns, 'column')}: expected the probabilities of the {n_categories} categories, or the "
            "score and these"
        )
    if not np.isfinite(values).all():
        raise UnfitScores("holds values that are not finite")
    low, high = values.min(), values.max()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise UnfitScores(f"holds values of {low:g} to {high:g}: scores must lie in 0 to 1")
    probabilities = values[:, n_columns - n_categories :]
    if categories and np.abs(probabilities.sum(axis=1) - 1).max() > SUM_ROUNDING:
        raise UnfitScores("holds rows in which the probabilities of the categories do not sum to 1")
    np.clip(values, 0, 1, out=values)


def _other_length(n: int, n_frames: int, per: str) -> str:
    if per == FRAME:
        more = f"{plural(abs(n - n_frames), 'frame')} {'more' if n > n_frames else 'fewer'} than the footage"
        return f"has {plural(n, 'score')}, {more}, which has {n_frames}{_as(n, n_frames, SNIPPET)}"
    kept = lengths_of(n_frames, SNIPPET)[0]
    off = abs(SNIPPET_LEN * n - n_frames)
    more = f"{plural(off, 'frame')} {'more' if n > kept else 'fewer'} than the footage"
    return f"has {plural(n, 'score')} of 16 frames, {more}, which has {n_frames}{_as(n, n_frames, FRAME)}"


def _as(n: int, n_frames: int, per: str) -> str:
    return f" (it fits one a {per}: --per {per})" if fits(n, n_frames, per) else ""


def _exactly(values: np.ndarray, n_frames: int) -> tuple[np.ndarray, str]:
    """The values of all frames; the last one is repeated, or those beyond are cut off, and that is said."""
    n = len(values)
    if n == n_frames:
        return values, ""
    if n > n_frames:
        return values[:n_frames], f"{plural(n - n_frames, 'score')} beyond the last frame cut off"
    padded = np.concatenate([values, np.repeat(values[-1:], n_frames - n, axis=0)])
    return padded, f"the last score repeated over {plural(n_frames - n, 'frame')}"
