import json
from fractions import Fraction

import numpy as np
import pytest
from small_network import shrink

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.demo import run as demo
from vad_pipeline.pipeline.demo.archive_plan import ArchiveConfig
from vad_pipeline.pipeline.demo.run import DemoConfig, run_demo
from vad_pipeline.pipeline.results.folder import Results

TINY = ArchiveConfig(
    n_videos=8, seconds=8, fps=Fraction(8), width=96, height=72, seed=3, anomalous_share=0.75, test_share=0.4
)
TOWER = {
    "model_cfg": {
        "embed_dim": 512,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 1},
    }
}


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    shrink(monkeypatch.setattr)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> DemoConfig:
    """A toy image tower beside a text tower of one block, a handful of snippets."""
    folder = tmp_path_factory.mktemp("tower")
    (folder / "open_clip_config.json").write_text(json.dumps(TOWER))
    return DemoConfig(
        archive=TINY,
        model=f"local-dir:{folder}",
        window_len=8,
        batch_size=1,
        epochs=1,
    )


def curves(out):
    return {curve.video_id: curve.scores for curve in Results.open(out / "results")}


def check_told(folder, told) -> dict:
    """Hold what a demo said against what it wrote; its figures."""
    evaluation = json.loads((folder / "results" / "evaluation.json").read_text())
    assert (folder / "results" / "report" / "index.html").exists()
    assert f"frame AUC {evaluation['auc']:.4f}" in told
    assert "random" in told.splitlines()[-1]
    assert len(curves(folder)) == evaluation["n_videos"] == 4
    for name in ("run/curves.png", "run/best.safetensors", "results/events.jsonl", "results/evaluation.png"):
        assert (folder / name).exists()
        assert str(folder / name) in told
    return evaluation


def test_it_says_what_it_made(tmp_path, config, capsys):
    assert run_demo(tmp_path, config) == 0
    check_told(tmp_path, capsys.readouterr().out)


@pytest.mark.long
def test_twice_into_one_folder_gives_the_same_figures_and_spares_what_others_put_there(tmp_path, config, capsys):
    assert run_demo(tmp_path, config) == 0
    evaluation, scores = check_told(tmp_path, capsys.readouterr().out), curves(tmp_path)
    own = tmp_path / "results" / "notes.txt"
    own.write_text("mine")
    assert run_demo(tmp_path, config, quiet=True) == 0
    assert "0 ok, 8 cached" not in capsys.readouterr().out
    assert own.read_text() == "mine"
    assert json.loads((tmp_path / "results" / "evaluation.json").read_text()) == evaluation
    again = curves(tmp_path)
    assert again.keys() == scores.keys()
    for video, values in scores.items():
        np.testing.assert_array_equal(again[video], values)


@pytest.mark.parametrize("name", ["run", "results"])
def test_folders_that_no_demo_made_are_refused_and_left_alone(tmp_path, config, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="another --out"):
        run_demo(tmp_path, config)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "config.json").read_text() == "{}"


def test_a_video_fills_a_window():
    config = DemoConfig()
    assert config.window_len == config.archive.n_frames / 16


def test_the_command_hands_its_options_on(run_cli, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(demo, "run_demo", lambda *args, **values: given.append((args, values)) or 0)
    assert run_cli("demo", "--out", tmp_path, "--videos", 13, "--seed", 4, "--quiet")[0] == 0
    ((out, config),) = [args for args, _ in given]
    assert (out, config.archive.n_videos, config.archive.seed) == (tmp_path, 13, 4)
    assert given[0][1] == {"quiet": True}


def test_too_few_videos_are_refused_before_anything_is_written(run_cli, tmp_path):
    code, _, err = run_cli("demo", "--out", tmp_path / "out", "--videos", 7)
    assert code == 2
    assert "n_videos" in err
    assert not (tmp_path / "out").exists()
