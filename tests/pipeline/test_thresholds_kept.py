"""A threshold that a person set holds for a results folder until it is set anew: later runs of detect keep to it."""

import json
import unicodedata

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import Chosen, EventRule
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run, read_record

PATTERN = "archive/{camera}_%Y%m%d"


def videos_in(results) -> list[str]:
    return [json.loads(line)["video"] for line in (results / "events.jsonl").read_text().splitlines()]


def detect_again(results, *thresholds) -> None:
    """What `detect` does to run.json and events.jsonl, given these --threshold."""
    own = {name: value for name, value in read_record(results).items() if name in RunRecord.__dataclass_fields__}
    begin_run(results, RunRecord(**{**own, "threshold": 0.5, "clock": None}), Chosen.of(thresholds, None, None))
    write_events(Results.open(results))


@pytest.fixture
def three(draw_results, draw_curve):
    """Three videos of two cameras; peaks 0.6, 0.7 and 0.8."""
    ids = ("gate/a", "gate/b", "yard/a")
    return draw_results(*(draw_curve(name, [(5, 9, 0.6 + 0.1 * n)]) for n, name in enumerate(ids)))


def test_detect_keeps_to_what_events_was_told(three, run_cli):
    code, out, _ = run_cli("events", three, "--threshold", "0.75")
    assert code == 0 and "1 event " in out and "threshold 0.75 (as set)" in out
    detect_again(three)
    assert videos_in(three) == ["yard/a"]
    detect_again(three, "0.65")  # given to detect, it is set by that
    detect_again(three)
    assert videos_in(three) == ["gate/b", "yard/a"]
    assert run_cli("events", three, "--threshold", "default")[0] == 0
    detect_again(three)
    assert videos_in(three) == ["gate/a", "gate/b", "yard/a"] and read_record(three)["kept"] == {
        "merge_gap_seconds": 0.0
    }


def test_a_camera_has_a_threshold_of_its_own(three, run_cli):
    code, out, _ = run_cli("events", three, "--threshold", "gate=0.65", "--threshold", "0.9")
    assert code == 0 and "threshold 0.9, gate 0.65 (as set)" in out
    detect_again(three)
    assert videos_in(three) == ["gate/b"]
    run_cli("events", three, "--threshold", "gate=default")
    assert videos_in(three) == []
    run_cli("events", three, "--threshold", "gate=0.65")
    run_cli("events", three, "--threshold", "default")
    assert videos_in(three) == ["gate/a", "gate/b", "yard/a"]


def test_the_gap_is_kept_too(draw_results, draw_curve, run_cli):
    results = draw_results(draw_curve("a", [(5, 9), (25, 30)]))
    run_cli("events", results, "--merge-gap", "3")
    detect_again(results)
    assert videos_in(results) == ["a"]


def test_the_camera_is_the_clocks_or_the_first_folder():
    from vad_pipeline.pipeline.results.clock import Clock

    rule = EventRule(0.5, {"gate": 0.9}, clock=Clock.parse(PATTERN, "UTC"))
    assert rule.threshold_of("archive/gate_20261102") == 0.9  # the pattern says it
    assert rule.threshold_of("gate/odd") == 0.9  # no time in it: the first folder
    assert rule.threshold_of("yard/gate/odd") == rule.threshold_of("gate") == 0.5


def test_a_camera_that_no_video_is_of_is_named(three, run_cli, caplog):
    run_cli("events", three, "--threshold", "gaet=0.9")
    assert caplog.messages == ["--threshold: no video is of gaet; cameras are gate, yard"]


@pytest.mark.parametrize("value", ["2", "nan", "gate=", "gate=x", "=0.5", "checkpoint"])
def test_what_is_no_threshold_is_refused(three, run_cli, value):
    code, _, err = run_cli("events", three, "--threshold", value)
    assert code == 2 and "--threshold" in err and "Traceback" not in err


def test_folders_of_before_keep_what_their_events_were_found_with(three):
    record = read_record(three)
    del record["kept"]
    (three / "run.json").write_text(json.dumps(record | {"events": {"threshold": 0.75, "merge_gap_seconds": 0.0}}))
    detect_again(three)
    assert videos_in(three) == ["yard/a"]


def test_a_gap_below_nothing_is_refused():
    with pytest.raises(ConfigError, match="negative"):
        Chosen(merge_gap_seconds=-1)


def test_a_camera_is_the_same_however_its_accent_is_written(draw_results, draw_curve, run_cli):
    as_macos_writes, as_typed = (unicodedata.normalize(form, "süd") for form in ("NFD", "NFC"))
    results = draw_results(draw_curve(f"{as_macos_writes}/a", [(5, 9, 0.6)]))
    code, _, err = run_cli("events", results, "--threshold", f"{as_typed}=0.7")
    assert code == 0 and "no video is of" not in err and videos_in(results) == []


def test_two_thresholds_for_one_camera_are_refused():
    with pytest.raises(ConfigError, match="given twice"):
        Chosen.of(("gate=0.5", "gate=0.6"), None, None)
    assert Chosen.of(("gate=0.5", "gate=0.5", "0.6"), None, None).thresholds == {"gate": 0.5, None: 0.6}
