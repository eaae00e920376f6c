"""Curves drawn for evaluation."""

from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.model.curve import AnomalyCurve

CATEGORIES = ("Normal", "Abuse", "RoadAccidents")


@pytest.fixture(scope="session")
def make_curve():
    """make_curve(video_id, scores per snippet, ...): the rest of a row shared equally unless `category` says."""

    def make(video_id, scores, *, n_frames=None, category=None, categories=CATEGORIES, fps=25, snippet_len=16):
        scores = np.asarray(scores, np.float32)
        n_frames = n_frames or len(scores) * snippet_len
        if category is None:
            share = scores[:, None] / (len(categories) - 1)
            category = np.concatenate([1 - scores[:, None], np.repeat(share, len(categories) - 1, axis=1)], axis=1)
        snippet = np.minimum(np.arange(n_frames) // snippet_len, len(scores) - 1)
        return AnomalyCurve(
            video_id=video_id,
            scores=scores[snippet],
            frame_seconds=np.arange(n_frames) / fps,
            category=np.asarray(category, np.float32),
            categories=tuple(categories),
            snippet_len=snippet_len,
            fps=Fraction(fps),
            source="drawn",
        )

    return make
