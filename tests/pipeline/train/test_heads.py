"""`train --head`: VadCLIP, the baseline and heads of the user's own, from labels to figures."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256

import pytest
from small_network import shrink

from vad_pipeline.model.checkpoint import load_checkpoint
from vad_pipeline.pipeline.train import fitting

SMALL = ("--batch-size", 3, "--window-len", 16, "--device", "cpu", "--val-share", 0.2, "--lr", 1e-3)
OWN_CATEGORIES = "- Normal\n- {name: Explosion, descriptions: [explosion, a fire ball]}\n- Fighting\n"
TRUTH = "video,start_frame,end_frame,category\nn0,,,Normal\nn1,,,Normal\na0,32,64,Explosion\na1,32,64,Fighting\n"


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    shrink(monkeypatch.setattr)


@pytest.fixture(scope="module")
def begin(labelled, tmp_path_factory):
    """begin(name, ...) -> the words of a `train` of two steps into the folder RUN of that name, and RUN."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "own.yaml").write_text(OWN_CATEGORIES)
    (folder / "truth.csv").write_text(TRUTH)
    store, labels = labelled

    def words(name: str, *more) -> tuple[list, object]:
        run = folder / name
        shutil.rmtree(run, ignore_errors=True)
        return ["train", labels, "--store", store, "--out", run, *SMALL, "--steps", 2, *more], run

    return words


def killed_after(step: int, record):
    """What records steps, which ends the run behind a step."""

    def recording(self, report):
        record(self, report)
        if report.step == step:
            raise KeyboardInterrupt

    return recording


def columns_of(run) -> list[str]:
    return (run / "metrics.csv").read_text().splitlines()[0].split(",")


def test_vadclip_from_labels_to_a_curve(begin, labelled, text_tower, run_cli, tmp_path):
    categories = begin("none")[1].parent / "own.yaml"
    of_vadclip = ("--head", "vadclip", "--preset", "xd-violence", "--pretrained", text_tower, "--steps", 1)
    given, run = begin("vadclip", *of_vadclip, "--categories", categories)
    code, _, errors = run_cli(*given)
    assert code == 0 and "VadCLIP reads one description a category, the first: Explosion have several" in errors, errors
    assert "warm-up" not in errors
    config = json.loads((run / "config.json").read_text())
    assert (config["head"], config["options"]["head"], config["normality"]) == ("vadclip", "vadclip", None)
    assert (
        config["training"]["milestones"] == [3, 6, 10] and config["training"]["loss_weights"]["text_separation"] == 1e-4
    )
    assert columns_of(run)[:6] == ["step", "epoch", "lr", "mil", "align", "text_separation"]
    best = load_checkpoint(run / "best.safetensors")
    assert (best.head, best.curve, best.categories) == ("vadclip", "category", ("Normal", "Explosion", "Fighting"))
    out = tmp_path / "results"
    code, _, errors = run_cli("detect", "--store", labelled[0], "--checkpoint", best.path, "--out", out)
    assert code == 0 and json.loads((out / "run.json").read_text())["score"] == "category", errors

    code, _, errors = run_cli("train", "--resume", run, "--head", "dsanet", "--any-threads")
    assert code == 2 and "was begun with other options: head dsanet instead of vadclip; leave them out" in errors
    given, other = begin("other", "--init", best.path, "--pretrained", text_tower)
    code, _, errors = run_cli(*given, "--head", "mil")
    assert (
        code == 2 and "is a VadCLIP checkpoint, and MIL is trained; leave --head away" in errors and not other.exists()
    )
    code, _, errors = run_cli(*given, "--loss", "event=0")
    assert code == 2 and "no such loss; VadCLIP's are mil, align, text_separation, yours is FILE.py:NAME" in errors
    given[given.index("--steps") + 1] = 1
    code, _, errors = run_cli(*given, "--loss", "text_separation=0")
    assert code == 0 and "brings head vadclip, preset xd-violence, 3 categories" in errors, errors
    assert "start anew" not in errors and "text_separation" not in columns_of(other)
    assert load_checkpoint(other / "best.safetensors").config == best.config


