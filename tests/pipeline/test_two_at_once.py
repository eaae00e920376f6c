"""Two commands at once on one folder: one is first, the other is told."""

import json

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.results import run_record
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run


def record_of(checkpoint: str) -> RunRecord:
    return RunRecord(f"{checkpoint}.pth", checkpoint * 64, "ucf-crime", ("Normal", "Abuse"), {}, "recipe", 0, 0.5)


def test_two_checkpoints_never_share_a_results_folder(tmp_path, monkeypatch):
    check = run_record.check_record

    def check_and_let_another_begin(results, record, *more):
        check(results, record, *more)
        monkeypatch.setattr(run_record, "check_record", check)
        begin_run(results, record_of("b"))

    monkeypatch.setattr(run_record, "check_record", check_and_let_another_begin)
    with pytest.raises(ConfigError, match=r"holds results of another checkpoint \(b.pth\)"):
        begin_run(tmp_path / "out", record_of("a"))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["checkpoint"] == "b.pth"
