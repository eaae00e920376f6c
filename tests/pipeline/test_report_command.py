"""`vad-pipeline report` and `detect --report`: what is written, told, kept and refused. The page itself: report/."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from vad_pipeline.pipeline.outcomes.outcome_log import OutcomeLog
from vad_pipeline.pipeline.outcomes.video_outcome import VideoOutcome
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.review.page import SCRIPTS, _head


def data_of(results, name: str) -> dict:
    """The values of a data file."""
    text = (results / "report" / "data" / f"{name}.js").read_text("ascii")
    return json.loads(re.search(r"vad\.receive\(\"[^\"]*\", (.*)\);\n$", text, re.DOTALL)[1])


@pytest.fixture
def results(draw_curve, draw_results, make_numbered, tmp_path):
    """Two videos: one whose footage is there, one whose is not."""
    footage = make_numbered(tmp_path / "raw" / "a.mp4", 48)
    return draw_results(
        draw_curve("cam/a", [(16, 32)], fps=25, source=footage), draw_curve("b", n_frames=30, source="/gone/b.mp4")
    )


def test_a_page_with_all_that_it_needs(results, run_cli):
    code, out, err = run_cli("report", results)
    assert code == 0 and f"2 videos; open {results / 'report' / 'index.html'}" in out, err
    assert "the footage of 1 video is not shown in full: b: the video file is not there" in err
    page = (results / "report" / "index.html").read_text()
    for name in re.findall(r"(?:src|href)=\"([^\"#:]+)\"", page):
        assert (results / "report" / name).is_file(), name
    assert all(name in page for name in SCRIPTS) and "Content-Security-Policy" in page and "http:" not in page
    rows = data_of(results, "overview")["videos"]
    assert [(row["id"], row["events"], row["category"]) for row in rows] == [("cam/a", 1, "Fighting"), ("b", 0, None)]
    video = data_of(results, key_of("cam/a"))
    assert video["media"] == "../../raw/a.mp4" and {*map(str, video["strip"]), "16"} == set(video["pictures"])


def test_failures_of_another_folder_are_not_counted(run_cli, tmp_path, make_video, reading_model):
    for folder in ("mine", "other"):
        make_video(tmp_path / folder / "a.mp4", n_frames=20)
        (tmp_path / folder / f"{folder}.mp4").write_text("no video")
    (tmp_path / "words.csv").write_text("Normal,calm\nFire,a fire\n")
    given = ("--store", tmp_path / "S", "--like", "quick", "--model", reading_model, "--pretrained", "random:0")
    assert run_cli("extract", tmp_path / "other", *given)[0] == 1
    given = ("--out", tmp_path / "R", "--zero-shot", "--categories", tmp_path / "words.csv", *given[:2], *given[4:])
    code, out, err = run_cli("detect", tmp_path / "mine", *given, "--report")
    assert code == 1 and "1 video, 1 failed; open " in out, err
    assert [row["id"] for row in data_of(tmp_path / "R", "overview")["videos"]] == ["a", "mine"]


def test_what_has_not_changed_is_kept_and_the_rest_is_made_anew(results, run_cli, draw_curve):
    from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
    from vad_pipeline.pipeline.results.folder import Results

    run_cli("report", results)
    data = results / "report" / "data"
    before = {path.name: path.stat().st_mtime_ns for path in data.iterdir()}
    _, _, err = run_cli("report", results)
    after = {path.name: path.stat().st_mtime_ns for path in data.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"overview.js"}
    assert "the footage of 1 video" in err  # told again
    curve = draw_curve("b", [(0, 16)], n_frames=30, source="/gone/b.mp4")
    write_curve(Results(results).curves, curve, CurveOrigin(recipe_id="recipe", made_from="b2", threshold=0.5))
    (data / "0123456789abcdef.js").write_text("of a video that is no longer here")
    run_cli("report", results)
    assert (data / f"{key_of('b')}.js").stat().st_mtime_ns != before[f"{key_of('b')}.js"]
    assert (data / f"{key_of('cam/a')}.js").stat().st_mtime_ns == before[f"{key_of('cam/a')}.js"]
    assert not (data / "0123456789abcdef.js").exists()


def test_failures_of_both_runs_are_listed(results, run_cli, tmp_path):
    failed = VideoOutcome("c\n", "/raw/c.mp4", "failed", "zero_bytes", "the file is empty (0 bytes); copy it again")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text("{}")
    with OutcomeLog(tmp_path / "store" / "outcomes") as log:
        log.append(failed)
        log.append(VideoOutcome("b", "/raw/b.mp4", "failed", "timeout", "has a curve all the same"))
    with OutcomeLog(results / "outcomes") as log:
        log.append(VideoOutcome("d", "/raw/d.mp4", "failed", "unreadable", "its features are damaged"))
    code, out, _ = run_cli("report", results, "--store", tmp_path / "store")
    assert code == 0 and "2 videos, 2 failed" in out
    rows = [row for row in data_of(results, "overview")["videos"] if row["key"] is None]
    assert {row["id"] for row in rows} == {"c\n", "d"}
    assert {row["path"] for row in rows} == {"/raw/c.mp4", "/raw/d.mp4"}
    assert any(row["reason"].startswith("the file is empty") for row in rows)


def test_truth_moved_footage_and_no_pictures(results, run_cli, tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("video,start_seconds,end_seconds,category\na,0.4,99,Fighting\nb,,,Normal\n")
    moved = ("--media-root", f"{tmp_path / 'raw'}=/mnt/nas raw", "--media-root", "/gone=/mnt")
    code, _, err = run_cli(
        "report", results, "--annotations", truth, "--format", "csv", *moved, "--no-pictures", "--quiet"
    )
    assert code == 0 and err == ""
    video = data_of(results, key_of("cam/a"))
    assert video["truth"] == [[10, 48, "Fighting"]] and video["pictures"] == {}
    assert (
        video["media"] == "file:///mnt/nas%20raw/a.mp4"
        and data_of(results, key_of("b"))["media"] == "file:///mnt/b.mp4"
    )
    assert data_of(results, key_of("b"))["truth"] == []


def test_previews_are_made_once_and_go_with_their_footage(draw_curve, draw_results, make_numbered, tmp_path, run_cli):
    footage = make_numbered(tmp_path / "a.avi", 40, codec="mpeg4", bframes=0)
    results = draw_results(draw_curve("a", n_frames=40, fps=25, source=footage))
    assert run_cli("report", results)[0] == 0
    assert data_of(results, key_of("a"))["media"] is None and not (results / "report" / "media").exists()
    assert run_cli("report", results, "--proxy", "auto")[0] == 0
    (preview,) = (results / "report" / "media").iterdir()
    made = preview.stat().st_mtime_ns
    assert data_of(results, key_of("a"))["media"] == f"media/{preview.name}"
    assert run_cli("report", results)[0] == 0  # what is there is used
    assert data_of(results, key_of("a"))["media"] == f"media/{preview.name}" and preview.stat().st_mtime_ns == made
    before = (results / "report" / "data" / f"{key_of('a')}.js").stat().st_mtime_ns
    assert run_cli("report", results)[0] == 0
    assert (results / "report" / "data" / f"{key_of('a')}.js").stat().st_mtime_ns == before
    preview.unlink()
    assert run_cli("report", results, "--proxy", "auto")[0] == 0 and preview.exists()
    make_numbered(footage, 44, codec="mpeg4", bframes=0)
    assert run_cli("report", results)[0] == 0
    assert not preview.exists() and data_of(results, key_of("a"))["media"] is None
    footage.write_bytes(b"no video")
    code, _, err = run_cli("report", results, "--proxy", "auto")
    assert code == 0 and "a: no preview: not a video" in err


def test_a_clock_of_its_own(results, run_cli, draw_curve, draw_results):
    named = draw_results(draw_curve("cam1/2026-11-02", n_frames=30, source="/gone/b.mp4"), name="named")
    assert run_cli("report", named, "--clock", "{camera}/%Y-%m-%d", "--timezone", "UTC")[0] == 0
    assert data_of(named, key_of("cam1/2026-11-02"))["clock"]["camera"] == "cam1"
    code, _, err = run_cli("report", results, "--clock", "{camera}/%Y", "--timezone", "UTC")
    assert code == 2 and "--clock" in err  # says no day
    code, _, err = run_cli("report", results, "--timezone", "UTC")
    assert code == 2 and "--timezone says what --clock PATTERN reads" in err
    assert run_cli("report", results, "--clock", "{camera}/%Y-%m-%d", "--timezone", "Mars/Olympus")[0] == 2


def test_verdicts_of_colleagues(results, run_cli, tmp_path):
    row = {"video": "cam/a", "start_frame": 16, "end_frame": 32, "event_id": "cam/a@16-32", "category": "Fighting"}
    for name, said in (("Ann", "real"), ("Bo", "false_alarm")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"verdicts": [{**row, "verdict": said, "reviewer": name}]}))
    code, out, _ = run_cli("report", results, "--verdicts", tmp_path / "Ann.json", tmp_path / "Bo.json")
    assert code == 0 and "disagreement\tcam/a\tframes 16 to 32\tAnn: real; Bo: false_alarm\n" in out
    assert "2 verdicts of 2 reviewers, 1 disagreement" in out
    overview = data_of(results, "overview")
    assert [each["reviewer"] for each in overview["verdicts"]] == ["Ann", "Bo"] and len(overview["disagreements"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--media-root", "/a"), "must be OLD=NEW"),
        (("--annotations", "none.csv"), "belong together"),
        (("--format", "csv"), "belong together"),
        (("--normals", "none.csv"), "belong together"),
        (("--annotations", "none.csv", "--format", "csv"), "none.csv"),
        (("--verdicts", "none.json"), "cannot be read as verdicts"),
        (("another",), "one RESULTS at a time"),
        (("--store", "none"), "no feature store"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(results, run_cli, arguments, words):
    code, _, err = run_cli("report", results, *arguments)
    assert code == 2 and words in err and "Traceback" not in err and not (results / "report").exists()


def test_no_text_ends_the_first_line_of_a_data_file():
    told = ["*/ alert(1) /*", "</script>", "\u2028"]
    head = _head("stamp", told).decode("ascii")
    assert head.count("*/") == 1 and head.endswith(" */\n") and "</" not in head and head.count("\n") == 1
    assert json.loads(head[len("/* stamp ") : -len(" */\n")]) == told


def test_no_results_and_no_curves(run_cli, tmp_path, draw_results):
    code, _, err = run_cli("report", tmp_path / "nowhere")
    assert code == 2 and "no results" in err
    code, _, err = run_cli("report", draw_results())
    assert code == 2 and "holds no curves" in err


def test_a_folder_that_cannot_be_written_stops_the_run(results, run_cli):
    (results / "report").write_text("a file in the way")
    code, _, err = run_cli("report", results)
    assert code in (2, 3) and str(results / "report") in err and "Traceback" not in err


def test_damaged_footage_costs_its_pictures_and_no_other_video(draw_curve, draw_results, tmp_path, run_cli, make_video):
    (tmp_path / "bad.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    make_video(tmp_path / "good.mp4", n_frames=48)
    results = draw_results(
        draw_curve("bad", source=tmp_path / "bad.mp4"), draw_curve("good", fps=25, source=tmp_path / "good.mp4")
    )
    code, out, err = run_cli("report", results)
    assert code == 0 and "2 videos" in out and "bad: not a video" in err
    assert data_of(results, key_of("bad"))["media"] is None and data_of(results, key_of("good"))["pictures"]
