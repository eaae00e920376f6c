"""plot: what is drawn, and that it is drawn the same twice."""

import numpy as np
import pytest
from PIL import Image

from vad_pipeline.pipeline.results.curve_plot import EVENT, TRUTH, steps

TRUTH_CSV = "video,start_frame,end_frame,category\nb.mp4,8,24,Fighting\nother,1,2,Fighting\n"


@pytest.fixture
def results(draw_curve, draw_results):
    return draw_results(draw_curve("cam/a", [(10, 20)]), draw_curve("cam/b", [(0, 16), (30, 40)]), draw_curve("x$y_{"))


def has_colour(path, colour, *, tolerance=6):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return bool((np.abs(pixels - wanted).max(axis=2) <= tolerance).any())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_bytes_twice(results, run_cli, tmp_path, suffix, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        code, out, err = run_cli("plot", results, "a", "b", "--out", file)
        assert code == 0 and str(file) in out and err == ""
    one, other = (file.read_bytes() for file in files)
    assert one == other and len(one) > 5000


def test_files_are_called_after_videos(results, run_cli, tmp_path):
    assert run_cli("plot", results, "cam/b", "--out", tmp_path)[0] == 0 and len([*tmp_path.glob("cam_b~*.png")]) == 1
    assert run_cli("plot", results, "cam/a")[0] == run_cli("plot", results, "a.mp4", "b", "cam/a")[0] == 0
    assert sorted(path.name for path in (results / "plots").iterdir()) == ["cam_a~8f1db0f3+1.png", "cam_a~8f1db0f3.png"]
    one, two = (Image.open(results / "plots" / name).size for name in ("cam_a~8f1db0f3.png", "cam_a~8f1db0f3+1.png"))
    assert one[0] == two[0] == 1020 and two[1] > one[1]


def test_events_and_truth_are_shown_where_there_are_any(results, run_cli, tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH_CSV)
    truth = ("--annotations", tmp_path / "truth.csv", "--format", "csv")
    shade = "#fadfac"  # the truth's colour, thinned
    code, _, err = run_cli("plot", results, "b", *truth, "--axis", "frames", "--out", tmp_path / "b.png")
    assert code == 0 and err == "" and has_colour(tmp_path / "b.png", EVENT)
    assert has_colour(tmp_path / "b.png", shade) and TRUTH == "#f2b134"
    code, _, err = run_cli("plot", results, "a", *truth, "--out", tmp_path / "a.png")
    assert code == 0 and "cam/a: no annotation" in err and not has_colour(tmp_path / "a.png", shade)
    code, _, err = run_cli("plot", results, "x$y_{", "--out", tmp_path / "x.png")
    assert (
        code == 0 and err == "note: x$y_{: no events at threshold 0.5\n" and not has_colour(tmp_path / "x.png", EVENT)
    )


def test_the_axis_and_the_score_say_what_they_are(draw_curve, draw_results, run_cli, tmp_path):
    results = draw_results(draw_curve("<b>&", [(3, 9)]), calibrated=False)
    for axis in ("seconds", "frames"):
        assert run_cli("plot", results, "<b>&", "--axis", axis, "--out", tmp_path / f"{axis}.svg")[0] == 0
    text = (tmp_path / "frames.svg").read_text()
    assert "<!-- frame -->" in text and "<!-- uncalibrated score -->" in text and "<b>" not in text
    assert "<!-- seconds -->" in (tmp_path / "seconds.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("c",), "no curve of c among its 3"),
        (("a", "nobody.mp4"), "no curve of nobody.mp4"),
        ((), "VIDEO"),
        (("a", "--out", "a.bmp"), "must end in .png, .svg, .pdf"),
        (("a", "--format", "csv"), "--annotations FILE and --format NAME belong together"),
        (("a", "--annotations", "nowhere.csv", "--format", "csv"), "nowhere.csv"),
        (("a", "--axis", "hours"), "hours"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(results, run_cli, arguments, words):
    code, _, err = run_cli("plot", results, *arguments)
    assert code == 2 and words in err and "Traceback" not in err


def test_results_that_are_not_whole(results, run_cli, draw_curve, draw_results, tmp_path):
    code, _, err = run_cli("plot", tmp_path / "nowhere", "a")
    assert code == 2 and "no results" in err
    two = draw_results(draw_curve("1/a"), draw_curve("2/a"), name="two")
    code, _, err = run_cli("plot", two, "a")
    assert code == 2 and "matches 2 videos" in err
    (results / "events.jsonl").unlink()
    code, _, err = run_cli("plot", results, "a")
    assert code == 2 and "vad-pipeline events" in err
    (results / "run.json").write_text('{"schema": 1}')
    code, _, err = run_cli("plot", results, "a")
    assert code == 3 and "run.json" in err


def test_a_curve_that_stands_still_has_two_points():
    at, scores = steps(np.arange(6), np.array([0.1, 0.1, 0.7, 0.7, 0.2]))
    assert at.tolist() == [0, 2, 2, 4, 4, 5] and scores.tolist() == [0.1, 0.1, 0.7, 0.7, 0.2, 0.2]
