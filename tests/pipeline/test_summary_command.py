"""`summary`: events a camera and day, what is new, when cameras recorded nothing; as text, CSV and HTML."""

from __future__ import annotations

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from vad_pipeline.pipeline.news.coverage import by_day, day_span, joined, missing
from vad_pipeline.pipeline.outcomes.outcome_log import OutcomeLog
from vad_pipeline.pipeline.outcomes.video_outcome import VideoOutcome
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.verdict_log import import_verdicts
from vad_pipeline.pipeline.results.verdicts import Verdict

pytestmark = pytest.mark.usefixtures("shards_read_here")

CLOCK = {"pattern": "{camera}/%Y-%m-%d_%H-%M-%S", "timezone": "Europe/Berlin"}
BERLIN = ZoneInfo("Europe/Berlin")


def test_stretches_without_footage():
    spans = joined([(1000, 2000), (1900, 3000), (3100, 4000), (9000, 9100)])
    assert spans == [(1000, 3000), (3100, 4000), (9000, 9100)]
    assert missing(spans, (0, 9200)) == [(0, 1000), (4000, 9000)]  # others are too short
    assert missing(spans, (2000, 8000)) == [(4000, 8000)] and missing([], (0, 400)) == [(0, 400)]


def test_a_day_is_as_long_as_clocks_make_it():
    spring = day_span(date(2026, 3, 29), BERLIN)
    assert spring[1] - spring[0] == 23 * 3600
    night = datetime(2026, 3, 28, 23, tzinfo=BERLIN).timestamp(), spring[1] + 60
    assert by_day([night], BERLIN) == {date(2026, 3, 28): 3600, date(2026, 3, 29): 23 * 3600, date(2026, 3, 30): 60}


@pytest.fixture
def results(draw_curve, draw_results, make_numbered, tmp_path):
    """Two cameras, two days; the second day of cam1 was scored by a later run. cam2 stands still for an hour."""
    footage = make_numbered(tmp_path / "a.mp4", 48)
    hour = {"fps": 48 / 3600, "frame_seconds": [75 * n for n in range(48)]}
    folder = draw_results(
        draw_curve("cam1/2026-11-01_22-00-00", [(0, 8), (20, 28, 0.7)], fps=25, source=footage),
        draw_curve("cam2/2026-11-01_22-00-00", **hour),
        draw_curve("cam2/2026-11-02_00-00-00", [(10, 12, 0.8)], **hour),
        clock=CLOCK,
    )
    results = Results(folder)
    later = draw_curve("cam1/2026-11-02_00-30-00", [(4, 9, 0.6)], fps=25, source="/gone.mp4")
    with OutcomeLog(results.outcomes) as log:
        write_curve(results.curves, later, CurveOrigin(recipe_id="recipe", made_from="b", threshold=0.5))
        log.append(VideoOutcome("cam1/2026-11-02_00-30-00", "b.mp4", "ok"))
    write_events(results)
    return folder


def test_in_words(results, run_cli):
    code, out, _ = run_cli("summary", results)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("2026-11-01 to 2026-11-02: 4 events, 1 new since the last run (")
    assert lines[0].endswith("4 videos of 2 cameras, 2.0 h of footage")
    table = [re.split(r"  +", line) for line in lines[1:6]]
    assert table[1][:3] == ["2026-11-01", "cam1", "2"] and table[1][-1] == "0.900 Fighting, 2026-11-01 22:00:00.0"
    assert table[4][:4] == ["2026-11-02", "cam2", "1", "0"] and table[3][:4] == ["2026-11-02", "cam1", "1", "1"]
    assert "  cam2, 2026-11-01 23:00 to 2026-11-02 00:00 (60 min)" in lines
    assert lines[-1].endswith("cam1/2026-11-02_00-30-00@4-9  new") and lines[-1].startswith("  0.600  Fighting, 2026")


def test_one_day_without_false_alarms(results, run_cli, tmp_path):
    first = Verdict("cam1/2026-11-01_22-00-00", 0, 8, "cam1/2026-11-01_22-00-00@0-8", "false_alarm", time="2026-11-02")
    import_verdicts(Results(results), [first])
    run_cli("events", results)
    code, out, _ = run_cli("summary", results, "--day", "2026-11-01", "--csv", tmp_path / "day.csv")
    assert code == 0 and out.startswith("2026-11-01: 1 event, 0 new") and ", 1 marked as false alarms; 2 videos" in out
    rows = (tmp_path / "day.csv").read_text().splitlines()
    assert rows[1].startswith("2026-11-01,cam1,1,0,1,0.001,1.999,cam1/2026-11-01_22-00-00@20-28,0.7") and len(rows) == 3
    _, out, _ = run_cli("summary", results, "--day", "2026-11-01", "--marked", "show")
    assert out.startswith("2026-11-01: 2 events") and "@0-8  false alarm" in out
    assert run_cli("summary", results, "--day", "yesterday")[0] == 0
    code, _, err = run_cli("summary", results, "--day", "noon")
    assert code == 2 and "--day 'noon': expected a day" in err
    assert run_cli("summary", results, "--day", "")[0] == 2


def test_a_page_without_scripts(results, run_cli, tmp_path):
    page = tmp_path / "out" / "day.html"
    run_cli("report", results, "--no-pictures")
    code, _, err = run_cli("summary", results, "--html", page, "--top", 3)
    text = page.read_text()
    assert code == 0 and "cam2/2026-11-02_00-00-00: no picture: " in err
    assert text.count('<img src="data:image/jpeg') == 2 and "<script" not in text and "1 more" in text
    assert f"{results.name}/report/index.html#video=" in text and "60 min missing" in text


def test_without_a_clock(draw_curve, draw_results, run_cli):
    results = draw_results(draw_curve("gate/20261102_08", [(0, 8)]), draw_curve("odd"))
    code, out, _ = run_cli("summary", results)
    assert code == 0 and "2026-11-02    gate       1 " in out and "no day known  no camera  0" in out
    assert "whether footage is missing is not known" in out and "new since" not in out
    results = draw_results(draw_curve("odd"), name="odd")
    assert "give `vad-pipeline events` --clock" in run_cli("summary", results, "--day", "today")[2]
