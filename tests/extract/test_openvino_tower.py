"""The compiled tower against torch's, and what becomes of the copy that is kept."""

import io
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.embed import encoder as encoder_module
from vad_pipeline.extract.embed import openvino_tower, ways
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.store import shards
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.timings import CACHE_VARIABLE

pytest.importorskip("openvino")
RELATIVE_ERROR = 1e-4  # of fp32 on another runtime
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config(toy_model) -> EncoderConfig:
    return EncoderConfig(toy_model, "random:0", device="cpu", precision="fp32", runtime="openvino")


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 224, 224), np.uint8))


@pytest.fixture
def no_torch_tower(monkeypatch):
    """From now on no tower can be built."""

    def build_tower(*_):
        raise AssertionError("the torch tower was built")

    return lambda: monkeypatch.setattr(encoder_module, "build_tower", build_tower)


def worst(ours: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(ours - exact).max() / np.abs(exact).max())


@pytest.fixture(scope="module")
def compiled(config) -> ClipEncoder:
    return ClipEncoder(config)


def test_embeddings_are_those_of_torch(compiled, crops, toy_encoder):
    assert worst(compiled.encode(crops), toy_encoder.encode(crops)) <= RELATIVE_ERROR
    assert compiled.runtime.startswith("openvino 20") and toy_encoder.runtime.startswith("torch ")
    assert compiled.weights == toy_encoder.weights and compiled.precision == "fp32"


@pytest.mark.long
def test_vit_b_16_is_that_of_torch(crops):
    config = EncoderConfig(pretrained="random:0", device="cpu", precision="fp32")
    exact = ClipEncoder(config).encode(crops)
    assert worst(ClipEncoder(replace(config, runtime="openvino")).encode(crops), exact) <= RELATIVE_ERROR


def test_a_result_is_not_overwritten_by_the_next(compiled, crops):
    first = compiled.encode(crops[:2])
    kept = first.copy()
    compiled.encode(crops[2:])
    assert np.array_equal(first, kept)


def test_the_second_start_builds_no_torch_tower(config, crops, tmp_path, no_torch_tower):
    first = ClipEncoder(config, compiled=tmp_path).encode(crops)
    no_torch_tower()
    assert np.array_equal(ClipEncoder(config, compiled=tmp_path).encode(crops), first)
    with pytest.raises(AssertionError, match="was built"):
        ClipEncoder(replace(config, pretrained="random:1"), compiled=tmp_path)


