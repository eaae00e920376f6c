"""`events --explain`: alarms a day at several thresholds, and the threshold that marks suggest."""

from __future__ import annotations

import pytest

from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.prices import prices, suggested_threshold
from vad_pipeline.pipeline.results.verdict_log import import_verdicts
from vad_pipeline.pipeline.results.verdicts import Verdict

pytestmark = pytest.mark.usefixtures("shards_read_here")


@pytest.fixture
def results(draw_results, draw_curve):
    """Two cameras with 2 x 4.8 s and 4.8 s of footage."""
    return draw_results(
        draw_curve("gate/a", [(0, 8), (20, 28, 0.6), (40, 44, 0.75)]),
        draw_curve("gate/b", [(0, 8, 0.7)]),
        draw_curve("yard/a", [(4, 9, 0.85)]),
    )


def test_alarms_a_day(results, run_cli):
    before = (results / "events.jsonl").read_bytes()
    code, out, _ = run_cli("events", results, "--explain", "--threshold", "yard=0.84")
    lines = out.splitlines()
    assert code == 0 and (results / "events.jsonl").read_bytes() == before
    assert lines[0].split() == "alarms a day footage 0.3 0.5 0.6 0.7 0.8 0.84 0.9 0.95 0.99".split()
    a_day = 24 * 3600 / 9.6
    assert lines[1].split() == ["gate", "10", "s", *(f"{n * a_day:.0f}" for n in (4,)), f"{4 * a_day:.0f}*",
                                *(f"{n * a_day:.0f}" if n else "0.00" for n in (4, 3, 1, 1, 1, 0, 0))]  # fmt: skip
    assert lines[2].startswith("yard") and "18000*" in lines[2] and lines[3].startswith("all ")
    assert "less than an hour of footage says little about a day: gate, yard; compare columns only" in lines
    assert lines[-1].startswith("no threshold is suggested")


def said(video, start, end, verdict):
    return Verdict(video, start, end, f"{video}@{start}-{end}", verdict, time="2026-01-01")


def test_marks_suggest_a_threshold_and_false_alarms_count_no_more(results, run_cli):
    before = prices(Results(results)).all.events
    marks = [
        said("gate/a", 0, 8, "real"), said("gate/a", 20, 28, "false_alarm"), said("gate/a", 40, 44, "real"),
        said("gate/a", 9, 11, "false_alarm"), said("gate/a", 42, 43, "real"),
        said("gate/b", 0, 8, "false_alarm"), said("yard/a", 0, 48, "unsure"), said("yard/a", 10, 12, "real"),
    ]  # fmt: skip
    import_verdicts(Results(results), marks)
    _, out, _ = run_cli("events", results, "--explain")
    gate, together = out.splitlines()[-2:]
    assert gate.startswith(
        "gate: 0.725 keeps 3 of 3 real events and 0 of 3 false alarms (6 marks): vad-pipeline events "
    )
    assert gate.endswith("--threshold gate=0.725") and together.startswith("all: 0.725 keeps 3 of 4 real events")
    found = prices(Results(results)).all
    assert len(found.real) == 4  # the one that was missed has its score, too
    assert [before[t] - found.events[t] for t in (0.3, 0.5, 0.6, 0.7, 0.8)] == [2, 2, 2, 1, 0]


def test_the_threshold_that_parts_best():
    def found(real, false):
        best = suggested_threshold(real, false)
        return best and (best.threshold, best.n_lost, best.n_left)

    assert found([0.9, 0.8, 0.85], [0.3, 0.5, 0.4]) == (0.65, 0, 0)
    assert found([0.9, 0.9, 0.4], [0.3, 0.5, 0.6]) == (0.75, 1, 0)
    assert found([0.9, 0.9, 0.55], [0.3, 0.3, 0.6]) == (0.425, 0, 1)  # of two as good the one that loses no real one
    assert found([0.5002] * 3, [0.5001] * 3) == (pytest.approx(0.50015), 0, 0)
    assert found([0.5] * 3, [0.1] * 2) is found([], [0.5]) is None  # too few
    assert found([0.2] * 3, [0.9] * 3) is found([0.5] * 3, [0.5] * 3) is None