def test_the_baseline_from_labels_to_figures(begin, labelled, run_cli, tmp_path):
    given, run = begin("mil", "--head", "mil")
    code, _, errors = run_cli(*given)
    assert code == 0 and "the head tells no categories apart: its results know Normal and Anomaly" in errors, errors
    assert json.loads((run / "config.json").read_text())["text_tower"] is None
    best = load_checkpoint(run / "best.safetensors")
    assert (best.head, best.categories, best.text_features) == ("mil", ("Normal", "Anomaly"), None)
    assert len(best.config.categories) == 14
    out = tmp_path / "results"
    code, _, errors = run_cli(
        "detect", "--store", labelled[0], "--checkpoint", best.path, "--out", out, "--report", "--threshold", 0
    )
    assert code == 0 and (out / "report" / "index.html").exists(), errors
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert {event["category"] for event in events} == {"Anomaly"}
    truth = run.parent / "truth.csv"
    evaluate = ("evaluate", out, "--annotations", truth, "--format", "csv", "--allow-missing", "--bootstrap", 0)
    code, table, errors = run_cli(*evaluate)
    assert code == 0 and "the results tell no categories apart: mAP and category accuracy are undefined" in errors, (
        errors
    )
    (undefined,) = [line for line in table.splitlines() if "undefined" in line]
    assert undefined.split("  ")[0] == "mAP, category accuracy (%)" and table.count("mAP") == 1
    assert run_cli(*evaluate, "--table", "csv")[1].count("mAP") == 6, "for programs all rows are there"
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["auc"] is not None and figures["ap"] is not None
    assert (figures["map"], figures["category_accuracy"]) == (None, None)
    assert (
        figures["per_category"]["Explosion"]["map"] is None and figures["per_category"]["Explosion"]["auc"] is not None
    )


OWN = """
import torch
from torch import nn
class Gated(nn.Module):
    def __init__(self, width, categories):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1 + len(categories)))
    def forward(self, features, lengths):
        x = self.net(features)
        self.kept = x
        return x[..., :1], x[..., 1:]
    @property
    def losses(self):
        return {"mil": lambda o, b: (torch.sigmoid(o.anomaly_logits).mean((1, 2)) - b.anomalous).square().mean(),
                "small": lambda o, b: self.kept.square().mean()}
class Column(Gated):
    losses = {"total": lambda o, b: o.anomaly_logits.mean()}
class InPlace(Gated):
    def forward(self, features, lengths):
        a, c = super().forward(features, lengths)
        a.exp().mul_(2).exp_()
        y = a.exp()
        b = y.square()
        y.add_(1)
        return b, c
"""


