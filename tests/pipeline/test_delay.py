"""Scored as live, from features that are stored: `evaluate --delay` and `detect --delay`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.stored import read_entry, stored_video
from vad_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS, DSANet
from vad_pipeline.model.live import replayed
from vad_pipeline.model.scoring import Scorer
from vad_pipeline.pipeline.results.folder import Results

SOME = ("a1", "a4", "n0", "n7")


@pytest.fixture
def given(labelled, tmp_path):
    """Options that name the store and a checkpoint with windows of 16 snippets, which no video fills."""
    path = tmp_path / "seeded.safetensors"
    config = replace(PRESETS["ucf-crime"], layers=1, window_len=16)
    torch.manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(len(config.categories), config.width), dim=-1)
    recipe = NAMED_RECIPES["vadclip"].recipe
    made = Checkpoint("ucf-crime", config, DSANet(config), text, config.categories, recipe, None, 5, 0.5, "", path)
    made.save(path)
    return ("--store", labelled[0], "--checkpoint", path)


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text(
        "video,start_frame,end_frame,category\na1,32,64,Fighting\na4,32,70,Explosion\nn0,,,Normal\nn7,,,Normal\n"
    )
    return ("--annotations", path, "--format", "csv")


def test_what_each_delay_costs(run_cli, given, truth, tmp_path):
    arguments = ("evaluate", *given, *truth, "--delay", "4,0,15,4")
    code, out, err = run_cli(*arguments, "--out", tmp_path / "delays")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == ["delay", "0", "4", "15", "offline"]
    written = json.loads((tmp_path / "delays" / "delay.json").read_text())
    live, offline = written["delays"][:-1], written["delays"][-1]
    assert [each["delay"] for each in live] == [0, 4, 15] and offline["delay"] is None and written["n_videos"] == 4
    assert live[1]["delay_seconds"] == pytest.approx(4 * 16 / 30)
    assert (live[2]["auc"], live[2]["ap"]) == (offline["auc"], offline["ap"]), "videos shorter than the delay"
    assert live[0]["auc"] != offline["auc"] and "only 0.0" in err and "h of normal videos" in err
    assert (tmp_path / "delays" / "delay.png").read_bytes().startswith(b"\x89PNG")
    first = (tmp_path / "delays" / "delay.json").read_bytes()
    assert run_cli(*arguments, "--out", tmp_path / "again")[:2] == (0, out)
    assert (tmp_path / "again" / "delay.json").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("results",), "--delay replays the features of --store: leave RESULTS out"),
        (("--threshold", "0.5"), "--delay replays the features of --store: leave --threshold out"),
        (("--delay", "16"), "--delay 16: expected 0 to 15 snippets"),
        (("--delay", "two"), "'two' is not a list of numbers"),
    ],
)
def test_what_is_refused(run_cli, given, truth, change, message):
    code, _, err = run_cli("evaluate", *given, *truth, "--delay", "0", *change)
    assert code == 2 and message in err and "Traceback" not in err
    for arguments, message in (
        ((*given[:2], *truth, "--delay", "0"), "--delay replays a store: give --checkpoint FILE"),
        ((*given, *truth, "results"), "--store is for --delay: leave it out"),
        ((*truth,), "Missing argument 'RESULTS...'"),
    ):
        code, _, err = run_cli("evaluate", *arguments)
        assert code == 2 and message in err


def test_names_without_features_are_told(run_cli, given, truth):
    truth[1].write_text(truth[1].read_text() + "gone,,,Normal\n")
    arguments = ("evaluate", *given, *truth, "--delay", "0")
    code, out, err = run_cli(*arguments)
    assert code == 1 and "missing: 1 listed name matches no video: gone" in err and "offline" in out
    assert run_cli(*arguments, "--allow-missing")[0] == 0
    truth[1].write_text("video,start_frame,end_frame,category\ngone,,,Normal\n")
    code, _, err = run_cli(*arguments)
    assert code == 2 and "names no video that" in err


def test_detect_writes_such_curves_and_keeps_delays_apart(run_cli, given, labelled, tmp_path):
    chosen = [word for name in SOME for word in ("--match", name)]
    arguments = ("detect", *given, *chosen, "--out", tmp_path / "live", "--device", "cpu")
    code, out, err = run_cli(*arguments, "--delay", "2")
    assert code == 0 and "4 ok" in out, err
    assert json.loads((tmp_path / "live" / "run.json").read_text())["delay"] == 2
    checkpoint = load_checkpoint(given[3])
    with EmbeddingStore(labelled[0]) as store:
        entries = {entry.video: entry for entry in store.entries()}
        for curve in Results.open(tmp_path / "live"):
            entry = entries[curve.video_id]
            features = read_entry(store.shards, entry, lambda node, entry=entry: stored_video(entry, node, crop=5))
            expected = replayed(Scorer(checkpoint), features.features[0], [2])[0]
            assert np.array_equal(curve.scores[::16], expected.anomaly)
    assert run_cli(*arguments, "--delay", "2")[1].startswith("0 ok, 4 cached")
    code, _, err = run_cli(*arguments, "--delay", "3")
    assert code == 2 and "holds results of another delay (2); give another --out or delete it" in err
    code, _, err = run_cli(*arguments)
    assert code == 2 and "holds results of another delay (2)" in err
    whole = (*arguments[:-3], tmp_path / "whole", *arguments[-2:])
    assert run_cli(*whole)[0] == 0
    code, _, err = run_cli(*whole, "--delay", "2")
    assert code == 2 and "holds results of videos scored whole, without --delay" in err
    code, _, err = run_cli(*whole, "--delay", "16")
    assert code == 2 and "--delay 16: expected 0 to 15" in err
