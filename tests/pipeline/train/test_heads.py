"""`train --head`: VadCLIP, the baseline and heads of the user's own, from labels to figures."""

from __future__ import annotations

import json
import shutil

import pytest
from small_network import shrink

from vad_pipeline.model.checkpoint import load_checkpoint

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


def columns_of(run) -> list[str]:
    return (run / "metrics.csv").read_text().splitlines()[0].split(",")


def test_vadclip_from_labels_to_a_curve(begin, labelled, text_tower, run_cli, tmp_path):
    categories = begin("none")[1].parent / "own.yaml"
    of_vadclip = ("--head", "vadclip", "--preset", "xd-violence", "--pretrained", text_tower)
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
    evaluate = ("evaluate", out, "--annotations", truth, "--format", "csv", "--allow-missing")
    code, table, errors = run_cli(*evaluate)
    assert code == 0 and "the results tell no categories apart: mAP and category accuracy are undefined" in errors, (
        errors
    )
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["auc"] is not None and figures["ap"] is not None
    assert (figures["map"], figures["category_accuracy"]) == (None, None)
    assert (
        figures["per_category"]["Explosion"]["map"] is None and figures["per_category"]["Explosion"]["auc"] is not None
    )
    truth.write_text(TRUTH.replace("Explosion", "Anomaly").replace("Fighting", "Anomaly"))
    assert run_cli(*evaluate)[0] == 0 and json.loads((out / "evaluation.json").read_text())["map"] is not None
