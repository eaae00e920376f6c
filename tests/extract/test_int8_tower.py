"""The int8 tower: calibrated on a store's own footage, once, and never in place of full precision."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nncf", reason="the extra int8 is not installed")

from vad_pipeline.extract import int8
from vad_pipeline.extract.embed import int8_tower
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.extraction import extract_video
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import Source
from vad_pipeline.extract.int8 import prepare_int8, sample
from vad_pipeline.extract.store.embedding_store import EmbeddingStore


@pytest.fixture(scope="module")
def footage(tmp_path_factory, make_video):
    folder = tmp_path_factory.mktemp("footage")
    for number in range(3):
        make_video(folder / f"{number}.mp4", n_frames=160, seed=number)
    return [Source(str(number), str(folder / f"{number}.mp4")) for number in range(3)]


@pytest.fixture(scope="module")
def options(toy_model):
    """With a toy tower and random weights, whose embeddings differ so little that int8 shows."""
    asked = {"like": "quick", "model": toy_model, "pretrained": "random:0", "device": "cpu", "precision": "int8"}
    return ExtractConfig(**asked, accept_deviation=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory, footage, options):
    """A store's folder with an int8 tower in it."""
    store = tmp_path_factory.mktemp("kept") / "S"
    prepare_int8(Extractor(options, store=store), footage)
    return store


@pytest.fixture
def store(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "S")
    return tmp_path / "S"


def test_it_embeds_nearly_as_fp32_does(kept, footage, options):
    extractor = Extractor(options, store=kept)
    record = int8_tower.read_record(extractor.int8_folder)
    images, videos = sample(extractor, footage)
    assert set(videos) == {"0", "1", "2"} == set(record.videos) and len(images) == int8.IMAGES
    assert 0.4 < record.worst <= record.median <= 1
    exact = ClipEncoder(replace(extractor.encoder_config, precision="fp32", runtime="torch")).encode(images[1:16:2])
    rough = extractor.encoder.encode(images[1:16:2])
    assert not np.array_equal(exact, rough)
    of_fp32, of_int8 = int8_tower.checked_embeddings(extractor.int8_folder)
    assert np.allclose(of_fp32[:8], exact, atol=1e-3) and np.allclose(of_int8[:8], rough, atol=1e-3)
    assert record.worst == pytest.approx(int8_tower.deviation(of_fp32, of_int8).min())
    assert extractor.encoder.precision == "int8" and record.sha256[:12] in extractor.encoder.runtime


def test_it_is_calibrated_once_also_by_processes_that_begin_together(tmp_path, footage, options, monkeypatch):
    calls = []
    calibrate = int8_tower.calibrate
    monkeypatch.setattr(int8_tower, "calibrate", lambda *args, **how: calls.append(1) or calibrate(*args, **how))
    extractors = [Extractor(options, store=tmp_path / "S") for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda extractor: prepare_int8(extractor, footage), extractors)
    assert first == second and len(calls) == 1
    assert prepare_int8(Extractor(options, store=tmp_path / "S"), []) == first, "no footage is needed any more"


def test_a_tower_that_deviates_is_refused_unless_accepted(store, footage, options):
    record = next(store.rglob("record.json"))
    strict = Extractor(replace(options, accept_deviation=False), store=store)
    for worst, fits in ((0.98, False), (0.99, True)):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"worst": worst}))
        assert prepare_int8(Extractor(options, store=store), footage).worst == worst
        if fits:
            assert prepare_int8(strict, footage).worst == worst
            continue
        with pytest.raises(ConfigError, match=r"0\.9800 worst.*--accept-deviation"):
            prepare_int8(strict, footage)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tower.bin", b"no weights"),
        ("tower.xml", b"no model"),
        ("record.json", b"{}"),
        ("record.json", b'{"schema": 1}'),
    ],
)
def test_a_damaged_tower_is_named(store, footage, options, name, content):
    next(store.rglob(name)).write_bytes(content)
    extractor = Extractor(options, store=store)
    with pytest.raises(StoreError, match="delete the folder"):
        prepare_int8(extractor, footage)
        _ = extractor.encoder


def test_too_little_footage_is_said(tmp_path, options, make_video):
    (tmp_path / "no_video.mp4").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="only 0 pictures"):
        prepare_int8(Extractor(options, store=tmp_path / "S"), [Source("no", str(tmp_path / "no_video.mp4"))])


def test_without_the_packages_the_extra_is_named(tmp_path, options, footage, monkeypatch):
    monkeypatch.setattr(int8_tower, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"vad-pipeline\[int8\]"):
        prepare_int8(Extractor(options, store=tmp_path / "S"), footage)


def test_what_it_cannot_do_is_said(tmp_path, toy_model):
    asked = EncoderConfig(toy_model, "random:0", device="cpu", precision="int8")
    with pytest.raises(ConfigError, match="--runtime torch"):
        ClipEncoder(asked)
    with pytest.raises(ConfigError, match="into a store"):
        ClipEncoder(replace(asked, runtime="auto"))
    with pytest.raises(ConfigError, match="no int8 tower"):
        ClipEncoder(replace(asked, runtime="auto"), int8=tmp_path)


def test_int8_features_never_answer_for_full_precision(store, footage, options):
    full = Extractor(replace(options, precision="fp32", runtime="torch"), store=store)
    rough = Extractor(options, store=store)
    with EmbeddingStore(store, create=True) as opened:
        first = extract_video(footage[0].path, rough, opened)
        assert first.precision == "int8" and extract_video(footage[0].path, rough, opened) == first
        exact = extract_video(footage[0].path, full, opened)
        assert exact.precision == "fp32" and exact.written_ns > first.written_ns
        assert extract_video(footage[0].path, rough, opened) == exact, "full precision answers for int8"
        extract_video(footage[1].path, rough, opened)
        shutil.copy(footage[1].path, store.parent / "copy.mp4")
        assert extract_video(store.parent / "copy.mp4", full, opened).precision == "fp32", "no copy of int8 features"


@pytest.mark.long
def test_nothing_is_sent_while_calibrating(tmp_path, toy_model, footage):
    """NNCF and OpenVINO report imports and quantisations where they may: no socket, no process may be opened."""
    program = f"""if True:
        import sys
        from pathlib import Path
        seen = []
        watched = ("socket.connect", "socket.getaddrinfo", "os.fork", "subprocess.Popen", "os.posix_spawn")
        sys.addaudithook(lambda event, args: event in watched and seen.append((event, str(args)[:200])))
        from vad_pipeline.extract.extractor import ExtractConfig, Extractor
        from vad_pipeline.extract.files import Source
        from vad_pipeline.extract.int8 import prepare_int8
        asked = dict(like="quick", model={toy_model!r}, pretrained="random:0", device="cpu", precision="int8")
        options = ExtractConfig(**asked, accept_deviation=True)
        prepare_int8(Extractor(options, store=Path({str(tmp_path / "S")!r})), [Source("0", {footage[0].path!r})])
        print([each for each in seen if each[0].startswith("socket") or "telemetry" in each[1]])
        print("openvino_telemetry" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[]", "False"]
    assert "CUDA" not in done.stderr
