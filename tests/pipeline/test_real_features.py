"""Training on real CLIP features, from import to scores: ten videos prove that it works, and nothing about accuracy."""

import shutil

import pytest

from vad_pipeline.pipeline.results.folder import Results


@pytest.mark.long
def test_ten_real_videos_are_fitted(shared, text_tower, run_cli, tmp_path):
    features = shared / "features"
    shutil.copy(features / "LABELS.csv", tmp_path)
    store, run, results = tmp_path / "store", tmp_path / "run", tmp_path / "results"
    assert run_cli("store", "import", features / "LIST.csv", "--store", store, "--keep-folder")[0] == 0
    code, _, errors = run_cli(
        *("train", tmp_path / "LABELS.csv", "--store", store, "--out", run, "--pretrained", text_tower),
        *("--steps", 16, "--lr", 1e-4, "--window-len", 64, "--device", "cpu"),
    )
    assert code == 0, errors
    assert "too few videos to hold some out (1 normal video (Normal 1) where 4 are needed" in errors  # one normal video
    code, _, errors = run_cli("detect", "--store", store, "--checkpoint", run / "best.safetensors", "--out", results)
    assert code == 0, errors
    peaks = {curve.video_id: curve.scores.max() for curve in Results.open(results)}
    assert len(peaks) == 10
    normal = peaks.pop("normal/normal001")
    assert normal < min(peaks.values()), (normal, peaks)
    truth = features / "annotations.csv"
    code, out, _ = run_cli("evaluate", results, "--annotations", truth, "--format", "csv", "--bootstrap", 0)
    assert code == 0 and "10 videos" in out
