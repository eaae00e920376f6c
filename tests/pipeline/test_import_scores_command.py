"""import-scores: scores in all ways in which others keep them become results; what cannot be used costs its video."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.categories import ANOMALY_ALONE
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.scores.mat_file import _arrays

FRAMES = {"x/a": 70, "b": 48, "n": 33}
RANGES = {"x/a": (16, 48), "b": (0, 16), "n": None}
TRUTH = "a.mp4  Abuse  16  48  -1  -1\nb  RoadAccidents  0  16  -1  -1\nn  Normal  -1  -1  -1  -1\n"
CATEGORIES = "Normal\nAbuse\nRoadAccidents\n"


def perfect(video: str) -> np.ndarray:
    scores = np.zeros(FRAMES[video], np.float32)
    if RANGES[video]:
        scores[slice(*RANGES[video])] = 1
    return scores


def of_snippets(video: str) -> np.ndarray:
    return perfect(video)[::16]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a list of frames, annotations, and categories."""
    monkeypatch.chdir(tmp_path)
    Path("frames.csv").write_text("video,frames,fps\n" + "".join(f"{v},{n},25\n" for v, n in FRAMES.items()))
    Path("truth.txt").write_text(TRUTH)
    Path("categories.csv").write_text(CATEGORIES)
    return tmp_path


