"""--precision int8 through the commands: calibrated before workers start, told wherever such features are used."""

import json
from dataclasses import replace

import pytest
from seeded import seeded_checkpoint

from vad_pipeline.extract.embed import int8_tower
from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.recipe import NAMED_RECIPES


@pytest.fixture
def run(run_cli, tmp_path, toy_model, make_video):
    """run(command, *arguments) on two short videos, with the toy tower."""
    for number in range(2):
        make_video(tmp_path / "raw" / f"{number}.mp4", n_frames=160, seed=number)

    def run(command, *arguments):
        fixed = ("--store", tmp_path / "S", "--model", toy_model, "--pretrained", "random:0", "--device", "cpu")
        like = ("--like", "quick") if command == "extract" else ()
        return run_cli(command, tmp_path / "raw", *fixed, *like, *arguments)

    return run


def test_int8_from_extract_to_figures(run, run_cli, tmp_path, toy_model):
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    code, _, err = run("extract", "--runtime", "auto", "--precision", "int8")
    assert code == 2 and "--accept-deviation" in err, "random weights: int8 shows"
    asked = ("--runtime", "auto", "--precision", "int8", "--accept-deviation")
    code, out, err = run("extract", *asked, "--workers", 2)
    assert code == 0 and "2 ok" in out and "int8 tower, calibrated on 64 images of 2 videos" in err
    code, out, err = run("extract", *asked)
    assert code == 0 and "2 cached" in out and "calibrated" not in err
    recipe = NAMED_RECIPES["quick"].recipe
    checkpoint = tmp_path / "seeded.safetensors"
    recipe = replace(recipe, model=model_identity(toy_model), weights="random:0")
    seeded_checkpoint(checkpoint, preset="ucf-crime", recipe=recipe, crop=0, seed=0)
    run_cli("detect", "--store", tmp_path / "S", "--checkpoint", checkpoint, "--out", tmp_path / "R")
    assert json.loads((tmp_path / "R" / "run.json").read_text())["int8_share"] == 1
    code, _, err = run_cli("detect", "--store", tmp_path / "S", "--checkpoint", checkpoint, "--out", tmp_path / "R")
    assert code == 0 and "features of 2 of 2 videos were made in int8" in err
    code, _, err = run("detect", "--checkpoint", checkpoint, "--out", tmp_path / "R", *asked)
    assert code == 0 and "note: int8 moves scores by up to 0." in err and "on 64 pictures" in err
    (tmp_path / "truth.csv").write_text("video,category,start_seconds,end_seconds\n0,Abuse,0,2\n1,Normal,,\n")
    _, _, err = run_cli(
        "evaluate", tmp_path / "R", "--annotations", tmp_path / "truth.csv", "--format", "csv", "--allow-missing"
    )
    assert "100% of the videos have features made in int8" in err
    code, out, _ = run("extract", "--precision", "fp32", "--runtime", "torch")
    assert code == 0 and "2 ok" in out, "int8 answers for no other precision"
    code, out, _ = run("extract", *asked)
    assert code == 0 and "2 cached" in out, "full precision answers for int8"


def test_a_dry_run_says_what_int8_would_save(run, monkeypatch):
    monkeypatch.setattr(int8_tower, "speed_up", lambda: 2.7)
    code, out, _ = run("extract", "--dry-run", "--runtime", "torch")
    assert code == 0 and "--precision int8 embeds 2.7 times as fast here" in out
    monkeypatch.setattr(int8_tower, "speed_up", lambda: 1.1)
    assert "--precision int8" not in run("extract", "--dry-run", "--runtime", "torch")[1]


def test_int8_scores_nothing(run_cli, tmp_path):
    code, _, err = run_cli("detect", "--checkpoint", tmp_path / "C", "--out", tmp_path / "R", "--precision", "int8")
    assert code == 2 and "give SRC" in err
