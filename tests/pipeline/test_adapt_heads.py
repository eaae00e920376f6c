"""`adapt`, from labels to adapted curves, with every head that it can be given."""

import shlex
from functools import partial

import pytest
from small_network import shrink

from vad_pipeline.model.checkpoint import load_checkpoint
from vad_pipeline.pipeline.adapt.finetune import TuneRecipe
from vad_pipeline.pipeline.results.event_rows import read_events
from vad_pipeline.pipeline.results.verdict_rows import as_json
from vad_pipeline.pipeline.results.verdicts import Verdict

OWN = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self, width, categories):
        super().__init__()
        self.layer = nn.Linear(width, 1)

    def forward(self, features, lengths):
        return self.layer(features), None
"""
AT = "2026-11-28T10:00:00Z"


@pytest.mark.parametrize(
    "head", [pytest.param("dsanet", marks=pytest.mark.long), pytest.param("vadclip", marks=pytest.mark.long), "own"]
)
def test_a_head_adapts(head, labelled, text_tower, run_cli, tmp_path, monkeypatch):
    shrink(monkeypatch.setattr)
    monkeypatch.setattr("vad_pipeline.pipeline.adapt.finetune.TuneRecipe", partial(TuneRecipe, steps=2))
    store, labels = labelled
    (tmp_path / "mine.py").write_text(OWN)
    given = f"{tmp_path / 'mine.py'}:Mine" if head == "own" else head
    own = ("--head", given) if head == "own" else ()
    run, results, adapted = tmp_path / "run", tmp_path / "results", tmp_path / "adapted.safetensors"
    words = ["train", labels, "--store", store, "--out", run, "--head", given, "--pretrained", text_tower]
    small = ("--batch-size", 3, "--window-len", 16, "--device", "cpu", "--val-share", 0.2, "--steps", 1)
    code, _, err = run_cli(*words, *small)
    assert code == 0, err
    best = run / "best.safetensors"
    words = ("detect", "--store", store, "--checkpoint", best, *own, "--out", results, "--threshold", 0)
    assert run_cli(*words, "--quiet")[0] == 0
    verdicts = [
        Verdict(held.video, held.event.start_frame, held.event.end_frame, held.event_id, said, "", "Ann", "", AT)
        for held in read_events(results)
        if (said := {"a": "real", "n": "false_alarm"}.get(held.video[0]))
    ]
    (tmp_path / "marks.json").write_text(as_json(verdicts))
    words = ("adapt", results, "--store", store, "--verdicts", tmp_path / "marks.json", "--labels", labels, *own)
    code, out, err = run_cli(*words, "--out", adapted, "--anyway")
    assert code == 0, out + err
    before, after = (load_checkpoint(path, own=own_of(own)) for path in (best, adapted))
    assert before.sha256 != after.sha256 and before.head == after.head and before.crop == after.crop
    (line,) = [line for line in out.splitlines() if line.startswith("next: vad-pipeline ")]
    code, _, err = run_cli(*shlex.split(line.removeprefix("next: vad-pipeline ")))
    assert code == 0, err
    code, _, err = run_cli(*words, "--out", tmp_path / "again.safetensors", "--anyway", "--quiet")
    assert code == 0 and (tmp_path / "again.safetensors").read_bytes() == adapted.read_bytes(), err


def own_of(words: tuple):
    from vad_pipeline.model.heads.own import OwnHead

    return OwnHead.of(words[1]) if words else None
