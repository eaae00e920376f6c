"""--ignore FILE with hours: events that lie in them are left out, of events.jsonl and so of all that reads it."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.archive.ignore_file import read_ignored, read_zones
from vad_pipeline.pipeline.results.clock import ClockReading
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.ignored_hours import WeeklyHours, frames_in, hours_of, lies_in, parse_hours
from vad_pipeline.pipeline.results.prices import prices
from vad_pipeline.pipeline.results.run_record import read_record
from vad_pipeline.pipeline.review.page import ReportConfig, write_report

pytestmark = pytest.mark.usefixtures("shards_read_here")

BERLIN = ZoneInfo("Europe/Berlin")
CLOCK = {"pattern": "{camera}/%Y-%m-%d_%H-%M", "timezone": "Europe/Berlin"}
HOUR = {"fps": 48 / 3600, "frame_seconds": [75 * n for n in range(48)]}  # a frame each 75 s


def minutes(text, day):
    """The minutes of a day, as the clock in Berlin shows it, that hours hold."""
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=BERLIN)
    found = frames_in([WeeklyHours.parse(text)], ClockReading("gate", start), np.arange(1440) * 60.0)
    return [tuple(f"{n // 60:02d}:{n % 60:02d}" for n in span) for span in found]


def test_hours_of_the_week():
    monday, tuesday, saturday, sunday = (f"2026-11-{day:02d}" for day in (2, 3, 7, 8))
    assert minutes("mon-fri 22:00-06:00", monday) == [("22:00", "24:00")]  # that of Sunday is none
    assert minutes("mon-fri 22:00-06:00", tuesday) == [("00:00", "06:00"), ("22:00", "24:00")]
    assert minutes("mon-fri 22:00-06:00", saturday) == [("00:00", "06:00")]  # that of Friday goes on
    assert minutes("sun", sunday) == [("00:00", "24:00")] and minutes("sun", monday) == []
    assert minutes("SAT-mon, wed  7:30-24:00".replace(", ", ","), sunday) == [("07:30", "24:00")]
    assert minutes("12:00 - 13:30", sunday) == [("12:00", "13:30")]
    # clocks are put back at 3:00 on 25 October: 1500 minutes; the 4th hour as clocks show it begins after 300 of them
    assert minutes("04:00-05:00", "2026-10-25") == [("05:00", "06:00")]
    hours = parse_hours({"gate": ["sun"], "*": ["sat"], "yard": []})
    assert [each.text for each in hours_of(hours, "gate")] == ["sun", "sat"] and "yard" not in hours
    assert (
        lies_in(3, 5, [(0, 2), (3, 5)]) and not lies_in(3, 6, [(0, 2), (3, 5)]) and not lies_in(1, 4, [(0, 2), (3, 5)])
    )
    endless = ClockReading(None, datetime(2026, 1, 1, tzinfo=BERLIN))
    assert frames_in(hours["gate"], endless, np.array([0.0, 1e300])) == []


@pytest.fixture
def results(draw_curve, draw_results):
    """Two hours of a Monday night from 21:30 on; events at 21:37, 21:55 to 22:05 and 22:15."""
    night = draw_curve("gate/2026-11-02_21-30", [(6, 8), (20, 28, 0.7), (36, 40, 0.8)], **HOUR)
    return draw_results(night, draw_curve("yard/2026-11-02_22-30", [(4, 6)], **HOUR), clock=CLOCK)


def held(results):
    return [json.loads(line)["event_id"].partition("@")[2] for line in (results / "events.jsonl").open()]


def test_events_in_ignored_hours_are_left_out_everywhere(results, run_cli, tmp_path):
    (tmp_path / "ignore.yaml").write_text("gate: {hours: [mon-fri 22:00-06:00]}\nport: {hours: [sun]}\n")
    code, out, _ = run_cli("events", results, "--ignore", tmp_path / "ignore.yaml")
    assert code == 0 and "3 events (1 event in ignored hours is left out) in " in out
    assert out.rstrip().endswith("at threshold 0.5, ignored hours: gate mon-fri 22:00-06:00; port sun")
    assert held(results) == ["6-8", "20-28", "4-6"]  # of the one that only begins before, nothing is lost
    record = read_record(results)
    assert record["kept"]["ignored_hours"] == {"gate": ["mon-fri 22:00-06:00"], "port": ["sun"]}
    assert record["events_in_ignored_hours"] == 1 and run_cli("events", results, "--threshold", "0.6")[0] == 0
    assert held(results) == ["6-8", "20-28", "4-6"]  # it is kept
    assert "3 events, 1 event in ignored hours is left out; 2 videos" in run_cli("summary", results)[1]
    found = prices(Results(results))
    assert [price.events[0.3] for price in found.cameras] == [2, 1]
    page = write_report(Results.open(results), ReportConfig(pictures=False), on_video=lambda video: None).page
    overview = (page.parent / "data" / "overview.js").read_text()
    assert '"ignored": 1' in overview and '"ignoredHours": "gate mon-fri 22:00-06:00; port sun"' in overview
    shown = json.loads(overview.partition(", ")[2].removesuffix(");\n"))
    assert sorted(len(row["list"]) for row in shown["videos"]) == [1, 2]
    assert {camera["name"]: camera["counts"][30] for camera in shown["cameras"]} == {"gate": 2, "yard": 1}
    (tmp_path / "ignore.yaml").write_text("'*': {hours: []}\n")
    assert run_cli("events", results, "--ignore", tmp_path / "ignore.yaml")[0] == 0
    assert len(held(results)) == 4 and "events_in_ignored_hours" not in read_record(results)


def test_hours_need_a_clock_and_cameras_that_there_are(draw_curve, draw_results, results, run_cli, tmp_path, caplog):
    (tmp_path / "ignore.yaml").write_text("gaet: {hours: [sun], zones: []}\n")
    other = draw_results(draw_curve("gate/2026-11-02_21-30", [(6, 8)]), name="other")
    before = (other / "run.json").read_bytes()
    code, _, err = run_cli("events", other, "--ignore", tmp_path / "ignore.yaml")
    assert code == 2 and "--ignore names hours, which needs the wall clock" in err
    assert (other / "run.json").read_bytes() == before
    code, _, err = run_cli("events", results, "--ignore", tmp_path / "ignore.yaml")
    assert code == 0 and "note: zones are hidden where footage is embedded" in err
    assert "--ignore: no video is of gaet; cameras are gate, yard" in caplog.messages
    record = read_record(results)
    record["kept"]["ignored_hours"] = {"gate": "sun"}
    (results / "run.json").write_text(json.dumps(record))
    code, _, err = run_cli("summary", results)
    assert code == 3 and "run.json: cannot be read (hours of gate: must be" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gate: {hours: mon}", "hours of gate: must be a list of texts"),
        ("gate: {hours: [22:00]}", "hours of gate: must be a list of texts"),  # YAML reads a number of base 60
        ("gate: {hours: [fri 25:00-26:00]}", "no such time of day"),
        ("gate: {hours: [fri 08:00-08:00]}", "no time between"),
        ("gate: {hours: [08:61-09:00]}", "no such time of day"),
        ("gate: {hours: [fry]}", "hours 'fry': expected days, hours or both"),
        ("gate: {hours: ['']}", "expected days, hours or both"),
        ("gate: {hours: [fri08:00-09:00]}", "expected days, hours or both"),
        (f"gate: {{hours: [{'mon,' * 3000}mon 1]}}", "expected days, hours or both"),
        ("gate: {hours: [mon]}\ngate: {hours: [tue]}", "line 2: gate is there twice"),
        ("gate: {hours: [mon], hours: []}", "hours is there twice"),
        ("gate: {}", "needs `zones:`, `hours:` or both"),
    ],
)
def test_what_names_no_hours_is_one_sentence(tmp_path, text, words):
    (tmp_path / "ignore.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"ignore\.yaml") as error:
        read_ignored(tmp_path / "ignore.yaml")
    assert words in str(error.value) and len(str(error.value)) < 500


def test_a_file_of_hours_has_no_zones(tmp_path):
    (tmp_path / "ignore.yaml").write_text("gate: {hours: [mon]}\n")
    assert read_ignored(tmp_path / "ignore.yaml").zones is None  # and so changes no recipe
    with pytest.raises(ConfigError, match="has no `zones:`"):
        read_zones(tmp_path / "ignore.yaml")
