"""What several rooms' tests need: a tiny image tower, rendered videos, real footage where it is to hand."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import struct
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vad_pipeline.extract.embed.encoder_config import WIDE_PRECISIONS
from vad_pipeline.extract.embed.ways import candidates
from vad_pipeline.extract.timings import CACHE_VARIABLE, Timings, remember, timings_path

ROOT = Path(__file__).parent.parent
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # begun by `nohup`: the tests of Ctrl-C would wait for ever
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["VAD_PIPELINE_RUNTIME"] = "torch"  # compiling a tower for every store would take most of the tests' time
TOY_CONFIG = {
    "model_cfg": {
        "embed_dim": 512,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 64, "width": 32, "heads": 1, "layers": 1},
    }
}

NARROW_CONFIG = {
    "model_cfg": {
        "embed_dim": 128,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 12},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.5, 0.25]},
}


def pytest_configure(config: pytest.Config) -> None:
    """Say that fp32 is fastest here: no test takes seconds to time this machine, all compute alike on any machine.

    Processes that share the tests have it from the one that started them.
    """
    if hasattr(config, "workerinput"):
        return
    folder = tempfile.mkdtemp(prefix="vad-timings-")
    config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    os.environ[CACHE_VARIABLE] = folder
    scored = [f"torch {precision}" for precision in WIDE_PRECISIONS]
    stages = {"extract": [" ".join(way) for way in candidates(torch.device("cpu"))], "detect": scored, "train": scored}
    stages |= {"train vadclip": scored, "train mil": scored, "int8": ["openvino int8"]}
    for threads, (stage, ways) in itertools.product(range(1, os.cpu_count() + 1), stages.items()):
        seconds = {way: 1.0 if way.endswith("fp32") else 9.0 for way in ways}
        remember(Timings(stage, "tests", {}, "2026-01-01", seconds), timings_path(stage, ways, threads=threads))


LONGEST = ("test_kills.py", "test_train_command.py", "test_workers.py", "test_training.py", "test_identify.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: where several processes share the tests, none is left with them alone at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real footage, labels and features; tests that need them skip without."""
    path = Path(os.environ.get("VAD_SHARED", ROOT.parent / "shared")).resolve()
    if not (path / "videos" / "MANIFEST.tsv").exists():
        pytest.skip(f"no real footage at {path} (VAD_SHARED)")
    return path


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory) -> str:
    """`--model` of a 512-wide tower that embeds an image in a millisecond."""
    folder = tmp_path_factory.mktemp("toy_model")
    (folder / "open_clip_config.json").write_text(json.dumps(TOY_CONFIG))
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> str:
    """`--model` of the toy tower for pictures of 96 px: a sixth of the pixels, for tests that resize in many ways."""
    folder = tmp_path_factory.mktemp("small_model")
    tower = TOY_CONFIG["model_cfg"]
    small = {**tower, "vision_cfg": {**tower["vision_cfg"], "image_size": 96}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": small}))
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def narrow_model(tmp_path_factory) -> str:
    """`--model` of a 128-wide tower that takes pictures of 64 px, normalised its own way, with a text tower as wide."""
    folder = tmp_path_factory.mktemp("narrow_model")
    (folder / "open_clip_config.json").write_text(json.dumps(NARROW_CONFIG))
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def toy_encoder(toy_model):
    """The toy tower, loaded."""
    from vad_pipeline.extract.embed.encoder import ClipEncoder
    from vad_pipeline.extract.embed.encoder_config import EncoderConfig

    return ClipEncoder(EncoderConfig(model=toy_model, pretrained="random:0", device="cpu", precision="fp32"))


def moving_pattern(index: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Frame `index` (H, W, 3): smooth, different everywhere and in every frame."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = 0.21 * index + seed
    channels = [
        np.sin(x / 17 + phase),
        np.sin(y / 23 - phase),
        np.sin((x + y) / 31 + 2 * phase),
    ]
    return (127.5 + 100 * np.stack(channels, axis=-1)).astype(np.uint8)


NUMBER_BITS = 10


def numbered(index: int, height: int, width: int) -> np.ndarray:
    """A frame (H, W, 3) that carries its number: a black or white column for each bit, the lowest on the left, in a
    grey frame that drifts, so that B-frames are worth something."""
    frame = np.full((height, width, 3), 100 + index % 40, np.uint8)
    for bit in range(NUMBER_BITS):
        left, right = (bit * width // NUMBER_BITS, (bit + 1) * width // NUMBER_BITS)
        frame[height // 4 : 3 * height // 4, left:right] = 235 if index >> bit & 1 else 20
    return frame


def _number_of(rgb: np.ndarray) -> int:
    """The number that a frame carries, whatever its size; AssertionError where a bit cannot be told."""
    height, width = rgb.shape[:2]
    columns = [slice((4 * bit + 1) * width // 40, (4 * bit + 3) * width // 40) for bit in range(NUMBER_BITS)]
    means = [float(rgb[2 * height // 5 : 3 * height // 5, column].mean()) for column in columns]
    assert all(mean < 80 or mean > 170 for mean in means), means
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 128)


@pytest.fixture(scope="session")
def number_of():
    """number_of(rgb): see `_number_of`."""
    return _number_of


@pytest.fixture(scope="session")
def draw_numbered():
    """draw_numbered(index, height, width) -> pixels: see `numbered`."""
    return numbered


@pytest.fixture(scope="session")
def make_numbered():
    """make_numbered(path, n_frames, codec=..., ticks=None, tick=1/25, gop=..., bframes=...): see `numbered`; `ticks`
    are the frames' timestamps in units of `tick`."""

    def make(
        path: Path, n_frames: int, *, codec="libx264", ticks=None, tick=Fraction(1, 25), gop=12, bframes=2,
        width=160, height=96, pix_fmt="yuv420p", options=None, add=None,
    ) -> Path:  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.time_base = tick
            stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, bframes
            stream.codec_context.thread_count = 1
            stream.options = options or {}
            extra = add(container) if add else None
            for index in range(n_frames):
                frame = av.VideoFrame.from_ndarray(numbered(index, height, width), format="rgb24")
                frame.pts, frame.time_base = (index if ticks is None else ticks[index]), tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if extra:
                extra()
        return path

    return make


@pytest.fixture(scope="session")
def read_numbers():
    """read_numbers(path) -> (numbers, seconds) of all frames, as the reader decodes them."""

    def read(path: Path) -> tuple[list[int], np.ndarray]:
        from vad_pipeline.extract.decode.reader import PyavReader

        reader = PyavReader(path)
        numbers = [_number_of(frame.rgb()) for frame in reader]
        seconds = reader.info().frame_seconds
        reader.close()
        return numbers, seconds

    return read


@pytest.fixture(scope="session")
def make_video():
    """Renders a video file: make_video(path, n_frames=40, width=64, height=48, fps=25, codec=..., seed=0)."""

    def make(
        path: Path, *, n_frames=40, width=64, height=48, fps=25, codec="libx264", seed=0, gop=12, pix_fmt="yuv420p"
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(fps))
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.gop_size = gop
            stream.codec_context.thread_count = 1
            for index in range(n_frames):
                frame = av.VideoFrame.from_ndarray(moving_pattern(index, height, width, seed), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def turn_quarter():
    """turn_quarter(path): an mp4's track header now says a quarter turn; returns the path."""

    def turn(path: Path) -> Path:
        data = bytearray(path.read_bytes())
        matrix = data.index(b"tkhd") + 4 + 40
        data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
        path.write_bytes(data)
        return path

    return turn


@pytest.fixture
def shards_read_here(monkeypatch):
    """Shards are read in this process, where a test can make reading fail."""
    from vad_pipeline.extract.store.own_process import OwnProcess

    monkeypatch.setattr(OwnProcess, "read", lambda self, paths, function, *given: function(*given))


@pytest.fixture
def run_cli(capfd):
    """Runs the command line in this process: run_cli("extract", ...) -> (exit code, stdout, stderr)."""
    import sys

    from vad_pipeline.pipeline import cli

    def run(*arguments) -> tuple[int, str, str]:
        old = sys.argv
        sys.argv = ["vad-pipeline", *map(str, arguments)]
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            sys.argv = old
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run
