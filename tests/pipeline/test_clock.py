"""Wall clock from ids: what is read, what is refused, and what reaches events.jsonl."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.results.clock import Clock
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run, read_record

EXAMPLE = "{camera}/%Y-%m-%d/%H-%M-%S"


def start_of(pattern, video_id, zone="UTC"):
    reading = Clock.parse(pattern, zone).of(video_id)
    return reading and reading.start.isoformat()


@pytest.mark.parametrize(
    ("pattern", "video_id", "camera", "start"),
    [
        (EXAMPLE, "cam1/2026-11-02/08-14-30", "cam1", "2026-11-02T08:14:30+00:00"),
        (EXAMPLE, "site/north/cam1/2026-11-02/08-14-30", "site/north/cam1", "2026-11-02T08:14:30+00:00"),
        ("%Y-%m-%d/%H-%M-%S", "a/b/2026-11-02/08-14-30", None, "2026-11-02T08:14:30+00:00"),
        ("{camera}_%Y%m%d%H%M%S", "x/cam_7_20261102081430", "x/cam_7", "2026-11-02T08:14:30+00:00"),
        ("cam-{camera}/%Y%m%d", "x/cam-7/20261102", "7", "2026-11-02T00:00:00+00:00"),
        ("{camera}%Y%m%d*", "hall20261102_part3/b", "hall", "2026-11-02T00:00:00+00:00"),
        ("%d%b%y_%I%p", "02nov26_08pm", None, "2026-11-02T20:00:00+00:00"),
        ("%Y%j_%H%M%S.%f.mp4", "2026306_081430.25", None, "2026-11-02T08:14:30.250000+00:00"),
        ("%Y-%m-%dT%H-%M-%S%z", "2026-11-02T08-14-30+0200", None, "2026-11-02T06:14:30+00:00"),
        ("100%%_[a]_%Y%m%d", "100%_[a]_20261102", None, "2026-11-02T00:00:00+00:00"),
    ],
)
def test_camera_and_start_of_an_id(pattern, video_id, camera, start):
    reading = Clock.parse(pattern, "UTC").of(video_id)
    assert (reading.camera, reading.start.isoformat()) == (camera, start)


@pytest.mark.parametrize(
    "video_id",
    [
        "2026-11-02/08-14-30",
        "c/2026-11-02/08-14-30/x",
        "c/2026-02-31/8-0-0",
        "c/2026-11-02/24-0-0",
        "c/0001-01-01/0-0-0",
    ],
)
def test_an_id_that_says_no_such_time_has_no_clock(video_id):
    assert Clock.parse(EXAMPLE, "Asia/Tokyo").of(video_id) is None


def test_the_zones_clocks_are_put_forward_and_back():
    clock = Clock.parse(EXAMPLE, "Europe/Berlin")
    twice = clock.of("c/2026-10-25/02-30-00")
    assert twice.text_at(0) == "2026-10-25T02:30:00.000+02:00"  # the first of the two
    assert twice.text_at(3600) == "2026-10-25T02:30:00.000+01:00"
    assert clock.of("c/2026-03-29/02-30-00").text_at(0) == "2026-03-29T03:30:00.000+02:00"  # there is no 02:30
    before = clock.of("c/2026-03-29/01-59-59")
    assert before.text_at(1.5) == "2026-03-29T03:00:00.500+02:00"
    assert before.at(1.5).astimezone(UTC) - before.start.astimezone(UTC) == timedelta(seconds=1.5)


def test_milliseconds_are_rounded_and_the_calendar_ends():
    reading = Clock.parse("%Y%m%d", "UTC").of("20261102")
    assert reading.text_at(59.9996) == "2026-11-02T00:01:00.000+00:00"
    assert reading.at(0.04) == datetime(2026, 11, 2, 0, 0, 0, 40000, UTC)
    assert reading.text_at(1e15) is None


@pytest.mark.parametrize(
    ("pattern", "zone", "words"),
    [
        ("{cam}/%Y%m%d", "UTC", "{cam} is not known"),
        ("{camera}/{camera}/%Y%m%d", "UTC", "given twice"),
        ("{camera/%Y%m%d", "UTC", "stands alone"),
        ("%Y%m%d%s", "UTC", "%s is not understood"),
        ("%Y%m%d%", "UTC", "not understood"),
        ("%H-%M-%S", "UTC", "says no day"),
        ("", "UTC", "says no day"),
        ("%Y%m%d%y", "UTC", "the year twice"),
        ("%Y%j%d", "UTC", "the day twice"),
        ("%Y%m%d%I", "UTC", "need each other"),
        ("%Y%m%d", "Mars/Olympus", "no such zone"),
        ("%Y%m%d", "../etc/passwd", "no such zone"),
        ("%Y%m%d", "", "no such zone"),
        ("%Y%m%d", None, "--clock needs --timezone"),
    ],
)
def test_patterns_and_zones_that_cannot_be_used(pattern, zone, words):
    with pytest.raises(ConfigError, match="--(clock|timezone)") as error:
        Clock.parse(pattern, zone)
    assert words in str(error.value)


def rows_of(results):
    return [json.loads(line) for line in (results / "events.jsonl").read_text().splitlines()]


def test_events_get_their_times_and_the_folder_remembers_the_clock(run_cli, draw_results, draw_curve, caplog):
    results = draw_results(draw_curve("cam/2026-11-02/08-00-00", [(10, 20)]), draw_curve("odd", [(0, 5)]))
    options = ("events", results, "--threshold", "0.5")
    assert run_cli(*options)[0] == 0
    assert {row["start_time"] for row in rows_of(results)} == {None} and not caplog.messages
    assert run_cli(*options, "--clock", EXAMPLE, "--timezone", "America/New_York")[0] == 0
    (told,) = caplog.messages
    assert told.startswith("1 of 2 ids") and told.endswith(": odd")
    timed, odd = rows_of(results)
    assert timed["start_time"] == "2026-11-02T08:00:01.000-05:00"
    assert timed["end_time"] == "2026-11-02T08:00:02.000-05:00"
    assert odd["start_time"] is odd["end_time"] is None
    assert list(timed)[6:8] == ["start_time", "end_time"]
    run_cli("events", results, "--threshold", "0.4")
    assert rows_of(results)[0]["start_time"] == timed["start_time"]
    record = json.loads((results / "run.json").read_text())
    assert record["clock"] == {"pattern": EXAMPLE, "timezone": "America/New_York"}


def test_a_clock_is_refused_before_anything_is_done(run_cli, draw_results, draw_curve):
    results = draw_results(draw_curve("a", [(0, 5)]))
    before = (results / "events.jsonl").read_bytes()
    options = ("events", results, "--threshold", "0")
    for wrong in (("--clock", "%H"), ("--timezone", "UTC"), ("--clock", EXAMPLE)):
        code, _, err = run_cli(*options, *wrong)
        assert code == 2 and "Traceback" not in err and (results / "events.jsonl").read_bytes() == before
    record = json.loads((results / "run.json").read_text()) | {"clock": {"pattern": "%H"}}
    (results / "run.json").write_text(json.dumps(record))
    code, _, err = run_cli(*options)
    assert code == 3 and "its clock cannot be read" in err
    assert run_cli(*options, "--clock", EXAMPLE, "--timezone", "UTC")[0] == 0


def test_detecting_again_keeps_the_recorded_clock(draw_results, draw_curve):
    clock = {"pattern": EXAMPLE, "timezone": "UTC"}
    results = Results(draw_results(draw_curve("a"), clock=clock))
    record = RunRecord(
        **{
            name: tuple(value) if name == "categories" else value
            for name, value in read_record(results.path).items()
            if name != "kept"
        }
    )
    begin_run(results.path, replace(record, clock=None))
    assert read_record(results.path)["clock"] == clock
    begin_run(results.path, replace(record, clock=clock | {"timezone": "Asia/Tokyo"}))
    assert read_record(results.path)["clock"]["timezone"] == "Asia/Tokyo"
