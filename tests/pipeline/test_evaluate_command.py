"""evaluate: what it prints, writes and refuses."""

import csv
import json
from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.model.curve import AnomalyCurve
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run

CATEGORIES = ("Normal", "Abuse", "RoadAccidents")
LINES = "a.mp4  Abuse  32  64  -1  -1\nb  RoadAccidents  0  40  -1  -1\nn  Normal  -1  -1  -1  -1\n"


def curve(video_id, scores, *, seed=0, categories=CATEGORIES):
    scores = np.asarray(scores, np.float32)
    share = np.random.default_rng(seed).random((len(scores), len(categories) - 1))
    rest = scores[:, None] * share / share.sum(axis=1, keepdims=True)
    return AnomalyCurve(
        video_id=video_id,
        scores=np.repeat(scores, 16),
        frame_seconds=np.arange(16 * len(scores)) / 25,
        category=np.concatenate([1 - scores[:, None], rest], axis=1).astype(np.float32),
        categories=categories,
        snippet_len=16,
        fps=Fraction(25),
        source="drawn",
    )


@pytest.fixture
def make_results(tmp_path):
    """make_results(name, {video id: scores}, ...): a results folder."""

    def make(name, scores, *, threshold=0.5, categories=CATEGORIES):
        results = Results(tmp_path / name)
        begin_run(results.path, RunRecord("model.pth", "0" * 64, "ucf-crime", categories, {}, "recipe", 5, threshold))
        for seed, (video_id, values) in enumerate(scores.items()):
            made = curve(video_id, values, seed=seed, categories=categories)
            write_curve(results.curves, made, CurveOrigin(recipe_id="recipe", made_from=video_id, threshold=threshold))
        return results.path

    return make


SCORES = {"x/a": [0.1, 0.2, 0.9, 0.8, 0.3], "x/b": [0.7, 0.6, 0.4, 0.2], "x/n": [0.1, 0.6, 0.2]}


@pytest.fixture
def results(make_results):
    return make_results("results", SCORES)


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.txt"
    path.write_text(LINES)
    return path


def arguments(truth, *more, format="ucf-crime"):
    return ["--annotations", truth, "--format", format, "--bootstrap", "20", *more]


def test_it_prints_what_was_compared_and_writes_the_figures(run_cli, results, truth):
    code, out, err = run_cli("evaluate", results, *arguments(truth))
    assert (code, err) == (0, "")
    assert "3 videos, 192 frames, 72 anomalous; protocol corrected, crop 5, false alarms at threshold 0.5" in out
    assert "no known test truth has this many frames" in out
    written = json.loads((results / "evaluation.json").read_text())
    fields = ["schema", "protocol", "crop", "n_videos", "n_frames", "n_anomalous_frames", "auc", "ap", "auc_anomalous"]
    assert list(written)[: len(fields)] == fields
    assert {"map", "per_category", "ci", "missing"} <= set(written)
    assert (written["crop"], written["n_videos"], written["n_frames"]) == (5, 3, 192)
    assert list(written["map"]) == ["average", "0.1", "0.2", "0.3", "0.4", "0.5"]
    assert f"{100 * written['auc']:.2f} [{100 * written['ci']['auc'][0]:.2f}, " in out
    assert (results / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in results.iterdir()) == [
        "curves",
        "evaluation.json",
        "evaluation.png",
        "run.json",
    ]


def test_the_same_again_gives_the_same_bytes(run_cli, results, truth):
    run_cli("evaluate", results, *arguments(truth))
    first = [(results / name).read_bytes() for name in ("evaluation.json", "evaluation.png")]
    run_cli("evaluate", results, *arguments(truth))
    assert first == [(results / name).read_bytes() for name in ("evaluation.json", "evaluation.png")]


def test_false_alarms_are_counted_at_the_events_threshold(run_cli, results, truth):
    def rate(*more):
        code, _, _ = run_cli("evaluate", results, *arguments(truth, *more))
        written = json.loads((results / "evaluation.json").read_text())
        return code, written["threshold"], written["false_alarms_per_hour"]

    hours = (192 - 72) / 25 / 3600
    assert rate() == (0, 0.5, pytest.approx(1 / hours))  # the run's own
    run_cli("events", results, "--threshold", "0.65")
    assert rate() == (0, 0.65, 0)  # that of the last events
    assert rate("--threshold", "0.1") == (0, 0.1, pytest.approx(1 / hours))


@pytest.mark.parametrize("table", ["md", "latex", "csv"])
def test_a_table_is_alone_on_stdout(run_cli, results, truth, table):
    code, out, err = run_cli("evaluate", results, *arguments(truth, "--table", table))
    assert code == 0 and "3 videos, 192 frames" in err and "3 videos" not in out
    begins = {"md": "|  |", "latex": r"\begin{tabular}", "csv": "figure,results,value,low,high"}
    assert out.startswith(begins[table])
    if table == "csv":
        assert {len(row) for row in csv.reader(out.splitlines())} == {5}


def test_two_results_side_by_side_with_their_difference(run_cli, results, make_results, truth):
    other = make_results("other", {**SCORES, "x/n": [0.1, 0.2, 0.1]})
    code, out, _ = run_cli("evaluate", results, other, *arguments(truth, "--table", "csv"))
    rows = {(row["figure"], row["results"]): row for row in csv.DictReader(out.splitlines())}
    first, second = (json.loads((path / "evaluation.json").read_text()) for path in (results, other))
    assert code == 0 and second["auc"] > first["auc"]
    difference = rows["AUC", "difference"]
    assert float(difference["value"]) == pytest.approx(second["auc"] - first["auc"])
    assert float(difference["low"]) <= float(difference["value"]) <= float(difference["high"])
    fewer = make_results("fewer", {"x/a": SCORES["x/a"]})
    code, out, err = run_cli("evaluate", results, fewer, *arguments(truth, "--allow-missing"))
    assert code == 0 and "difference" not in out and "cover different videos" in err


