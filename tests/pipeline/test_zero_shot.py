"""detect --zero-shot: a first curve from text alone, and marked as uncalibrated wherever it goes."""

import csv
import json
from dataclasses import replace
from fractions import Fraction

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.files import SourceFile
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.text_search import text_embeddings

CALM, EMPTY, FIGHT, FIRE = "people waiting for a train", "an empty platform", "people fighting", "a fire"
N = 30


@pytest.fixture(scope="module")
def texts(reading_model) -> np.ndarray:
    return text_embeddings([CALM, EMPTY, FIGHT, FIRE], pretrained="random:0", model=reading_model, identity="random:0")


@pytest.fixture
def detect(run_cli, tmp_path, reading_model, texts):
    """detect(*arguments): a video that is calm, fights in snippets 10 to 14, and burns in 20 to 22."""
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(reading_model), weights="random:0")
    rows = np.tile(texts[0], (N, 1)) * 7
    rows[5:8] = texts[1]
    rows[10:15], rows[20:23] = texts[2] * 3, texts[3]
    rows[25] = 1.01 * texts[0] + texts[2]
    edges = np.arange(N + 1) * 0.64
    spans = np.stack([edges[:-1], edges[1:]], 1)
    item = VideoEmbeddings("v", rows[None], (0,), spans, np.arange(16 * N) / 25, Fraction(25), recipe, None)
    with EmbeddingStore(tmp_path / "S", create=True) as store:
        store.put(item, source=SourceFile("v.mp4", 1, 1), content="", precision="fp32", runtime="test")
    (tmp_path / "categories.csv").write_text(f"Normal,{CALM},{EMPTY}\nFighting,{FIGHT}\nFire,{FIRE}\n")
    fixed = ("--store", tmp_path / "S", "--out", tmp_path / "out", "--zero-shot", "--model", reading_model)
    return lambda *more: run_cli("detect", *fixed, "--categories", tmp_path / "categories.csv", *more)


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
def test_a_first_curve_from_text_alone(detect, run_cli, tmp_path, texts, workers):
    code, out, err = detect("--csv", *workers)
    assert code == 0 and "UNCALIBRATED" in err and "1 ok" in out, err
    (shard,) = (tmp_path / "out" / "curves").glob("*.h5")
    with h5py.File(shard) as file:
        (node,) = file["videos"].values()
        score, category = node["score"][()][::16], node["category"][()]
        assert not node.attrs["calibrated"] and list(node.attrs["categories"]) == ["Normal", "Fighting", "Fire"]
    snippets = np.stack([*texts, 1.01 * texts[0] + texts[2]]).astype(np.float16).astype(np.float64)
    snippets /= np.linalg.norm(snippets, axis=1, keepdims=True)
    share = np.exp(100 * (snippets @ texts.T.astype(np.float64)))
    expected = share[:, 2:].sum(axis=1) / share.sum(axis=1)
    assert score[[0, 5, 10, 20, 25]] == pytest.approx(expected, abs=5e-3) and 0.1 < score[25] < 0.5
    assert category.sum(axis=1) == pytest.approx(np.ones(N), abs=1e-5)
    assert category[10].argmax() == 1 and category[20].argmax() == 2 and category[5].argmax() == 0
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert [(e["category"], e["start_frame"], e["end_frame"], e["calibrated"]) for e in events] == [
        ("Fighting", 160, 240, False),
        ("Fire", 320, 368, False),
    ]
    with (tmp_path / "out" / "curves" / "v.csv").open() as file:
        assert next(csv.reader(file))[2] == "uncalibrated_score"
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["calibrated"] is False and record["preset"] == "zero-shot"
    assert "1 cached" in detect("--csv")[1]
    (tmp_path / "truth.csv").write_text("video,start_frame,end_frame,category\nv,160,240,Fighting\n")
    arguments = ("--annotations", tmp_path / "truth.csv", "--format", "csv", "--bootstrap", "0")
    code, _, err = run_cli("evaluate", tmp_path / "out", *arguments)
    assert code == 0 and "UNCALIBRATED" in err


def test_footage_is_extracted_first(run_cli, tmp_path, make_video, reading_model):
    make_video(tmp_path / "raw" / "a.mp4", n_frames=48)
    (tmp_path / "categories.csv").write_text(f"Normal,{CALM}\nFire,{FIRE}\n")
    given = ("detect", tmp_path / "raw", "--store", tmp_path / "S", "--out", tmp_path / "out", "--zero-shot")
    given += ("--categories", tmp_path / "categories.csv", "--model", reading_model, "--pretrained", "random:0")
    code, out, err = run_cli(*given, "--device", "cpu", "--crop", 5)
    assert code == 0 and out.count("1 ok") == 2 and "UNCALIBRATED" in err and "random:0 are random" in err, err
    code, out, _ = run_cli(*given, "--device", "cpu", "--crop", 5)
    assert code == 0 and out.count("1 cached") == 2
    with EmbeddingStore(tmp_path / "S") as store:
        assert [entry.crop_numbers for entry in store.entries()] == [(5,)]


def test_random_weights_are_told(detect):
    assert "note: weights random:0 are random: scores from them say nothing" in detect()[2]


def test_other_descriptions_are_another_run(detect, tmp_path):
    detect()
    (tmp_path / "categories.csv").write_text(f"Normal,{CALM}\nFire,{FIRE}\n")
    code, _, err = detect()
    assert code == 2 and "another checkpoint" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--checkpoint", "x.pth"), "--zero-shot with --categories"),
        (("--crop", "3"), "crop 3 is not held"),
        (("--pretrained", "random:1"), "other weights"),
        (("--recipe", "zz"), "must name one"),
    ],
)
def test_what_makes_no_sense(detect, arguments, words):
    code, _, err = detect(*arguments)
    assert code == 2 and words in err and "Traceback" not in err


def test_neither_checkpoint_nor_text(run_cli, tmp_path):
    code, _, err = run_cli("detect", "--store", tmp_path / "S", "--out", tmp_path / "out")
    assert code == 2 and "--checkpoint" in err
    code, _, err = run_cli("detect", "--store", tmp_path / "S", "--out", tmp_path / "out", "--zero-shot")
    assert code == 2 and "--categories" in err