@pytest.mark.parametrize("damage", ["bit", pytest.param("empty", marks=pytest.mark.long)])
def test_a_damaged_copy_is_made_anew(config, crops, tmp_path, caplog, no_torch_tower, damage):
    first = ClipEncoder(config, compiled=tmp_path).encode(crops)
    (kept,) = tmp_path.iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes({"bit": content, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(ClipEncoder(config, compiled=tmp_path).encode(crops), first)
    assert "compiled anew" in caplog.text
    no_torch_tower()
    ClipEncoder(config, compiled=tmp_path)


def test_towers_that_were_not_used_for_long_go(tmp_path, monkeypatch):
    monkeypatch.setattr(openvino_tower, "KEPT_TOWERS", 2)
    for number in range(4):
        openvino_tower._keep(tmp_path / f"{number}.blob", io.BytesIO(b"tower"))
        os.utime(tmp_path / f"{number}.blob", (number, number))
    assert {path.name for path in tmp_path.glob("*.blob")} == {"2.blob", "3.blob"}


def test_of_many_who_start_at_once_one_compiles(config, crops, tmp_path, monkeypatch):
    looked, compiling = threading.Semaphore(0), []

    def kept(path, _kept=openvino_tower._kept):
        found = _kept(path)
        looked.release()
        return found

    def compile_slowly(*arguments, _compile=openvino_tower.compile_for_here):
        compiling.append(threading.get_ident())
        for _ in range(4):  # the three looks at nothing, and this one's second: nobody else is as far
            assert looked.acquire(timeout=60)
        return _compile(*arguments)

    monkeypatch.setattr(openvino_tower, "_kept", kept)
    monkeypatch.setattr(openvino_tower, "compile_for_here", compile_slowly)
    with ThreadPoolExecutor(3) as pool:
        encoders = [pool.submit(ClipEncoder, config, compiled=tmp_path) for _ in range(3)]
        first, *others = [encoder.result().encode(crops) for encoder in encoders]
    assert len(compiling) == 1 and all(np.array_equal(first, other) for other in others)


def test_without_room_for_a_copy_the_work_goes_on(config, crops, tmp_path, caplog, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.os, "fsync", full)
    with caplog.at_level(logging.WARNING):
        assert ClipEncoder(config, compiled=tmp_path / "new").encode(crops).shape == (5, 512)
    assert "not kept" in caplog.text and "No space left" in caplog.text
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("device", "precision", "installed", "says"),
    [
        ("cpu", "fp32", False, r"pip install '\.\[openvino\]' in the folder of vad-pipeline"),
        ("cpu", "fp16", True, "--precision fp32"),
        ("cpu", "bf16", True, "cannot compute bf16"),
        ("cuda", "fp32", True, "--device cpu"),
    ],
)
def test_what_it_cannot_do_is_refused_with_what_to_do(monkeypatch, device, precision, installed, says):
    monkeypatch.setattr(openvino_tower, "is_installed", lambda: installed)
    monkeypatch.setattr(ways, "multiplies_bf16", lambda: False)
    with pytest.raises(ConfigError, match=says):
        ways.way_of(EncoderConfig(precision=precision, runtime="openvino"), torch.device(device))


def test_a_model_that_does_not_fit_is_named_as_ever(monkeypatch):
    config = EncoderConfig(pretrained="random:0", device="cpu", precision="fp32", runtime="openvino")
    for tower, says in (
        (torch.nn.Conv2d(3, 8, 224), "gives 1 values an image where .* says 512"),
        (torch.nn.Linear(5, 512), "does not embed 224 px images"),
        (torch.nn.MaxPool2d(2, return_indices=True), "gives 112 values an image"),  # the first of two things
    ):
        monkeypatch.setattr(encoder_module, "build_tower", lambda *_, tower=tower: tower)
        with pytest.raises(ConfigError, match=says):
            ClipEncoder(config)


def test_extract_records_it_and_its_features_are_torchs(tmp_path, make_video, run_cli, toy_model, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    towers = tmp_path / "cache" / "vad-pipeline" / "towers"
    make_video(tmp_path / "raw" / "a.mp4", n_frames=40)
    features = {}
    for runtime in ("torch", "openvino"):
        store = tmp_path / runtime
        code, _, err = run_cli(
            "extract", tmp_path / "raw", "--store", store, "--model", toy_model, "--pretrained", "random:0",
            "--device", "cpu", "--precision", "fp32", "--runtime", runtime,
        )  # fmt: skip
        assert code == 0, err
        with EmbeddingStore(store) as opened:
            (entry,) = opened.entries()
            features[runtime] = opened.get(entry).features
        assert entry.runtime.startswith(runtime) and towers.exists() == (runtime == "openvino")
        assert not (store / "compiled").exists()  # a store may be a stranger's, and what is compiled is code
    assert worst(features["openvino"].astype(np.float32), features["torch"].astype(np.float32)) <= 2**-10


def test_nobody_is_told_and_an_interrupt_is_heard_after_several_towers(tmp_path, toy_model):
    """OpenVINO's telemetry forks at every import and conversion, and the process waits for the forks at its end. And
    where an interrupt is not heard, the process ends by SIGSEGV: both in a process of their own."""
    program = f"""if True:
        import gc, multiprocessing, signal, sys, torch
        from pathlib import Path
        from vad_pipeline.extract.embed.encoder import ClipEncoder
        from vad_pipeline.extract.embed.encoder_config import EncoderConfig
        asked = EncoderConfig({toy_model!r}, "random:0", device="cpu", precision="fp32", runtime="openvino")
        towers = [ClipEncoder(asked, compiled=Path({str(tmp_path)!r}) / "compiled") for _ in range(3)]
        while towers:
            towers[0].encode(torch.zeros((1, 3, 224, 224), dtype=torch.uint8))
            del towers[0]
            gc.collect()
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                print("heard", flush=True)
        assert not [name for name in sys.modules if name.startswith("openvino_telemetry")], "imported"
        assert not multiprocessing.active_children(), "forked"
    """
    alone = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=alone)
    assert (done.returncode, done.stdout) == (0, "heard\n" * 3), done.stderr
    assert not (tmp_path / "intel").exists(), "an identity was made up to tell by"
