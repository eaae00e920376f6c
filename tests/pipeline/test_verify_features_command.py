"""verify-features: what `store export` writes is identical, one changed option is named, bad input is said."""

import json
import shutil

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_video):
    """Two videos of 110 frames."""
    folder = tmp_path_factory.mktemp("archive")
    for seed in (0, 1):
        make_video(folder / "raw" / "cam" / f"v{seed}.mp4", n_frames=110, width=160, height=120, seed=seed)
    return folder


@pytest.fixture
def exported(archive, run_cli, small_model):
    """exported(*options) -> the folder `store export` wrote of features extracted by these options."""

    def export(*options):
        name = "_".join(map(str, options)).replace("/", "") or "plain"
        tower = ("--model", small_model, "--pretrained", "random:0")
        if not (archive / name).exists():
            assert run_cli("extract", archive / "raw", "--store", archive / f"S{name}", *tower, *options)[0] == 0
            assert run_cli("store", "export", archive / name, "--store", archive / f"S{name}")[0] == 0
        return archive / name

    return export


@pytest.fixture
def verify(archive, run_cli, small_model):
    def run(*arguments):
        return run_cli("verify-features", *arguments, "--model", small_model, "--pretrained", "random:0")

    return run


def test_an_export_comes_back_as_identical(archive, exported, verify):
    video = archive / "raw" / "cam" / "v0.mp4"
    code, out, err = verify(video, exported() / "cam" / "v0__5.npy")
    assert code == 0 and "verdict: identical" in out and "differs" not in out and "random" in err
    assert "extract VIDEO --like vadclip --crops 5 --model local-dir:" in out  # the crop is in the file's name


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            ("--geometry", "clip"),
            ["geometry: yours vadclip, released clip", "--like vadclip --geometry clip --crops 0"],
        ),
        (("--frames-per-snippet", "4"), ["frames: yours mean of 16, released mean of 4", "--frames-per-snippet 4"]),
        (("--tail", "keep"), ["7 released rows", "--tail keep"]),
    ],
)
def test_one_changed_option_is_named(archive, exported, verify, tmp_path, options, named):
    (features,) = sorted((exported(*options) / "cam").glob("v1__[03].npy"))
    (tmp_path / "released.npy").write_bytes(features.read_bytes())  # whose name says nothing
    code, out, _ = verify(archive / "raw" / "cam" / "v1.mp4", tmp_path / "released.npy", "--like", "vadclip")
    assert code == 0 and "verdict: identical" in out
    assert all(words in out for words in named), out


def test_a_device_that_fails_ends_the_run(archive, exported, verify, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("vad_pipeline.extract.verify.identify.identify", fail)
    code, _, err = verify(archive / "raw", exported() / "list.csv", "--like", "quick")
    assert code == 3 and err.count("the GPU is out of memory") == 1


def test_a_list_of_many(archive, exported, verify):
    code, out, err = verify(archive / "raw", exported() / "list.csv", "--like", "quick", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["video"] for row in rows] == ["cam/v0", "cam/v0", "cam/v1", "cam/v1"]
    assert {row["verdict"] for row in rows} == {"identical"}
    assert all(row["differs"]["frames"] == {"yours": "middle", "released": "mean of 16"} for row in rows)
    assert [row["best"][0]["setting"]["crop"] for row in rows] == ["0", "5", "0", "5"]
    assert all(row["best"][0]["error"] == 0 < row["best"][1]["error"] for row in rows)


def test_what_extract_has_no_option_for(archive, exported, verify, tmp_path):
    values = np.load(exported() / "cam" / "v0__0.npy").astype(np.float32)
    np.save(tmp_path / "unit.npy", values / np.linalg.norm(values, axis=1, keepdims=True))
    code, out, _ = verify(archive / "raw" / "cam" / "v0.mp4", tmp_path / "unit.npy")
    assert code == 0 and "normalised: yours no, released snippets" in out
    assert "extract has no option for normalised; nearest: vad-pipeline extract VIDEO --like vadclip --crops 0" in out


def test_a_file_that_was_cut(archive, exported, verify, tmp_path):
    np.save(tmp_path / "cut.npy", np.load(exported() / "cam" / "v0__0.npy")[:3])
    code, out, _ = verify(archive / "raw" / "cam" / "v0.mp4", tmp_path / "cut.npy")
    assert code == 0 and "verdict: identical" in out and "the numbers of rows differ" in out


def test_features_of_another_video_are_something_else(archive, exported, verify, tmp_path):
    code, out, _ = verify(archive / "raw" / "cam" / "v0.mp4", exported() / "cam" / "v1__0.npy")
    assert code == 1 and "verdict: something else" in out


def test_where_nothing_fits_that_is_all_that_is_said(archive, verify, tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).standard_normal((6, 512)).astype(np.float32))
    video = archive / "raw" / "cam" / "v0.mp4"
    code, out, _ = verify(video, tmp_path / "noise.npy")
    assert code == 1 and len(out.splitlines()) == 2 and "vad-pipeline" not in out, out
    assert "verdict: something else: nothing fits (the best mean cosine is 0." in out
    code, out, _ = verify(video, tmp_path / "noise.npy", "--json")
    row = json.loads(out)
    assert code == 1 and (row["differs"], row["unsettled"], row["best"]) == ({}, {}, [])


def test_bad_input_is_one_sentence_and_costs_no_other_file(archive, exported, verify, tmp_path):
    video, good = archive / "raw" / "cam" / "v0.mp4", exported() / "cam" / "v0__0.npy"
    arrays = {
        "width": (np.zeros((9, 768), np.float32), "expected floats of shape (snippets, 512), got float32 (9, 768)"),
        "rows": (np.ones((70, 512), np.float32), "has 70 rows, the video's 110 frames give"),
        "nan": (np.full((9, 512), np.nan, np.float32), "holds values that are not finite"),
    }
    for name, (values, words) in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
        code, out, err = verify(video, tmp_path / f"{name}.npy")
        assert code == 1 and words in err and "Traceback" not in err and not out, name
    (tmp_path / "list.csv").write_text(f"{tmp_path}/nan/cam/v1.npy,\n{good},\nelsewhere/cam/v7.npy,\n")
    code, out, err = verify(archive / "raw", tmp_path / "list.csv")
    assert code == 1 and out.count("verdict: identical") == 1
    assert "failed" in err and "cam/v1.npy: listed, but not there" in err
    for name in ("v0.mp4", "twice.mp4", "twice.mov"):
        shutil.copy(video, tmp_path / name)
    code, out, err = verify(
        *(tmp_path / name for name in ("v0.mp4", "twice.mp4", "twice.mov")), exported() / "list.csv"
    )
    assert code == 1 and out.count("verdict: identical") == 2 and err.count("failed: ") == 2 and "twice" in err
    for arguments, words in [
        ((video,), "give VIDEO and RELEASED.npy"),
        ((video, tmp_path / "none.npy"), "no such file; the last argument is"),
        ((archive / "raw", good), "features of one video, but 2 videos are given"),
        ((video, good, "--crops", "0,5"), "a features file is of one crop"),
        ((archive / "raw" / "cam" / "v9.mp4", good), "v9.mp4"),
    ]:
        code, out, err = verify(*arguments)
        assert code in (1, 2) and words in err and "Traceback" not in err and not out, words
