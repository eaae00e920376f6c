"""Runs killed at random moments, whole process group: the short version of tests/bench/kill.py."""

import kill
import pytest
from seeded import seeded_checkpoint

from vad_pipeline.extract.recipe import Recipe


@pytest.fixture
def bench(monkeypatch, capsys):
    """bench(*options) -> what it printed."""

    def run(*options, runtime="auto") -> str:
        # auto, as users have it: where OpenVINO is installed, each start but the first finds its compiled tower
        monkeypatch.setenv("VAD_PIPELINE_RUNTIME", runtime)
        kill.main([*map(str, options)])
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("kills", "workers", "runtime"), [(3, 0, "torch"), pytest.param(5, 2, "auto", marks=pytest.mark.long)]
)
def test_extract_killed(bench, kills, workers, runtime):
    given = ("--kills", kills, "--workers", workers, "--videos", 2 + 2 * kills, "--frames", 48, "--stride", 2)
    assert f"{kills} runs killed" in bench(*given, runtime=runtime)


@pytest.mark.long
def test_detect_killed_five_times(bench, tmp_path):
    seeded_checkpoint(tmp_path / "c.safetensors", preset="ucf-crime", recipe=Recipe(), crop=0, seed=0)
    arguments = ("--command", "detect", "--checkpoint", tmp_path / "c.safetensors")
    assert "5 runs killed" in bench(*arguments, "--kills", 5, "--videos", 12, "--frames", 48, "--stride", 2)
