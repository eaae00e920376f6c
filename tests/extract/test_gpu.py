"""The NVDEC route on a real GPU against the CPU route; without one these tests skip, or fail with VAD_REQUIRE_GPU=1."""

import contextlib
import os

import numpy as np
import pytest
import torch

from vad_pipeline.extract.decode.decoders import open_auto, open_nvdec
from vad_pipeline.extract.decode.reader import PyavReader, VideoInfo
from vad_pipeline.extract.embed.embed_video import embed_video
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.errors import NvdecFailed
from vad_pipeline.extract.recipe import NAMED_RECIPES

pytestmark = pytest.mark.gpu

MEAN_LEVELS = 2  # grey levels to the CPU route, on average over a frame
LEAST_COSINE = 0.99  # around the mean of unlike footage
CLIPS = ["ucf/RoadAccidents017_x264.mp4", "odd/survnofight_nofi001.mp4", "ucf/Normal_Videos_063_x264.mp4"]
OTHERS = ["odd/torchcodec_h265_10bits.mp4", "odd/decord_video_90.mov", "odd/forensics_VID_20191220_170832.mp4"]
VIT = "ViT-B-16-quickgelu"


@pytest.fixture(scope="module", autouse=True)
def gpu() -> torch.device:
    """The first GPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if os.environ.get("VAD_REQUIRE_GPU") == "1":
        pytest.fail("VAD_REQUIRE_GPU=1, and torch sees no GPU here")
    pytest.skip("torch sees no GPU here")


def read(opened) -> tuple[list[np.ndarray], VideoInfo]:
    with contextlib.closing(opened):
        return [frame.rgb() for frame in opened], opened.info()


def assert_same_as_on_the_cpu(path) -> None:
    ours, info = read(open_nvdec(path))
    theirs, expected = read(PyavReader(path))
    assert info.route == "pyav nvdec" and info.n_frames == expected.n_frames == len(ours)
    assert np.array_equal(info.frame_seconds, expected.frame_seconds)
    assert (info.width, info.height, info.fps) == (expected.width, expected.height, expected.fps)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).mean() <= MEAN_LEVELS, number


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mp4", "libx264", "yuv420p"), ("a.mkv", "libx265", "yuv420p10le"), ("a.webm", "libvpx-vp9", "yuv420p")],
)
def test_rendered_video(tmp_path, make_video, name, codec, pix_fmt):
    path = make_video(tmp_path / name, n_frames=70, width=320, height=240, codec=codec, pix_fmt=pix_fmt)
    assert_same_as_on_the_cpu(path)


def test_b_frames_arrive_in_order(tmp_path, make_numbered, number_of):
    frames, _ = read(open_nvdec(make_numbered(tmp_path / "a.mp4", 60, width=320, height=192)))
    assert [number_of(frame) for frame in frames] == list(range(60))


@pytest.mark.parametrize("name", [*CLIPS, *OTHERS])
def test_real_clip(shared, name):
    assert_same_as_on_the_cpu(shared / "videos" / name)


def test_frames_stay_on_the_device(tmp_path, make_video, gpu):
    path = make_video(tmp_path / "a.mp4", width=320, height=240)
    with contextlib.closing(open_nvdec(path)) as opened:
        assert next(iter(opened)).on_device().device == gpu


def test_many_files_one_after_the_other(tmp_path, make_video):
    """torch's context outlives FFmpeg's use of it."""
    path = make_video(tmp_path / "a.mp4", n_frames=20, width=320, height=240)
    for _ in range(20):
        assert read(open_nvdec(path))[1].n_frames == 20
    assert float(torch.ones(1, device="cuda").sum()) == 1


def test_a_codec_without_nvdec_is_software(shared):
    path = shared / "videos" / "vtest.avi"  # MS-MPEG4
    with pytest.raises(NvdecFailed, match="--decoder pyav"):
        open_nvdec(path)
    _, info = read(open_auto(path, device=0))
    assert info.route == "pyav cpu" and info.n_frames == 795 and "decoded in software" in info.warnings[0]


def assert_close_around_the_mean(cpu: torch.Tensor, gpu: torch.Tensor) -> None:
    centre = cpu.mean((0, 1))
    assert cpu.shape == gpu.shape
    assert torch.cosine_similarity(cpu - centre, gpu - centre, dim=-1).min() >= LEAST_COSINE


def embedded(paths, open_file, like: str, encoder: ClipEncoder) -> torch.Tensor:
    """(crops, snippets of all, 512)."""
    named = NAMED_RECIPES[like]
    options = {"video_id": "a", "recipe": named.recipe, "crops": named.crops, "load_encoder": lambda: encoder}
    videos = [embed_video(open_file(path), **options).embeddings for path in paths]
    return torch.from_numpy(np.concatenate(videos, axis=1)).float()


def encoders(model: str, precision: str) -> tuple[ClipEncoder, ClipEncoder]:
    """On the CPU in fp32, and on the GPU."""
    on_cpu = ClipEncoder(EncoderConfig(model, "random:0", device="cpu", precision="fp32"))
    return on_cpu, ClipEncoder(EncoderConfig(model, "random:0", device="cuda", precision=precision))


@pytest.mark.parametrize("like", ["vadclip", "quick"])
def test_embeddings_of_rendered_videos(tmp_path, make_video, make_numbered, toy_model, like):
    paths = [
        make_video(tmp_path / "a.mp4", n_frames=50, width=320, height=240),
        make_numbered(tmp_path / "b.mp4", 50, width=320, height=192),
    ]
    on_cpu, on_gpu = encoders(toy_model, "fp32")
    cpu, gpu = embedded(paths, PyavReader, like, on_cpu), embedded(paths, open_nvdec, like, on_gpu)
    assert_close_around_the_mean(cpu, gpu)
    assert "cuda (" in on_gpu.runtime and " cpu " in on_cpu.runtime


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_embeddings_of_real_clips(shared, precision):
    """The whole way: NVDEC, its crops, ViT-B/16 with random weights on the GPU; against all of it on the CPU."""
    paths = [shared / "videos" / name for name in CLIPS]
    on_cpu, on_gpu = encoders(VIT, precision)
    cpu, gpu = embedded(paths, PyavReader, "quick", on_cpu), embedded(paths, open_nvdec, "quick", on_gpu)
    assert_close_around_the_mean(cpu, gpu)


def test_the_command_records_the_route(tmp_path, make_video, toy_model, run_cli):
    import json

    make_video(tmp_path / "raw" / "a.mp4", width=320, height=240)
    make_video(tmp_path / "raw" / "b.avi", codec="msmpeg4")
    options = ("--store", tmp_path / "S", "--like", "quick", "--model", toy_model, "--pretrained", "random:0")
    code, _, err = run_cli("extract", tmp_path / "raw", *options)
    assert code == 0, err
    (log,) = (tmp_path / "S" / "outcomes").glob("*.jsonl")
    lines = {line["video"]: line for line in map(json.loads, log.read_text().splitlines())}
    assert {video: line["route"] for video, line in lines.items()} == {"a": "pyav nvdec", "b": "pyav cpu"}
    assert any("decoded in software" in warning for warning in lines["b"]["warnings"])
