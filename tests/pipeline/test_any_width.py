"""From features of any width to figures: 128 wide of a tower of one's own, 768 and 2048 wide from elsewhere."""

import json

import numpy as np
import pytest
from small_network import shrink

from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.checkpoint import load_checkpoint

ONE_STEP = ("--steps", 1, "--batch-size", 2, "--window-len", 16, "--device", "cpu")
N = 4  # videos of each kind
MINE = """
from torch import nn

class Mine(nn.Module):
    def __init__(self, width, categories):
        super().__init__()
        self.score = nn.Linear(width, 1)
    def forward(self, features, lengths):
        return self.score(features), None
"""


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    shrink(monkeypatch.setattr)


def write_list(folder, width, *, kinds=("Normal", "Fighting"), axes=(40, 5)):
    """Arrays (snippets, crops, D), and their list."""
    rows = ["path,label"]
    for index in range(N * len(kinds)):
        kind = kinds[index % len(kinds)]
        values = np.random.default_rng(index).standard_normal((*axes, width)).astype(np.float16)
        np.save(folder / f"v{index}.npy", values + np.float16(kind != "Normal"))
        rows.append(f"v{index}.npy,{kind}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


def write_truth(folder, ids):
    rows = [f"{name},0,8,Fighting" if int(name[1:]) % 2 else f"{name},,," for name in ids]
    (folder / "truth.csv").write_text("\n".join(["video,start_frame,end_frame,category", *rows]))
    return ("--annotations", folder / "truth.csv", "--format", "csv")


def imported_id(store):
    with EmbeddingStore(store) as opened:
        return opened.entries()[0].recipe_id


def test_footage_through_a_tower_of_ones_own(narrow_model, make_video, run_cli, tmp_path):
    for index in range(2 * N):
        make_video(tmp_path / "raw" / f"v{index}.mp4", n_frames=20, seed=index)
    store, own = ("--store", tmp_path / "S"), ("--model", narrow_model)
    weights = ("--pretrained", "random:0")
    code, _, err = run_cli("extract", tmp_path / "raw", *store, *own, *weights, "--like", "quick", "--device", "cpu")
    assert code == 0, err
    labels = tmp_path / "labels.csv"
    labels.write_text("video,label\n" + "".join(f"v{i},{'Fighting' if i % 2 else 'Normal'}\n" for i in range(2 * N)))
    code, _, err = run_cli("train", labels, *store, "--out", tmp_path / "run", *own, *weights, *ONE_STEP)
    assert code == 0, err
    checkpoint = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert checkpoint.config.width == checkpoint.recipe.width == 128
    code, out, err = run_cli("detect", *store, "--checkpoint", checkpoint.path, "--out", tmp_path / "out")
    assert code == 0 and "8 ok" in out, err
    code, _, err = run_cli(
        "evaluate", tmp_path / "out", "--bootstrap", 0, *write_truth(tmp_path, [f"v{i}" for i in range(2 * N)])
    )
    assert code == 0, err
    code, out, err = run_cli("search", "people fighting", *store, *own, "--json", "--top", 2)
    assert code == 0 and len(out.splitlines()) == 2, err
    (tmp_path / "categories.csv").write_text("Normal,calm\nFighting,people fighting\n")
    texts = ("--zero-shot", "--categories", tmp_path / "categories.csv")
    code, out, err = run_cli("detect", *store, *texts, *own, "--out", tmp_path / "by_text")
    assert code == 0 and "8 ok" in out, err
    make_video(tmp_path / "more" / "w.mp4", n_frames=20)  # the checkpoint knows how its features are made
    given = ("--checkpoint", checkpoint.path, "--out", tmp_path / "out", *own)
    code, out, err = run_cli("detect", tmp_path / "more", *store, *given, "--device", "cpu")
    assert code == 0 and "1 ok" in out, err


def test_wide_features_from_elsewhere(run_cli, tmp_path):
    listed, store = write_list(tmp_path, 2048), ("--store", tmp_path / "S")
    code, _, err = run_cli("store", "import", listed, *store)
    assert code == 1 and err.count("2048 values a snippet where ViT-B-16-quickgelu gives 512; name what made") == 2 * N
    code, out, err = run_cli("store", "import", listed, *store, "--encoder", "i3d")
    assert code == 0 and "8 videos imported" in out and "nothing can read text for its features" in err
    with EmbeddingStore(tmp_path / "S") as opened:
        (recipe,) = {entry.recipe for entry in opened.entries()}
        assert opened.get(opened.entries()[0]).features.shape == (5, 40, 2048)
    assert (json.loads(recipe)["width"], json.loads(recipe)["model"]) == (2048, "i3d")
    assert run_cli("store", "verify", *store)[0] == 0
    code, _, err = run_cli("search", "people fighting", *store)
    assert code == 2 and "made by i3d, which is no model of open_clip's" in err
    code, out, err = run_cli("search", "--example", "v3@0.1", *store, "--json", "--top", 1)
    assert code == 0 and json.loads(out)["video"] == "v3", err
    code, _, err = run_cli("train", listed, *store, "--out", tmp_path / "run", *ONE_STEP)
    assert code == 2 and "made by i3d, which is no model of open_clip's: this head reads categories" in err
    tower = ("--pretrained", "random:0")
    code, _, err = run_cli("train", listed, *store, "--out", tmp_path / "run", *ONE_STEP, *tower)
    assert code == 2 and "random:0: holds no text tower as CLIP's that is 2048 wide, as the features are" in err
    code, _, err = run_cli("train", listed, *store, "--out", tmp_path / "run", *ONE_STEP, "--head", "mil")
    assert code == 0, err
    checkpoint = ("--checkpoint", tmp_path / "run" / "best.safetensors")
    code, out, err = run_cli("detect", *store, *checkpoint, "--out", tmp_path / "out")
    assert code == 0 and "8 ok" in out, err
    truth = write_truth(tmp_path, [f"v{i}" for i in range(2 * N)])
    code, _, err = run_cli("evaluate", tmp_path / "out", "--bootstrap", 0, *truth)
    assert code == 0, err
    (tmp_path / "mine.py").write_text(MINE)
    own = ("--head", f"{tmp_path / 'mine.py'}:Mine")
    code, _, err = run_cli("train", listed, *store, "--out", tmp_path / "mine", *ONE_STEP, *own)
    assert code == 0, err
    scored = ("--checkpoint", tmp_path / "mine" / "best.safetensors", *own)
    code, out, err = run_cli("detect", *store, *scored, "--out", tmp_path / "by_mine")
    assert code == 0 and "8 ok" in out, err
    narrow = ("store", "import", write_list(tmp_path, 768), "--store", tmp_path / "T", "--encoder", "ViT-L-14")
    assert run_cli(*narrow)[0] == 0
    code, _, err = run_cli("detect", "--store", tmp_path / "T", *checkpoint, "--out", tmp_path / "other")
    assert code == 2 and "store import LIST.csv --store" in err and "--encoder i3d" in err
    code, _, err = run_cli(
        "detect", "--store", tmp_path / "T", *checkpoint, "--out", tmp_path / "other", "--any-recipe"
    )
    assert code == 2 and "its features are 768 wide (ViT-L-14), the checkpoint takes 2048" in err
    init = ("--init", checkpoint[1], "--recipe", imported_id(tmp_path / "T"))
    code, _, err = run_cli("train", listed, "--store", tmp_path / "T", "--out", tmp_path / "run2", *ONE_STEP, *init)
    assert code == 2 and "is for features 2048 wide, those of recipe" in err
    code, out, err = run_cli("store", "export", tmp_path / "exported", *store)
    assert code == 0 and np.load(tmp_path / "exported" / "Fighting" / "v1__4.npy").shape == (40, 2048), err