def test_what_lacks_its_counterpart_is_named_and_exits_1(run_cli, make_results, truth):
    results = make_results("results", {"a": SCORES["x/a"], "n": SCORES["x/n"], "extra": [0.5]})
    code, out, err = run_cli("evaluate", results, *arguments(truth))
    assert code == 1 and "2 videos" in out
    assert "1 annotated name matches no result: b" in err and "1 result matches no annotated name: extra" in err
    written = json.loads((results / "evaluation.json").read_text())
    assert written["missing"] == {"without_result": ["b"], "without_annotation": ["extra"]}
    code, _, err = run_cli("evaluate", results, *arguments(truth, "--allow-missing"))
    assert code == 0 and "extra" in err


def test_truth_of_one_class_is_said_in_words(run_cli, make_results, tmp_path):
    results = make_results("results", {"n": [0.1, 0.4]})
    truth = tmp_path / "truth.csv"
    truth.write_text("video;start_seconds;end_seconds;category\nn;;;Normal\n")
    code, out, err = run_cli("evaluate", results, *arguments(truth, format="csv"))
    assert code == 0 and "undefined" in out and "every frame compared is normal" in err
    written = json.loads((results / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert written["auc"] is None and written["map"] is None and written["ci"]["auc"] is None


def test_seconds_and_frames_say_the_same(run_cli, results, tmp_path):
    frames, seconds = tmp_path / "frames.csv", tmp_path / "seconds.csv"
    frames.write_text("video,start_frame,end_frame,category\na,33,64,Abuse\nb,1,40,road_accidents\nn,,,\n")
    seconds.write_text(
        "video;start_seconds;end_seconds;category\na;1,28;0:00:02,52;Abuse\nb;0:00;1.56;Road Accidents\nn;;;normal\n"
    )
    written = []
    for path, more in ((frames, ["--ends", "inclusive", "--first-frame", "1"]), (seconds, [])):
        code, _, err = run_cli("evaluate", results, *arguments(path, *more, format="csv"))
        assert code == 0, err
        written.append(json.loads((results / "evaluation.json").read_text()))
    frames, seconds = written
    assert frames["n_anomalous_frames"] == 72
    # inclusive frames 33..64 of frames from 1 are 32 up to 64; 1.28 s is frame 32, 2.52 s frame 63 (excluded)
    assert seconds["n_anomalous_frames"] == 31 + 39


REFUSED = [
    (["nowhere"], {}, "no results"),
    (["results", "results"], {}, "given twice"),
    (["results"], {"text": "zz  Abuse  1  2  -1  -1"}, "no annotated name matches a result"),
    (["results"], {"text": "a  Abuse  9  2  -1  -1"}, "line 1: the range 9 to 2 is reversed"),
    (["results"], {"text": LINES + "x/a  Abuse  1  2  -1  -1"}, "two annotated names mean the video x/a"),
    (["results"], {"more": ["--threshold", "1.5"]}, "--threshold"),
    (["results"], {"more": ["--bootstrap", "-1"]}, "--bootstrap"),
    (["results"], {"more": ["--normals", "nowhere.csv"]}, "nowhere.csv: cannot be read"),
    ([], {}, "RESULTS"),
]


@pytest.mark.parametrize(("names", "given", "message"), REFUSED)
def test_bad_input_is_one_sentence_and_exit_2(run_cli, results, truth, tmp_path, names, given, message):
    truth.write_text(given.get("text", LINES))
    code, _, err = run_cli("evaluate", *(tmp_path / name for name in names), *arguments(truth, *given.get("more", [])))
    assert code == 2 and message in err and "Traceback" not in err
    assert not (results / "evaluation.json").exists()


def test_names_that_match_two_videos_exit_2(run_cli, make_results, truth):
    results = make_results("results", {"x/a": [0.5], "y/a": [0.5]})
    code, _, err = run_cli("evaluate", results, *arguments(truth))
    assert code == 2 and "matches 2 videos: x/a, y/a" in err


def test_a_video_of_two_recipes_exits_2(run_cli, results, truth):
    held = Results(results)
    write_curve(held.curves, curve("x/a", [0.5]), CurveOrigin(recipe_id="other", made_from="x/a", threshold=0.5))
    code, _, err = run_cli("evaluate", results, *arguments(truth))
    assert code == 2 and "hold 1 video twice" in err


def test_a_results_folder_without_curves_exits_2(run_cli, make_results, truth):
    code, _, err = run_cli("evaluate", make_results("results", {}), *arguments(truth))
    assert code == 2 and "holds no curves" in err


def test_a_damaged_run_json_exits_3(run_cli, results, truth):
    (results / "run.json").write_text("{")
    code, _, err = run_cli("evaluate", results, *arguments(truth))
    assert code == 3 and "cannot be read" in err


def test_the_room_is_told_apart_by_files_that_need_no_torch():
    """Reading annotations and drawing tables load neither torch nor matplotlib."""
    import subprocess
    import sys

    code = (
        "import sys, vad_pipeline.eval.evaluation, vad_pipeline.eval.tables\n"
        "import vad_pipeline.pipeline.commands.methods.evaluate\n"
        "print(*[name for name in ('torch', 'av', 'open_clip', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
