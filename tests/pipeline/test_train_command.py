"""train, as users run it: what it writes, what it goes on from, what it says of bad input."""

import csv
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from small_network import shrink, start

from vad_pipeline.model.checkpoint import load_checkpoint
from vad_pipeline.model.learning.losses import LOSSES
from vad_pipeline.pipeline.train.run_folder import TrainRun

# before torch 2.8 what it raises then is a plain RuntimeError
DEVICE_GONE = getattr(torch, "AcceleratorError", lambda words, code: RuntimeError(words))

SMALL = ("--batch-size", 3, "--window-len", 16, "--lr", 1e-4, "--device", "cpu", "--val-share", 0.2)
N_STEPS = 6


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    shrink(monkeypatch.setattr)


def arguments(labelled, text_tower, out, *more) -> list:
    store, labels = labelled
    return ["train", labels, "--store", store, "--out", out, "--pretrained", text_tower, *SMALL, *more]


@pytest.fixture(scope="module")
def trained(labelled, text_tower, tmp_path_factory):
    """RUN of an uninterrupted run in a process of its own, and what it printed."""
    out = tmp_path_factory.mktemp("trained") / "run"
    done = start(arguments(labelled, text_tower, out, "--steps", N_STEPS))
    printed, errors = done.communicate()
    assert done.returncode == 0, errors
    return out, printed, errors


def rows_of(run: Path) -> list[dict]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_holds_what_the_contract_says(trained, labelled):
    run, printed, errors = trained
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "metrics.csv", "curves.png", "best.safetensors", "last.ckpt"}
    assert "val_video_auc" in printed and "next: vad-pipeline detect" in printed
    assert f"note: {N_STEPS} steps cannot finish a warm-up of 100: scaled to 1" in errors
    assert "no training video shows Abuse, Arrest" in errors
    config = json.loads((run / "config.json").read_text())
    assert config["versions"].keys() == {"vad-pipeline", "python", "torch", "numpy"}
    assert config["training"]["seed"] == 234 and config["threads"] >= 1
    assert len(config["data"]["fingerprint"]) == 64
    assert config["data"]["rows"] == 2 * config["data"]["videos"] == 2 * 16
    assert len(config["data"]["held_out"]) == 4
    rows = rows_of(run)
    assert [int(row["step"]) for row in rows] == list(range(1, N_STEPS + 1))
    assert all(float(row["mil"]) > 0 for row in rows)
    assert [row["val_video_auc"] != "" for row in rows] == [False] * 4 + [True, True]  # epochs of 5 steps


def test_the_checkpoint_detects(trained, labelled, run_cli, tmp_path):
    run = trained[0]
    checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.crop == 5 and checkpoint.config.window_len == 16
    assert 0 < checkpoint.threshold <= 1 and checkpoint.threshold != 0.5
    code, out, errors = run_cli(
        "detect", "--store", labelled[0], "--checkpoint", run / "best.safetensors", "--out", tmp_path / "results"
    )
    assert code == 0, errors
    assert json.loads((tmp_path / "results" / "run.json").read_text())["threshold"] == checkpoint.threshold