def in_files(save, values=perfect, suffix=".npy") -> str:
    for video in FRAMES:
        path = Path("scores", f"{video}{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, values(video))
    return "scores"


def in_one(values=perfect, lengths=None) -> str:
    np.save("all.npy", np.concatenate([values(video) for video in FRAMES]))
    return "all.npy"


def mat73(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["scores"] = values[:, None].T  # MATLAB's (1, n)


def mat5(path: Path, values: np.ndarray) -> None:
    pytest.importorskip("scipy.io").savemat(path, {"scores": values})


def test_older_matlab_files_need_a_package(place, monkeypatch):
    mat5(Path("a.mat"), np.zeros(3))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ConfigError, match=r"a.mat: is of a version before MATLAB's 7.3, .*pip install '.\[mat\]'"):
        _arrays(Path("a.mat"))


def in_table(unit: str, delimiter=",") -> str:
    rows = [["video", unit, "score"]]
    for video in FRAMES:
        values = perfect(video) if unit == "frame" else of_snippets(video)
        rows += [[video, str(i), f"{value:g}"] for i, value in reversed(list(enumerate(values)))]
    Path("table.csv").write_text("\n".join(map(delimiter.join, rows)) + "\n")
    return "table.csv"


def listed(*more: str) -> list[str]:
    Path("list.csv").write_text("path,label\n" + "".join(f"/home/u/{v}__5.npy,Abuse\n" for v in ("a", "b", "n")))
    return ["--names", "list.csv"]


WAYS = {
    "a file a video": lambda: [in_files(np.save)],
    "a file a video, of snippets": lambda: [in_files(np.save, of_snippets)],
    "MATLAB 7.3": lambda: [in_files(mat73, suffix=".mat")],
    "MATLAB 5": lambda: [in_files(mat5, suffix=".mat")],
    "all in one": lambda: [in_one()],
    "all in one, of snippets": lambda: [in_one(of_snippets)],
    "all in one, of whole snippets, as listed": lambda: [
        in_one(lambda v: perfect(v)[: len(perfect(v)) // 16 * 16]),
        *listed(),
    ],
    "a table of frames": lambda: [in_table("frame")],
    "a table of snippets": lambda: [in_table("snippet", ";")],
}


def figures(run_cli, results: str) -> dict:
    code, _, err = run_cli("evaluate", results, "--annotations", "truth.txt", "--format", "ucf-crime", "--bootstrap", 0)
    assert code == 0, err
    return json.loads(Path(results, "evaluation.json").read_text())


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_keep_them_gives_the_same_curves(run_cli, place, way):
    code, out, err = run_cli("import-scores", *WAYS[way](), "--frames", "frames.csv", "--out", "results")
    assert code == 0 and "3 ok, 0 cached, 0 failed" in out and "2 events" in out, err
    assert f"one score a {'snippet' if 'snippets' in way and 'whole' not in way else 'frame'}" in out
    curves = {curve.video_id: curve for curve in Results("results")}
    for video, curve in curves.items():
        assert (curve.scores == perfect(video)).all() and curve.categories == ANOMALY_ALONE
        assert curve.frame_seconds[-1] == pytest.approx((FRAMES[video] - 1) / 25)
    assert list(curves) == sorted(FRAMES)


def test_figures_of_perfect_and_of_constant_scores(run_cli, place):
    run_cli("import-scores", in_files(np.save), "--frames", "frames.csv", "--out", "results")
    of_perfect = figures(run_cli, "results")
    assert of_perfect["auc"] == of_perfect["ap"] == 1
    assert of_perfect["map"] is None and of_perfect["category_accuracy"] is None
    assert any("tell no categories apart" in note for note in of_perfect["notes"])
    assert of_perfect["per_category"]["Abuse"] == {"n_videos": 1, "n_anomalous_frames": 32, "auc": 1.0, "map": None}
    np.save("all.npy", np.full(sum(FRAMES.values()), 0.25))
    run_cli("import-scores", "all.npy", "--frames", "frames.csv", "--out", "constant")
    assert figures(run_cli, "constant")["auc"] == 0.5


def test_probabilities_of_categories(run_cli, place):
    def probabilities(video: str) -> np.ndarray:
        values = np.zeros((FRAMES[video], 3))
        values[:, {"x/a": 1, "b": 2, "n": 0}[video]] = perfect(video)
        values[:, 0] = 1 - perfect(video)
        return values

    given = ["--frames", "frames.csv", "--categories", "categories.csv"]
    code, _, err = run_cli("import-scores", in_files(np.save, probabilities), *given, "--out", "results")
    assert code == 0, err
    found = figures(run_cli, "results")
    assert found["auc"] == found["map"]["average"] == found["category_accuracy"] == 1
    in_files(np.save, lambda video: np.column_stack([perfect(video) / 2, probabilities(video)]))
    Path("one.csv").write_text("video,frames\nx/a,9\n")
    np.save("one.npy", np.array([[0.2, 0.5, 0.3]]))  # a single snippet, no row of three scores
    short = ["one.npy", "--names", "names.csv", "--frames", "one.csv", "--categories", "categories.csv", "--out", "one"]
    Path("names.csv").write_text("a,1\n")
    assert run_cli("import-scores", *short)[0] == 0 and next(iter(Results("one"))).scores[0] == np.float32(0.8)
    assert run_cli("import-scores", "scores", *given, "--out", "results")[0] == 0
    assert {curve.scores.max() for curve in Results("results")} == {0.5, 0.0}
    code, _, err = run_cli("import-scores", "scores", "--frames", "frames.csv", "--out", "other")
    assert code == 1 and "has 4 columns: name their categories with --categories FILE" in err


def test_what_is_known_of_their_origin_and_nothing_more(run_cli, place):
    run_cli("import-scores", in_files(np.save), "--frames", "frames.csv", "--out", "results")
    record = json.loads(Path("results/run.json").read_text())
    assert record["imported_from"] == "scores" and len(record["imported_sha256"]) == 64
    assert record["imported_per"] == "frame" and record["version"] and not any("checkpoint" in name for name in record)
    code, _, err = run_cli("evaluate", "results", "--annotations", "truth.txt", "--format", "ucf-crime")
    assert code == 0, err
    for command in (["report", "results", "--no-pictures"], ["plot", "results", "a"], ["events", "results"]):
        code, _, err = run_cli(*command)
        assert code == 0, err
    code, _, err = run_cli("clips", "results")
    assert code == 1 and "its results do not say which file it is" in err


def test_the_same_again_changes_nothing_and_newer_scores_replace_older_ones(run_cli, place):
    def held() -> dict[Path, bytes]:
        files = [path for path in Path("results").rglob("*") if path.is_file() and path.parent.name != "outcomes"]
        return {path: path.read_bytes() for path in files}

    given = ["import-scores", in_files(np.save), "--frames", "frames.csv", "--out", "results"]
    run_cli(*given)
    before = held()
    code, out, _ = run_cli(*given)
    assert code == 0 and "0 ok, 3 cached" in out and held() == before
    np.save("scores/b.npy", np.full(48, 0.5))
    code, out, _ = run_cli(*given)
    assert "1 ok, 2 cached" in out and Results("results").get("b", "").scores.max() == 0.5
    Path("scores/b.npy").unlink()
    code, out, err = run_cli(*given)
    assert code == 0 and "results also holds 1 curve of before: b" in err and "1 without scores" in out
    np.save("all.npy", np.zeros(9))
    before = held()
    code, out, err = run_cli("import-scores", "all.npy", "--per", "snippet", "--names", *numbered(2), *given[2:])
    assert code == 1 and "failed [unfit_scores] b: all.npy: has 2 scores of 16 frames" in err and held() == before


def numbered(n: int) -> list[str]:
    """A list of two videos with so many scores for the first, and 7 for the second, which has other many snippets."""
    Path("numbered.csv").write_text(f"b,{n}\nn,7\n")
    return ["numbered.csv"]


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        (np.zeros(70 + 15), 0, "note: scores of 1 video were fitted to the footage, as of x/a: 15 scores beyond"),
        (np.zeros(70 - 6), 0, "as of x/a: the last score repeated over 6 frames"),
        (np.zeros(70 + 16), 1, "has 86 scores, 16 frames more than the footage, which has 70"),
        (np.zeros(5), 1, "has 5 scores, 65 frames fewer than the footage, which has 70 (it fits one a snippet: --per"),
        (np.full(70, np.nan), 1, "holds values that are not finite"),
        (np.linspace(-3, 2, 70), 1, "holds values of -3 to 2: scores must lie in 0 to 1"),
        (np.zeros((70, 2)), 1, "has 2 columns: name their categories"),
        (np.array(["a"]), 1, "expected numbers of shape (n,)"),
        (None, 1, "is a Git LFS pointer"),
    ],
)
def test_a_video_whose_scores_cannot_be_used_costs_itself(run_cli, place, values, code, message):
    in_files(np.save)
    if values is None:
        Path("scores/x/a.npy").write_text("version https://git-lfs.github.com/spec/v1\n")
    else:
        np.save("scores/x/a.npy", values)
    found, out, err = run_cli("import-scores", "scores", "--frames", "frames.csv", "--out", "results")
    assert found == code and message in err and "Traceback" not in err
    assert not code or ("[unfit_scores]" in err) == (values is not None and values.dtype.kind == "f")
    assert f"{3 - code} ok, 0 cached, {code} failed" in out and len(Results("results")) == 3 - code


def test_without_any_scores_that_can_be_used_there_are_no_results(run_cli, place):
    Path("scores").mkdir()
    np.save("scores/b.npy", np.full(48, 2))
    code, out, err = run_cli("import-scores", "scores", "--frames", "frames.csv", "--out", "results")
    assert code == 1 and "0 ok, 0 cached, 1 failed; no scores can be used, so that no results are written" in err
    assert not out and not Path("results/run.json").exists()
    assert run_cli("status", "results")[1]


def test_names_of_nothing_and_two_of_one_video(run_cli, place):
    in_files(np.save)
    np.save("scores/other.npy", np.zeros(9))
    np.save("scores/b.npz.npy", np.zeros(48))
    Path("scores/b").mkdir()
    np.save("scores/b.mp4.npy", np.zeros(48))
    code, out, err = run_cli("import-scores", "scores", "--frames", "frames.csv", "--out", "results")
    assert (
        code == 1
        and "2 listed names match no video: b.npz, other" in err
        and "scores/b.mp4.npy, scores/b.npy are all named after it" in err
    )
    assert Results("results").video_ids() == ["n", "x/a"]


def test_a_row_of_a_table_costs_its_video(run_cli, place):
    text = Path(in_table("frame")).read_text()
    Path("table.csv").write_text(text.replace("b,7,1", "b,7,high").replace("n,5,0\n", ""))
    code, _, err = run_cli("import-scores", "table.csv", "--frames", "frames.csv", "--out", "results")
    assert code == 1 and "'high' is no number" in err and "frame 5 is missing; expected each once" in err
    assert Results("results").video_ids() == ["x/a"]


REFUSED = [
    (["nowhere", "--frames", "frames.csv"], "nowhere: no such file"),
    (["scores"], "give --store STORE or --frames LIST"),
    (["scores", "--frames", "frames.csv", "--store", "s"], "give --store STORE or --frames LIST"),
    (["scores", "--frames", "frames.csv", "--catalogue", "c"], "--catalogue is the index of --store STORE: give both"),
    (["scores", "--frames", "truth.txt"], "truth.txt, line 1: expected rows `video,frames`"),
    (["scores", "--frames", "minus.csv"], "minus.csv, line 1: '-3' is no whole number"),
    (["scores", "--frames", "twice.csv"], "twice.csv, line 2: a is there twice"),
    (["scores", "--frames", "rate.csv"], "rate.csv, line 1: 'fast' is not a frame rate"),
    (["scores", "--frames", "strange.csv"], "its scores are of none of the 1 video"),
    (
        ["odd.npy", "--frames", "frames.csv"],
        "odd.npy: 100 scores are not those of 3 videos of 151 frames (11 snippets)",
    ),
    (
        ["odd.npy", "--frames", "frames.csv", "--names", "few.csv"],
        "odd.npy: holds 100 scores, the 2 videos of the list",
    ),
    (
        ["odd.npy", "--frames", "frames.csv", "--names", "crops.csv"],
        "crops.csv: has 2 rows for x/a, as lists of crops do (4 rows of 2 videos); give --names a list with one row a",
    ),
    (["odd.npy", "--frames", "frames.csv", "--names", "unknown.csv"], "unknown.csv: z is none of the 3 videos"),
    (["truth.txt", "--frames", "frames.csv"], "truth.txt: cannot be read as an array: it is no .npy or .npz file"),
    (["columns.csv", "--frames", "frames.csv"], "the column 'colour' is not known here"),
    (["scores", "--frames", "frames.csv", "--out", "store"], "is a feature store"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_bad_input_is_one_sentence_and_nothing_is_written(run_cli, place, given, message):
    in_files(np.save)
    np.save("odd.npy", np.zeros(100))
    for name, text in {
        "minus.csv": "a,-3\n", "twice.csv": "a,3\na,4\n", "rate.csv": "a,3,fast\n", "strange.csv": "z,3\n",
        "few.csv": "a,30\nb,30\n", "unknown.csv": "a\nz\n", "columns.csv": "video,frame,score,colour\nb,0,1,red\n",
    }.items():  # fmt: skip
        Path(name).write_text(text)
    Path("crops.csv").write_text("path,label\n" + "".join(f"/f/{v}__{k}.npy,Abuse\n" for v in "ab" for k in (0, 5)))
    Path("store").mkdir()
    Path("store/store.json").write_text("{}")
    code, _, err = run_cli("import-scores", *given, *([] if "--out" in given else ["--out", "results"]))
    assert code == 2 and message in err and "Traceback" not in err
    assert not Path("results").exists()


def test_lengths_in_the_list_cut_what_is_ambiguous(run_cli, place):
    np.save("all.npy", np.concatenate([np.full(4, 0.1), np.full(3, 0.2), np.full(2, 0.3)]))
    Path("names.csv").write_text("a,4\nb,3\nn,2\n")
    code, _, err = run_cli("import-scores", "all.npy", "--names", "names.csv", "--frames", "frames.csv", "--out", "r")
    assert code == 0, err
    assert {c.video_id: round(float(c.scores[0]), 3) for c in Results("r")} == {"x/a": 0.1, "b": 0.2, "n": 0.3}


def test_a_store_knows_frames_times_and_files(run_cli, place, labelled):
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    store, _ = labelled
    with EmbeddingStore(store) as opened:
        entry = opened.entries()[0]
        stored = opened.get(entry)
    Path("scores").mkdir()
    np.save(f"scores/{entry.video}.npy", np.linspace(0, 1, entry.n_snippets))
    given = ["import-scores", "scores", "--store", store, "--catalogue", "index.sqlite", "--out", "results"]
    code, out, err = run_cli(*given)
    assert code == 0 and "19 without scores" in out and Path("index.sqlite").exists(), err
    (curve,) = Results("results")
    assert (curve.frame_seconds == stored.frame_seconds).all() and curve.fps == stored.fps
    assert curve.source == entry.source and curve.scores[16] == curve.scores[31] > curve.scores[15]
    code, _, err = run_cli("detect", "--store", store, "--checkpoint", "none.pth", "--out", "results")
    assert code == 2


@pytest.mark.long
def test_the_real_lists_and_annotations(run_cli, place, shared):
    """Perfect scores of all of UCF-Crime's test videos, as a test script saves them, have an AUC of 1, constant 0.5."""
    folder = shared / "annotations"
    held = np.load(folder / "frame_truth_ucf.npz")
    truth = np.unpackbits(held["truth"])[: int(held["n_frames"])]
    counts = [line.split("|")[:2] for line in (folder / "ucf_frame_counts_anomaly.txt").read_text().splitlines()]
    normal = (folder / "ucf_frame_counts_normal.txt").read_text().splitlines()
    counts += [line.rsplit(maxsplit=2)[:2] for line in normal]
    decoded = "".join(f"{Path(name).name},{int(count) - 1}\n" for name, count in counts)
    Path("decoded.csv").write_text(f"video,frames\n{decoded}")
    names = folder / "ucf_CLIP_rgbtest.csv"
    truth_options = ["--annotations", folder / "Temporal_Anomaly_Annotation.txt", "--format", "ucf-crime"]
    for scores, auc in ((truth, 1), (np.full(len(truth), 0.5), 0.5)):
        np.save("all.npy", scores)
        code, out, err = run_cli("import-scores", "all.npy", "--names", names, "--frames", "decoded.csv", "--out", "r")
        assert code == 0 and "290 ok" in out, err
        code, _, err = run_cli("evaluate", "r", *truth_options, "--protocol", "official", "--bootstrap", 0)
        found = json.loads(Path("r/evaluation.json").read_text())
        assert code == 0 and (found["auc"], found["n_frames"]) == (auc, 1_109_680), err
