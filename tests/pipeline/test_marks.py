"""RESULTS/verdicts.jsonl and the marks of events: added to by several at once, killed, laid over events anew."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.curve import Event
from vad_pipeline.pipeline.archive.labels import read_label_rows
from vad_pipeline.pipeline.results import line_log
from vad_pipeline.pipeline.results.event_rows import read_events
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.marks import Marks
from vad_pipeline.pipeline.results.verdict_log import import_verdicts, kept_verdicts
from vad_pipeline.pipeline.results.verdicts import Verdict, brought_together

pytestmark = pytest.mark.usefixtures("shards_read_here")


def said(start, end, verdict, *, video="cam/a", reviewer="Ann", time="2026-01-01T00:00:00Z", of=None) -> Verdict:
    event = f"{video}@normal" if verdict == "normal" else f"{video}@{start}-{end}"
    return Verdict(video, start, end, of or event, verdict, "Fighting", reviewer, "", time)


def exported(path: Path, *verdicts: Verdict) -> Path:
    path.write_text(json.dumps({"schema": 1, "verdicts": [asdict(each) for each in verdicts]}))
    return path


def marks_in(results: Path) -> dict[str, str]:
    return {held.event_id: held.mark for held in read_events(results)}


@pytest.fixture
def results(draw_curve, draw_results) -> Path:
    return draw_results(
        draw_curve("cam/a", [(0, 10, 0.7), (20, 30), (40, 46, 0.8)]), draw_curve("cam/b", [(4, 8)], n_frames=30)
    )


def test_an_export_is_kept_once_and_marks_events(results, run_cli, tmp_path):
    first = exported(tmp_path / "ann.json", said(0, 10, "false_alarm"), said(20, 30, "real"))
    code, out, err = run_cli("verdicts", "import", results, first)
    assert code == 0 and out == f"2 new verdicts, 0 held already, in {results / 'verdicts.jsonl'}\n" and err == ""
    rows = [json.loads(line) for line in (results / "events.jsonl").read_text().splitlines()]
    assert [row["mark"] for row in rows] == ["false_alarm", "real", None, None]
    later = said(0, 10, "real", reviewer="Bo", time="2026-01-02T00:00:00Z")
    second = exported(
        tmp_path / "bo.json", said(0, 10, "false_alarm"), later, said(0, 5, "real", video="gone"),
        said(4, 31, "real", video="cam/b"), said(4, 8, "", video="cam/b", time="", reviewer=""),
    )  # fmt: skip
    code, out, err = run_cli("report", results, "--verdicts", second, "--no-pictures")
    assert code == 0 and "3 verdicts of 2 reviewers, 1 disagreement" in out
    assert "left out: 1 verdict on videos that these results do not hold: gone\n" in err
    assert "left out: 1 verdict on frames past the end of the video: cam/b@4-31\n" in err
    assert marks_in(results)["cam/a@0-10"] == "real"  # the latest of all reviewers
    assert len((results / "verdicts.jsonl").read_text().splitlines()) == 3
    code, out, err = run_cli("verdicts", "list", results)
    assert out.splitlines()[1] == "cam/a\t0-10\treal\tFighting\tBo\t2026-01-02T00:00:00Z\t" and "1 disagreement" in err


def test_events_found_anew_keep_their_marks(results, run_cli, tmp_path):
    given = exported(tmp_path / "v.json", said(0, 10, "false_alarm"), said(20, 30, "real"), said(40, 46, "unsure"))
    run_cli("verdicts", "import", results, given)
    code, out, _ = run_cli("events", results, "--threshold", "0.05")  # a whole video is one event
    assert marks_in(results) == {"cam/a@0-48": "real", "cam/b@0-30": ""}
    code, out, _ = run_cli("events", results, "--threshold", "0.65")
    assert code == 0 and out.startswith("3 events (1 more marked as false alarms) in ")
    back = exported(tmp_path / "b.json", said(0, 10, "", time="2026-02-01T00:00:00Z"))
    run_cli("verdicts", "import", results, back)
    assert marks_in(results) == {"cam/a@0-10": "", "cam/a@20-30": "real", "cam/a@40-46": "unsure", "cam/b@4-8": ""}


def test_the_mark_of_an_event_that_nobody_has_judged_itself():
    def mark(*verdicts: Verdict, start=100, end=200) -> str:
        event = Event(f"cam/a@{start}-{end}", start, end, 0.0, 1.0, "Fighting", 0.5, 0.5, start)
        return Marks.of(brought_together([verdicts])).of_event("cam/a", event)

    assert mark(said(120, 180, "false_alarm")) == mark(said(0, 150, "false_alarm")) == "false_alarm"
    assert mark(said(0, 149, "false_alarm")) == mark(said(0, 500, "false_alarm", video="cam/b")) == ""
    assert mark(said(90, 130, "false_alarm"), said(120, 150, "false_alarm", reviewer="Bo")) == "false_alarm"
    assert mark(said(0, 500, "false_alarm"), said(190, 210, "real")) == "real"
    assert mark(said(0, 500, "normal")) == "false_alarm"
    assert mark(said(0, 500, "normal"), said(0, 90, "real")) == "false_alarm"
    assert mark(said(0, 500, "normal"), said(100, 160, "unsure")) == "unsure"
    assert mark(said(300, 310, "unsure", of="cam/a@100-200"), said(100, 200, "normal")) == "unsure"  # its own, dragged
    assert mark(said(300, 310, "real", of="cam/a@300-350"), start=340, end=350) == ""  # dragged away from these frames


def test_export_is_what_train_takes(results, run_cli, tmp_path):
    run_cli("verdicts", "import", results, exported(tmp_path / "v.json", said(20, 30, "real", video="cam/a")))
    code, out, _ = run_cli("verdicts", "export", results, "--out", tmp_path / "v.csv")
    assert code == 0 and "1 verdict, 2 open events" in out
    assert [(row.name, row.label) for row in read_label_rows(tmp_path / "v.csv")] == [("cam/a", "Fighting")]
    run_cli("verdicts", "export", results, "--out", tmp_path / "again.json")
    code, out, _ = run_cli("verdicts", "import", results, tmp_path / "again.json", results / "verdicts.jsonl")
    assert code == 0 and out.startswith("0 new verdicts, 2 held already")
    with pytest.raises(ConfigError, match="vad-pipeline verdicts export"):
        read_label_rows(results / "verdicts.jsonl")
    assert run_cli("verdicts", "export", results, "--out", tmp_path / "v.txt")[0] == 2


def test_half_a_last_line_is_passed_over_and_told(results, caplog):
    opened = Results.open(results)
    import_verdicts(opened, [said(0, 10, "real"), said(20, 30, "real")])
    path = results / "verdicts.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert kept_verdicts(results) == [said(0, 10, "real")] and "1 line of it cannot be read (2)" in caplog.messages[-1]
    found = import_verdicts(opened, [said(0, 10, "real"), said(20, 30, "real")])
    assert (found.n_new, found.n_known) == (1, 1)
    assert kept_verdicts(results) == [said(0, 10, "real"), said(20, 30, "real")]


def add_many(results: Path, reviewer: str) -> None:
    opened = Results.open(results)
    for number in range(20):
        common = said(number, number + 1, "real", reviewer="both")
        import_verdicts(opened, [common, replace(common, reviewer=reviewer)])


def test_several_processes_add_at_once_and_lose_and_double_nothing(results):
    fork = multiprocessing.get_context("fork")
    running = [fork.Process(target=add_many, args=(results, name)) for name in ("Ann", "Bo")]
    for each in running:
        each.start()
    for each in running:
        each.join(60)
        assert each.exitcode == 0
    kept = kept_verdicts(results)
    assert len(kept) == len(set(kept)) == 60


def killed_while_writing(results: Path) -> None:
    line_log.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    import_verdicts(Results.open(results), [said(0, 10, "real")])


def test_an_import_that_was_killed_is_made_up_for_by_the_next(results):
    child = multiprocessing.get_context("fork").Process(target=killed_while_writing, args=(results,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    import_verdicts(Results.open(results), [said(0, 10, "real"), said(20, 30, "real")])
    assert kept_verdicts(results) == [said(0, 10, "real"), said(20, 30, "real")]


def test_the_camera_and_the_day_that_an_id_names():
    from vad_pipeline.pipeline.results.clock import Clock, day_of
    from vad_pipeline.pipeline.results.event_rule import EventRule

    clock = Clock.parse("{camera}_%Y%m%d", "UTC")
    rule = EventRule(0.5, clock=clock)
    assert rule.camera_of("gate_20261102") == "gate" and rule.camera_of("yard/odd") == "yard"
    assert rule.camera_of("odd") is None and EventRule(0.5).camera_of("x/gate_20261102") == "x"
    for name in ("gate_20261102", "a/2026-11-02/x", "a/20261102081500", "x20261102_08", "2026_11_02T081500"):
        assert str(day_of(name, None)) == str(day_of(name, clock.of(name))) == "2026-11-02", name
    for name in ("a/20261302", "a/2026-11", "a/120261102", "a/2026-11_02", "a/20260231"):
        assert day_of(name, None) is None, name
