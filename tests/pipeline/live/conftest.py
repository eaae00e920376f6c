"""`watch` with a toy tower and a small head, and what `detect --delay` makes of the same footage."""

from dataclasses import replace

import pytest
import torch

from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.checkpoint import Checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS, DSANet
from vad_pipeline.pipeline.live import camera, source, watcher
from vad_pipeline.pipeline.results.folder import Results


@pytest.fixture(scope="session")
def checkpoint(toy_model, tmp_path_factory):
    """Windows of 16 snippets, for `quick` features of the toy tower, whose snippets of fewer frames are kept."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(toy_model), weights="random:0")
    config = replace(PRESETS["ucf-crime"], layers=1, window_len=16)
    torch.manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(len(config.categories), config.width), dim=-1)
    Checkpoint("ucf-crime", config, DSANet(config), text, config.categories, recipe, None, 0, 0.5, "", path).save(path)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What takes seconds between cameras and disks takes moments here."""
    monkeypatch.setattr(source, "GROWTH_SECONDS", 0.3)
    monkeypatch.setattr(source, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(source, "TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(camera, "FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(watcher, "SYNC_SECONDS", 0.2)
    monkeypatch.setattr(watcher, "EVENT_SECONDS", 0.2)


@pytest.fixture
def computing(checkpoint, toy_model):
    """Options that say by what is computed."""
    by = ("--checkpoint", checkpoint, "--model", toy_model, "--pretrained", "random:0")
    return (*by, "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def watch(run_cli, computing, tmp_path):
    """watch(*arguments): into tmp_path/live."""
    return lambda *arguments: run_cli("watch", *arguments, *computing, "--out", tmp_path / "live")


@pytest.fixture
def detected(run_cli, computing, tmp_path):
    """detected(path, delay): the scores of a file by `detect --delay`."""

    def run(path, delay):
        out = tmp_path / f"detected-{path.stem}-{delay}"
        code, _, err = run_cli("detect", path, "--store", tmp_path / "S", *computing, "--out", out, "--delay", delay)
        assert code == 0, err
        (curve,) = Results.open(out)
        return curve.scores

    return run
