"""Gaps on the review page: the very events of find_events around them, a line that breaks, a legend that tells."""

from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.model.curve import AnomalyCurve, find_events
from vad_pipeline.pipeline.results.file_names import key_of

CATEGORIES = ("Normal", "Fighting", "Explosion", "Robbery")
CUTS = {"snippets": (100, 320), "frames": (7, 8, 200), "tail": (48, 401)}  # frames after a gap, by kind of curve


def gapped_curve(kind: str) -> AnomalyCurve:
    """25 frames a second, gaps of 5 s to 13 h; scores by snippet, by frame, or with a tail that was dropped."""
    rng = np.random.default_rng(len(kind))
    n_frames = 410
    n = n_frames // 16 if kind == "tail" else -(-n_frames // 16)
    of_snippet = np.minimum(np.arange(n_frames) // 16, n - 1)
    scores = rng.integers(0, 9, n_frames) if kind == "frames" else rng.integers(0, 9, n)[of_snippet]
    seconds = np.arange(n_frames) / 25
    for cut, gap in zip(CUTS[kind], (5.0, 47_721.86, 600.0), strict=False):
        seconds[cut:] += gap
    category = rng.dirichlet(np.ones(len(CATEGORIES)), n).astype(np.float32)
    return AnomalyCurve(
        f"cam/{kind}", (scores / 8).astype(np.float32), seconds, category, CATEGORIES, 16, Fraction(25), "gone.ts"
    )


@pytest.fixture(scope="module")
def curves():
    return {kind: gapped_curve(kind) for kind in CUTS}


@pytest.fixture(scope="module")
def page_path(tmp_path_factory, curves, make_report):
    return make_report(tmp_path_factory.mktemp("gaps") / "results", curves)


@pytest.mark.parametrize("kind", CUTS)
def test_the_page_finds_the_events_of_find_events(open_page, curves, kind):
    curve = curves[kind]
    assert [gap.frame for gap in curve.gaps] == list(CUTS[kind])
    page = open_page().show(key_of(curve.video_id)).page
    for threshold in (0.1, 0.3, 0.5, 0.8, 1.0):
        found = page.evaluate(
            "threshold => vad.findEvents(vad.view.curve, vad.view.data.id, threshold, 1.0).map("
            "e => [e.start, e.end, e.startSeconds, e.endSeconds, vad.view.data.categories[e.column]])",
            threshold,
        )
        expected = find_events(curve, threshold=threshold, merge_gap_seconds=1.0)
        assert [tuple(event[:2]) for event in found] == [(e.start_frame, e.end_frame) for e in expected]
        for (_, _, start, end, category), event in zip(found, expected, strict=True):
            assert (start, end) == pytest.approx((event.start_seconds, event.end_seconds), abs=1e-8)
            assert category == event.category
    assert f"No footage: {len(curve.gaps)} gaps" in page.text_content("#legend")
    drawn = page.evaluate("vad.view.curve.points(0, vad.view.curve.end, 1e6)")
    assert drawn[1].count(None) == len(curve.gaps) and np.diff(drawn[0]).min() >= 0
