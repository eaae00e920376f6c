"""What a GPU that gives up costs: half a video's work where its decoder does, the run where the device does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from seeded import seeded_checkpoint

from vad_pipeline.extract.decode import decoders
from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.errors import NvdecFailed
from vad_pipeline.extract.lane import LANE_VARIABLE
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.scoring import Scorer
from vad_pipeline.pipeline.workers.base import ExecutorConfig, Work
from vad_pipeline.pipeline.workers.dispatch import run

# before torch 2.8 what it raises then is a plain RuntimeError
DEVICE_GONE = getattr(torch, "AcceleratorError", lambda words, code: RuntimeError(words))


class GivesUp(PyavReader):
    """Decodes some frames, as NVDEC might, then no more."""

    def __iter__(self):
        for number, frame in enumerate(super().__iter__()):
            if number == 20:
                raise NvdecFailed.because(self.path, "a packet is refused: no luck")
            yield frame


@pytest.fixture
def extract(run_cli, tmp_path, toy_model):
    """extract(store, *options): the folder `raw` with the toy tower; exit code and what was said."""

    def run_it(store, *options):
        code, _, err = run_cli(
            "extract", tmp_path / "raw", "--store", tmp_path / store, "--like", "quick", "--model", toy_model,
            "--pretrained", "random:0", "--device", "cpu", "--precision", "fp32", *options,
        )  # fmt: skip
        return code, err

    return run_it


def held(store) -> tuple[np.ndarray, dict]:
    (log,) = (store / "outcomes").glob("*.jsonl")
    with EmbeddingStore(store) as opened:
        (entry,) = opened.entries()
        return opened.get(entry).features, json.loads(log.read_text().splitlines()[-1])


def test_a_decoder_that_gives_up_half_way_costs_no_frame(tmp_path, make_video, extract, monkeypatch):
    make_video(tmp_path / "raw" / "a.mp4", n_frames=70)
    assert extract("plain")[0] == 0
    monkeypatch.setattr(decoders, "open_beside_encoder", lambda path, **device: GivesUp(path))
    assert extract("fallen_back")[0] == 0
    (features, _), (again, line) = held(tmp_path / "plain"), held(tmp_path / "fallen_back")
    assert np.array_equal(features, again)
    assert (line["status"], line["n_frames"], line["route"]) == ("ok", 70, "pyav cpu")
    assert line["warnings"] == ["decoded in software: NVDEC cannot decode it here (a packet is refused: no luck)"]


def test_asked_for_it_fails_with_the_way_out(tmp_path, make_video, extract, monkeypatch):
    make_video(tmp_path / "raw" / "a.mp4", n_frames=70)
    monkeypatch.setattr(decoders, "PyavReader", GivesUp)
    code, err = extract("S", "--decoder", "pyav")  # any but auto
    assert code == 1 and "use --decoder pyav" in err


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), DEVICE_GONE("CUDA error: gone", 1)])
def test_a_device_that_fails_stops_the_run(tmp_path, make_video, extract, monkeypatch, error):
    def fail(self, crops):
        raise error

    make_video(tmp_path / "raw" / "a.mp4")
    monkeypatch.setattr(ClipEncoder, "encode", fail)
    code, err = extract("S")
    assert code == 3 and "the GPU" in err and "run the same command again" in err and "Traceback" not in err


def test_a_device_that_fails_while_scoring_stops_detect(tmp_path, make_video, extract, run_cli, toy_model, monkeypatch):
    def fail(self, embeddings):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    for name in "ab":
        make_video(tmp_path / "raw" / f"{name}.mp4")
    assert extract("S")[0] == 0
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(toy_model), weights="random:0")
    seeded_checkpoint(tmp_path / "c.safetensors", preset="ucf-crime", recipe=recipe, crop=0, seed=0)
    monkeypatch.setattr(Scorer, "_score_batch", fail)
    given = ("detect", "--store", tmp_path / "S", "--checkpoint", tmp_path / "c.safetensors", "--device", "cpu")
    code, _, err = run_cli(*given, "--out", tmp_path / "out")
    assert code == 3 and "the GPU is out of memory" in err and "Traceback" not in err
    assert err.count("out of memory (") == 1, "the other video was tried too"


def test_worker_processes_are_numbered():
    def number(item):
        import os
        import time

        time.sleep(0.3)  # the other one gets its share
        return os.environ[name]

    name = LANE_VARIABLE
    results = run(ExecutorConfig(workers=2), Work(lambda: None, number), range(6))
    assert {result.value for _, result in results} == {"0", "1"}