def test_a_head_of_ones_own_from_labels_to_figures(begin, labelled, run_cli, tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    head = ("--head", f"{path}:Gated")
    given, whole = begin("whole", *head, "--steps", 4, "--loss", "small=0.5")
    code, out, errors = run_cli(*given)
    assert code == 0 and columns_of(whole)[2:6] == ["lr", "mil", "small", "total"], errors
    assert f" --head {path}:Gated --out " in out  # the next line runs as printed
    config = json.loads((whole / "config.json").read_text())
    assert config["head"] == "own" and config["network"]["sha256"] == sha256(path.read_bytes()).hexdigest()

    given, run = begin("killed", *head, "--steps", 4, "--loss", "small=0.5", "--save-every", 0)
    with monkeypatch.context() as patch:
        patch.setattr(fitting._Recorder, "step", killed_after(2, fitting._Recorder.step))
        assert run_cli(*given)[0] != 0
    assert len((run / "metrics.csv").read_text().splitlines()) == 3
    code, _, errors = run_cli("train", "--resume", run, *head)
    assert code == 0, errors
    for name in ("best.safetensors", "metrics.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name

    best, out = run / "best.safetensors", tmp_path / "results"
    detect = ("detect", "--store", labelled[0], "--checkpoint", best, "--out", out)
    code, _, errors = run_cli(*detect)
    assert code == 2 and "code is never run because a checkpoint names it; give it with --head FILE.py:Gated" in errors
    code, printed, errors = run_cli(*detect, *head)
    assert code == 0 and "20 ok" in printed, errors
    given, other = begin("tuned", "--init", best, *head, "--steps", 1)
    code, _, errors = run_cli(*given)
    assert code == 0 and "brings head own, preset ucf-crime, 14 categories" in errors and other.exists(), errors
    path.write_text(f"{OWN}# changed\n")
    for words in ((*detect, *head), (*given[:5], tmp_path / "new", *given[6:])):
        code, _, errors = run_cli(*words)
        assert code == 2 and "mine.py: has changed since" in errors and "best.safetensors was made" in errors
    (tmp_path / "theirs.py").write_text(OWN)
    (tmp_path / "other.py").write_text(f"{OWN}# of somebody else\n")
    code, _, errors = run_cli(*detect, "--head", f"{tmp_path / 'other.py'}:Gated")
    assert code == 2 and "other.py: is another file than mine.py:Gated, by which " in errors and "SHA-256" in errors
    assert run_cli(*detect, "--head", f"{tmp_path / 'theirs.py'}:Gated")[0] == 0, "the same under another name"
    for name in ("vadclip", "mil"):
        code, _, errors = run_cli(*detect, "--head", name)
        assert code == 2 and f"--head {name}: a checkpoint says itself which head it is of; leave --head away" in errors
    for words in (
        (*detect[:3], "--checkpoint", run / "last.ckpt", *detect[5:], *head),
        (*given, "--out", tmp_path / "new", "--init", run / "last.ckpt"),
    ):
        code, _, errors = run_cli(*words)
        assert code == 2 and f"{run}` goes on, no checkpoint; give {run / 'best.safetensors'}" in errors
    code, _, errors = run_cli(*detect[:3], "--checkpoint", run, *detect[5:], *head)
    assert code == 2 and f"{run}: is a training run's folder, no checkpoint; give {run / 'best.safetensors'}" in errors
    code, _, errors = run_cli("train", "--resume", run, "--steps", 9)
    assert code == 2 and f"train on from its weights into a new folder: --init {run}/best.safetensors" in errors
    code, _, errors = run_cli("train", "--resume", run)
    assert code == 2 and "what goes into the run has changed since it was begun: network sha256: " in errors


@pytest.mark.long
def test_workers_run_it_too(begin, labelled, run_cli, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    head = ("--head", f"{path}:Gated")
    given, run = begin("for_workers", *head)
    assert run_cli(*given)[0] == 0
    detect = ("detect", "--store", labelled[0], "--checkpoint", run / "best.safetensors", *head, "--workers", 1)
    code, printed, errors = run_cli(*detect, "--out", tmp_path / "results")
    assert code == 0 and "20 ok" in printed, errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--head", "nothing"), "--head nothing: expected dsanet, vadclip, mil, or FILE.py:NAME for your own"),
        (("--head", "gone.py:Head"), "--head gone.py:Head: no such file"),
        (("--head", "{path}:Column"), "Column's loss total is called like a column of metrics.csv"),
        (("--head", "{path}:InPlace"), "an own loss or head must not change what it is given"),
        (
            ("--head", "{path}:Gated", "--loss", "align=2"),
            "no such loss; Gated's are mil, small, yours is FILE.py:NAME",
        ),
    ],
)
def test_a_head_that_cannot_be_trained_is_a_sentence(begin, run_cli, tmp_path, words, message):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    given, _ = begin("refused", *(word.format(path=path) for word in words))
    code, _, errors = run_cli(*given)
    assert code == 2 and message in errors and "Traceback" not in errors, errors