@pytest.mark.long
@pytest.mark.parametrize("kill_at", [(2,), (0, 1, 2, 3, 4)])
def test_killed_and_resumed_gives_the_same_bytes(trained, labelled, text_tower, tmp_path, kill_at):
    run = tmp_path / "run"
    rng = random.Random(5)
    given = arguments(labelled, text_tower, run, "--steps", N_STEPS, "--save-every", 0)
    kills = 0
    for step in kill_at:
        process = start(given)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline and steps_saved(run) < step:
            time.sleep(0.01)
        while process.poll() is None and not (run / "config.json").exists():
            time.sleep(0.01)  # killed before it has begun, there is nothing to resume
        time.sleep(rng.uniform(0, 1.0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        given = ["train", "--resume", run]
    process = start(given)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert kills >= max(1, len(kill_at) - 1), "the run was over before it could be killed"
    for name in ("best.safetensors", "metrics.csv"):
        assert (run / name).read_bytes() == (trained[0] / name).read_bytes(), name


def steps_saved(run: Path) -> int:
    try:
        return len(rows_of(run)) if (run / "last.ckpt").exists() else 0
    except FileNotFoundError:
        return 0


def test_a_finished_run_resumed_changes_nothing(trained, run_cli):
    before = (trained[0] / "best.safetensors").read_bytes()
    code, out, errors = run_cli("train", "--resume", trained[0], "--any-threads")
    assert code == 0, errors
    assert "threshold" in out and (trained[0] / "best.safetensors").read_bytes() == before


def test_resuming_with_something_else_lists_what_differs(trained, labelled, run_cli, tmp_path):
    run = trained[0]
    code, _, errors = run_cli("train", "--resume", run, "--lr", 1e-3, "--preset", "xd-violence", "--any-threads")
    assert code == 2
    assert "lr 0.001 instead of 0.0001" in errors and "preset xd-violence instead of ucf-crime" in errors
    threads = json.loads((run / "config.json").read_text())["threads"]
    code, _, errors = run_cli("train", "--resume", run, "--threads", 1 if threads > 1 else 2)
    torch.set_num_threads(threads)
    assert code == 2 and f"--threads {threads} gives the same weights" in errors
    code, _, errors = run_cli(*["train", labelled[1], "--store", labelled[0], "--out", run])
    assert code == 2 and "--resume" in errors
    code, _, errors = run_cli("train", "--resume", tmp_path)
    assert code == 2 and "no training run" in errors


def test_labels_that_changed_are_noticed(labelled, text_tower, run_cli, tmp_path):
    store, labels = labelled
    copied = tmp_path / "labels.csv"
    copied.write_text(labels.read_text())
    given = arguments((store, copied), text_tower, tmp_path / "run", "--steps", 1)
    assert run_cli(*given)[0] == 0
    copied.write_text(copied.read_text().replace("a0,Explosion", "a0,Fighting"))
    code, _, errors = run_cli("train", "--resume", tmp_path / "run", "--any-threads")
    assert code == 2 and "has changed since it was begun" in errors and "labels" in errors and "fingerprint" in errors


@pytest.mark.long
def test_several_seeds_own_loss_own_categories_and_init(trained, labelled, text_tower, run_cli, tmp_path, monkeypatch):
    """One run through many options, as each costs seconds."""
    tags, board = set(), SimpleNamespace(add_scalar=lambda tag, value, step: tags.add(tag), close=lambda: None)
    boards = SimpleNamespace(SummaryWriter=lambda *given, **more: board)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", boards)
    monkeypatch.setitem(sys.modules, "tensorboard", SimpleNamespace(__spec__=object()))
    (tmp_path / "mine.py").write_text("def calm(output, batch):\n    return output.anomaly_logits.square().mean()\n")
    categories = tmp_path / "own.yaml"
    categories.write_text("- Normal\n- {name: Explosion, descriptions: [explosion, a fire ball]}\n- fighting: brawl\n")
    own = ["--categories", categories, "--loss", f"{tmp_path / 'mine.py'}:calm=0.1", "--loss", "event=0"]
    init = trained[0] / "best.safetensors"
    given = arguments(labelled, text_tower, tmp_path / "run", *own, "--init", init, "--seeds", "1,2", "--steps", 1)
    code, out, errors = run_cli(*given, "--tensorboard")
    assert code == 0, errors
    assert "val_video_auc: " in out and "over 2 seeds" in out
    assert {"loss/mil", "loss/calm", "loss/total", "measure/val_video_auc", "rate/lr"} <= tags
    assert all((tmp_path / "run" / folder / "curves.png").exists() for folder in (".", "seed-1", "seed-2"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["runs"] == 2 and len(summary["measures"]["val_video_auc"]["values"]) == 2
    for seed in (1, 2):
        run = tmp_path / "run" / f"seed-{seed}"
        config = json.loads((run / "config.json").read_text())
        assert list(config["loss_files"].values()) and config["training"]["seed"] == seed
        assert load_checkpoint(run / "best.safetensors").categories == ("Normal", "Explosion", "fighting")
        (row,) = rows_of(run)
        assert "calm" in row and "event" not in row
        total = sum(float(row[name]) for name in ("mil", "text_separation", "background", "consistency", "gather"))
        assert float(row["total"]) == pytest.approx(
            total + 1.1 * float(row["align"]) + 0.1 * float(row["calm"]), rel=1e-5
        )
    first = (tmp_path / "run" / "seed-1" / "best.safetensors").read_bytes()
    assert first != (tmp_path / "run" / "seed-2" / "best.safetensors").read_bytes()


def test_select_test_is_said_loudly(labelled, text_tower, run_cli, tmp_path):
    store, labels = labelled
    rows = labels.read_text().splitlines()
    test = {"n8", "n9", "a8", "a9"}
    split = [f"{row},{'test' if row.split(',')[0] in test else 'train'}" for row in rows[1:]]
    (tmp_path / "labels.csv").write_text("\n".join(["video,label,split", *split]))
    truth = ["video,start_frame,end_frame,category", "n8,,,Normal", "n9,,,Normal"]
    truth += ["a8,32,64,Explosion", "a9,32,64,Fighting"]
    (tmp_path / "truth.csv").write_text("\n".join(truth))
    given = arguments((store, tmp_path / "labels.csv"), text_tower, tmp_path / "run", "--steps", 1, "--select", "test")
    code, _, errors = run_cli(*given)
    assert code == 2 and "--annotations" in errors
    code, out, errors = run_cli(*given, "--annotations", tmp_path / "truth.csv", "--format", "csv")
    assert code == 0, errors
    assert "WARNING: --select test picks the weights on the test set" in errors and "test_auc" in out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["select"] == "test" and config["data"]["videos"] == 16


BAD = {
    "no such label": ("video,label\nn0,Normal\na0,Exploding\n", (), 2, "'Exploding' (1 row)"),
    "no normal video": ("video,label\na0,Explosion\na1,Fighting\n", ("--allow-missing",), 2, "no normal video at all"),
    "normal videos alone": (
        "video,label\nn0,Normal\nn1,Normal\n",
        ("--allow-missing",),
        2,
        "no anomalous video at all",
    ),
    "no such video": ("video,label\nn0,Normal\na0,Explosion\nzz,Abuse\n", (), 1, "1 label without features: zz"),
    "no video column": ("name,label\nn0,Normal\n", (), 2, "needs a column `video` or `path`"),
    "two labels": ("video,label\nn0,Normal\nn0,Abuse\n", (), 2, "n0 has two different labels"),
    "normal and not": ("video,label\nn0,Normal|Abuse\n", (), 2, "normal and something else at once"),
    "no train split": ("video,label,split\nn0,Normal,test\n", (), 2, "no row is of split train; there are test"),
    "no such loss": (None, ("--loss", "events=0"), 2, "no such loss; DSANet's are mil, align"),
    "no such loss file": (None, ("--loss", "gone.py:mine=1"), 2, "no such file"),
    "a loss without number": (None, ("--loss", "mil=much"), 2, "expected NAME=WEIGHT"),
    "a negative loss": (None, ("--loss", "mil=-1"), 2, "loss weights must be 0 or more"),
    "epochs and steps": (None, ("--epochs", 1, "--steps", 2), 2, "exclude each other"),
    "no such crop": (None, ("--crop", 3), 2, "--crop 3: not held by every video (all hold [0, 5])"),
    "no such recipe": (None, ("--recipe", "abc"), 2, "--recipe must name one of its recipes"),
    "window": (None, ("--window-len", 12), 2, "--window-len must be a multiple of 8"),
    "share": (None, ("--val-share", 1), 2, "--val-share must be"),
    "no such init": (None, ("--init", "gone.pth"), 2, "gone.pth: no such file"),
    "seeds": (None, ("--seeds", "one"), 2, "not a list of numbers"),
    "lr 0": (None, ("--lr", 0), 2, "learning rate must be above 0, got 0"),
    "every loss off": (None, tuple(f"--loss={name}=0" for name in LOSSES), 2, "every loss is switched off"),
    "one seed twice": (None, ("--seeds", "1,1"), 2, "--seeds must be whole numbers from 0, each once"),
    "nothing left": (None, ("--val-share", 0.96), 2, "--val-share 0.96 leaves no normal or no anomalous video"),
    "threads": (None, ("--threads", 100000), 2, "100000 is not in the range"),
    "train and val": (
        "video,label,split\nn0,Normal,train\na0,Explosion,train\nn1,Normal,val\na0,Explosion,val\n",
        ("--allow-missing",),
        2,
        "1 video to train on is in the val split too (a0)",
    ),
    "val without features": (
        "video,label,split\nn0,Normal,train\na0,Explosion,train\nn1,Normal,val\nzz,Explosion,val\n",
        ("--allow-missing",),
        2,
        "its val split needs normal and anomalous videos",
    ),
    "no such tower": (None, ("--pretrained", "gone.pt"), 2, "--pretrained gone.pt: no such file"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_one_sentence(labelled, text_tower, run_cli, tmp_path, what):
    text, options, expected, message = BAD[what]
    store, labels = labelled
    if text is not None:
        labels = tmp_path / "labels.csv"
        labels.write_text(text)
    code, _, errors = run_cli(*arguments((store, labels), text_tower, tmp_path / "run", "--steps", 1, *options))
    assert (code, message in errors) == (expected, True), errors
    assert "Traceback" not in errors and not (tmp_path / "run" / "last.ckpt").exists()


def test_an_own_loss_that_fails_is_named(labelled, text_tower, run_cli, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\ndef raises(output, batch): return output.nothing\ndef wide(output, batch): return batch.labels\n"
        "def nan(output, batch): return output.anomaly_logits.mean() * float('nan')\n"
        "def leaves(output, batch): raise SystemExit(0)\n"
        "def constant(output, batch): return torch.tensor(1.0)\n"
        "def changes(output, batch): return output.anomaly_logits.exp_().mean()\n"
    )
    for name, code, message in (
        ("raises", 2, "raised AttributeError"),
        ("wide", 2, "must return a scalar float tensor"),
        ("nan", 3, "training diverged in step 1 (epoch 1): the loss nan is nan"),
        ("gone", 2, "cannot be loaded (AttributeError"),
        ("leaves", 2, "raised SystemExit"),
        ("constant", 2, "the losses do not depend on the network"),
        ("changes", 2, "an own loss or head must not change what it is given"),
        ("step", 2, "step has a meaning already"),
    ):
        given = arguments(labelled, text_tower, tmp_path / name, "--steps", 1, "--loss", f"{path}:{name}=1")
        given += [f"--loss={loss}=0" for loss in LOSSES] * (name == "constant")
        assert (result := run_cli(*given))[0] == code and message in result[2], result
    path.write_text("def broken(:\n")
    code, _, errors = run_cli(*arguments(labelled, text_tower, tmp_path / "b", "--loss", f"{path}:broken"))
    assert code == 2 and "cannot be loaded (SyntaxError" in errors


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory (CUDA out of memory.); train into a new folder"),
        pytest.param(DEVICE_GONE("CUDA error: gone", 1), "go on with --resume RUN", marks=pytest.mark.long),
        pytest.param(
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "go on with --resume RUN", marks=pytest.mark.long
        ),
    ],
)
def test_a_device_that_fails_ends_the_run(labelled, text_tower, run_cli, tmp_path, error, advice):
    """Wherever it does: here in the derivative of an own loss, whose other errors are its author's."""
    path, name = tmp_path / "mine.py", type(error).__name__
    path.write_text(
        "import torch\nfrom torch import OutOfMemoryError\n"
        "AcceleratorError = getattr(torch, 'AcceleratorError', None)\n"
        "class Fails(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(ctx, x): return x.clone()\n"
        f"    @staticmethod\n    def backward(ctx, g): raise {name}{error.args}\n"
        "def fails(output, batch): return Fails.apply(output.anomaly_logits.mean())\n"
    )
    given = arguments(labelled, text_tower, tmp_path / "run", "--steps", 1, "--loss", f"{path}:fails=1")
    code, _, errors = run_cli(*given)
    assert code == 3 and advice in errors and "Traceback" not in errors, errors


def test_terminated_saves_the_step_in_hand(labelled, text_tower, tmp_path):
    run = tmp_path / "run"
    process = start(arguments(labelled, text_tower, run, "--steps", 500))
    while process.poll() is None and steps_saved(run) < 5:  # the first epoch, whose end is the first best
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 143 and f"vad-pipeline train --resume {run} goes on" in errors
    assert "the same command goes on" not in errors
    state = torch.load(run / "last.ckpt", weights_only=True)
    assert state["step"] == len(rows_of(run)) >= 5


def test_a_refused_option_claims_no_folder(labelled, text_tower, run_cli, tmp_path):
    run = tmp_path / "run"
    assert run_cli(*arguments(labelled, tmp_path / "gone.pt", run, "--steps", 1))[0] == 2
    assert not run.exists()
    shutil.copy(text_tower, tmp_path / "here.safetensors")
    given = [*arguments(labelled, text_tower, run, "--steps", 1), "--init", tmp_path / "here.safetensors"]
    code, _, errors = run_cli(*given)
    assert code == 2 and "holds CLIP weights and no DSANet" in errors and not run.exists()


def test_fine_tuning_another_shape_says_what_differs(trained, labelled, text_tower, run_cli, tmp_path):
    best = trained[0] / "best.safetensors"
    given = arguments(labelled, text_tower, tmp_path / "run", "--steps", 1, "--init", best)
    for options, message in (
        (("--preset", "xd-violence"), "layers 2 instead of 1"),
        (("--window-len", 32), "window_len 16 instead of 32"),
    ):
        code, _, errors = run_cli(*given, *options)
        assert code == 2 and message in errors, errors


def test_features_that_cannot_be_trained_on_are_named(labelled, text_tower, run_cli, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(labelled[0], store)
    (shard,) = (store / "shards").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == "a3")
        node["features"][0, 1, 7] = np.nan
    os.utime(shard)
    (store / "catalogue.sqlite").unlink()
    code, _, errors = run_cli(*arguments((store, labelled[1]), text_tower, tmp_path / "run", "--steps", 1))
    assert code == 1 and "unusable: a3: its features of crop 0 are not finite" in errors
    assert not (tmp_path / "run").exists()


def test_a_broken_last_state_is_named(trained, run_cli, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    (run / "last.ckpt").write_bytes(b"PK\x03\x04 cut short")
    code, _, errors = run_cli("train", "--resume", run, "--any-threads")
    assert code == 3 and "last.ckpt: cannot be read" in errors


def test_one_run_one_process(trained, run_cli, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    before = (run / "last.ckpt").read_bytes()
    with TrainRun(run).held():
        code, _, errors = run_cli("train", "--resume", run, "--any-threads")
    assert code == 2 and "another process trains in it" in errors, errors
    assert (run / "last.ckpt").read_bytes() == before
    code, _, errors = run_cli("train", "--resume", run, "--any-threads")
    assert code == 0, errors


def test_the_table_is_written_anew_from_the_state(trained, run_cli, tmp_path):
    """What was killed between the two files, or whose table somebody spoilt, goes on."""
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    table = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(table[: len(table) // 2])
    code, _, errors = run_cli("train", "--resume", run, "--any-threads")
    assert code == 0, errors
    assert (run / "metrics.csv").read_bytes() == table


def test_a_state_of_an_earlier_version_goes_on_by_its_table(trained, run_cli, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    state = torch.load(run / "last.ckpt", weights_only=True)
    torch.save({name: value for name, value in state.items() if name not in ("rows", "columns")}, run / "last.ckpt")
    config = json.loads((run / "config.json").read_text())  # from before there were several heads
    assert (config.pop("head"), config["options"].pop("head")) == ("dsanet", "dsanet")
    assert "milestones" not in config["training"]
    (run / "config.json").write_text(json.dumps(config))
    code, _, errors = run_cli("train", "--resume", run, "--any-threads", "--head", "mil")
    assert code == 2 and "head mil instead of dsanet" in errors
    code, _, errors = run_cli("train", "--resume", run, "--any-threads", "--head", "dsanet")
    assert code == 0, errors
    (run / "metrics.csv").unlink()
    code, _, errors = run_cli("train", "--resume", run, "--any-threads")
    assert code == 3 and "metrics.csv: cannot be read" in errors
