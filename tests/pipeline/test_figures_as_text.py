"""Figures as people read them: nothing is less than nothing by rounding alone."""

from dataclasses import replace

import numpy as np
import pytest

from vad_pipeline.pipeline.archive.run_progress import Progress
from vad_pipeline.pipeline.outcomes.video_outcome import VideoOutcome
from vad_pipeline.pipeline.progress import in_words
from vad_pipeline.pipeline.results.curve_table import csv_path, write_csv


@pytest.mark.parametrize(("seconds", "words"), [(-0.3, "0 s"), (0, "0 s"), (89, "89 s"), (5400, "1.5 h")])
def test_durations(seconds, words):
    assert in_words(seconds) == words


def test_time_left_is_never_below_nothing(monkeypatch, capsys):
    monkeypatch.setattr("vad_pipeline.pipeline.archive.run_progress.PLAIN_EVERY_SECONDS", 0)
    with Progress(1, doing="detect", quiet=False) as progress:
        for _ in range(2):  # a damaged curve is made again in the same run
            progress(VideoOutcome("a", "a.mp4"))
    assert "about -" not in capsys.readouterr().err


def test_a_table_of_a_curve_has_no_minus_nothing(draw_curve, tmp_path):
    curve = draw_curve("a", n_frames=32)
    write_csv(tmp_path, replace(curve, scores=np.full(32, -0.0, np.float32)))
    assert "-0" not in csv_path(tmp_path, "a").read_text()
