"""What becomes of a file that NVDEC cannot do, at first or half-way; with a decoder that only pretends to be one."""

import contextlib
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from av import VideoFrame
from av.codec.hwaccel import HWAccel

from vad_pipeline.extract.decode import decoders, reader
from vad_pipeline.extract.decode.decoders import open_auto, open_in_software, open_nvdec
from vad_pipeline.extract.decode.device_frame import DeviceFrame
from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.device import resolve_device, stopping_where_the_device_fails
from vad_pipeline.extract.embed.embed_video import embed_video
from vad_pipeline.extract.errors import DeviceFailed, NvdecFailed, VideoDecodeError, VideoOpenError
from vad_pipeline.extract.lane import LANE_VARIABLE
from vad_pipeline.extract.recipe import NAMED_RECIPES

# before torch 2.8 what it raises then is a plain RuntimeError
DEVICE_GONE = getattr(torch, "AcceleratorError", lambda words, code: RuntimeError(words))


@pytest.fixture
def pretended(monkeypatch):
    """NVDEC played by software: surfaces in NV12 or P010, everything else as on a GPU. Returns what may be set:
    `accelerated`, whether there is a decoder for the codec."""
    state = {"accelerated": True}
    open_container, of = reader.open_container, DeviceFrame.of

    def laid_out(frame, path):
        name = frame.format.name
        wanted = {"yuv420p": "nv12", "yuv420p10le": "p010le"}.get(name, name)
        return of(frame.reformat(format=wanted), path)

    context = contextlib.nullcontext(HWAccel("cuda", is_hw_owned=True, allow_software_fallback=False))
    monkeypatch.setattr(decoders, "_in_torchs_context", lambda device: context)
    monkeypatch.setattr(reader, "open_container", lambda path, *, hwaccel=None: open_container(path))
    monkeypatch.setattr(PyavReader, "accelerated", property(lambda self: state["accelerated"]))
    monkeypatch.setattr(DeviceFrame, "of", laid_out)
    return state


def read(opened) -> tuple[list[np.ndarray], reader.VideoInfo]:
    with contextlib.closing(opened):
        return [frame.rgb() for frame in opened], opened.info()


def test_frames_times_and_route(tmp_path, make_video, pretended):
    path = make_video(tmp_path / "a.mp4", n_frames=37)
    ours, info = read(open_nvdec(path))
    theirs, expected = read(PyavReader(path))
    assert (info.route, expected.route) == ("pyav nvdec", "pyav cpu")
    assert info.n_frames == expected.n_frames == len(ours) == 37 and info.fps == expected.fps
    assert np.array_equal(info.frame_seconds, expected.frame_seconds) and info.warnings == ()
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(ours, theirs, strict=True)) < 2


def test_the_stream_asked_for_is_decoded(tmp_path, make_numbered, number_of, pretended):
    def another(container):
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)

        def write():
            for index in range(9):
                frame = VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

        return write

    path = make_numbered(tmp_path / "a.mkv", 30, add=another)
    for opened in (open_nvdec(path, stream=1), open_auto(path, device=0, stream=1)):
        frames, info = read(opened)
        assert [number_of(frame) for frame in frames] == list(range(30)) and info.warnings == ()
    frames, info = read(open_nvdec(path, stream=2))
    assert (info.width, info.n_frames, info.route) == (64, 9, "pyav nvdec")
    pretended["accelerated"] = False
    assert read(open_auto(path, device=0, stream=2))[1].width == 64


@pytest.mark.parametrize("like", ["vadclip", "quick"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_embeddings_stay_close(tmp_path, make_video, make_numbered, toy_encoder, pretended, like, pix_fmt):
    """Around the mean of unlike footage: around one alike clip's own, rounding decides."""
    paths = [
        make_video(tmp_path / "a.mkv", n_frames=50, width=320, height=240, pix_fmt=pix_fmt),
        make_numbered(tmp_path / "b.mkv", 50, pix_fmt=pix_fmt),
    ]

    def embedded(open_file) -> torch.Tensor:
        named = NAMED_RECIPES[like]
        options = {"video_id": "a", "recipe": named.recipe, "crops": named.crops, "load_encoder": lambda: toy_encoder}
        videos = [embed_video(open_file(path), **options) for path in paths]
        return torch.from_numpy(np.concatenate([video.embeddings for video in videos], axis=1)).float()

    cpu, gpu = embedded(PyavReader), embedded(open_nvdec)
    centre = cpu.mean((0, 1))
    assert torch.cosine_similarity(cpu - centre, gpu - centre, dim=-1).min() >= 0.99


def test_no_decoder_for_the_codec(tmp_path, make_video, pretended):
    pretended["accelerated"] = False
    path = make_video(tmp_path / "a.avi", codec="msmpeg4", n_frames=5)
    with pytest.raises(NvdecFailed, match="no decoder for this codec.*--decoder pyav"):
        open_nvdec(path)
    _, info = read(open_auto(path, device=0))
    assert info.route == "pyav cpu" and info.n_frames == 5
    assert info.warnings == ("decoded in software: NVDEC cannot decode it here (it has no decoder for this codec)",)


def test_a_bad_file_is_said_as_ever(tmp_path, pretended):
    (tmp_path / "a.mp4").write_text("this is no video " * 100)
    with pytest.raises(VideoOpenError) as caught:
        open_auto(tmp_path / "a.mp4", device=0)
    assert caught.value.code == "not_a_video"


def test_without_a_gpu_auto_is_software(tmp_path, make_video):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    _, info = read(open_auto(make_video(tmp_path / "a.mp4"), device=0))
    assert info.route == "pyav cpu" and "decoded in software" in info.warnings[0] and "\n" not in info.warnings[0]


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv422p"])
def test_other_sampling_is_refused_at_the_first_frame(tmp_path, make_video, pretended, pix_fmt):
    with pytest.raises(NvdecFailed, match=pix_fmt):
        next(iter(open_nvdec(make_video(tmp_path / "a.mp4", pix_fmt=pix_fmt))))


def test_a_packet_that_does_not_decode_is_left_to_software(tmp_path, make_video, pretended):
    path = make_video(tmp_path / "a.mp4", n_frames=60, gop=10)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    third = start + (len(data) - start) // 3
    data[third : third + 400] = b"\xff" * 400
    path.write_bytes(bytes(data))
    with pytest.raises(NvdecFailed, match="a packet is refused") as caught:
        read(open_nvdec(path))
    _, info = read(open_in_software(path, why=caught.value))
    assert info.corrupt_packets > 0 and "decoded in software" in info.warnings[0]


def test_fewer_frames_than_promised_are_left_to_software(tmp_path, make_video, pretended, monkeypatch):
    path = make_video(tmp_path / "a.mp4", n_frames=20)
    monkeypatch.setattr(PyavReader, "_decode", lambda self, packet: [])
    with pytest.raises(NvdecFailed, match="0 frames came of the 20"):
        read(open_nvdec(path))
    with pytest.raises(VideoDecodeError):  # software itself: as ever
        read(PyavReader(path))


def test_a_picture_cut_otherwise_is_left_to_software(tmp_path, make_video, pretended):
    opened = open_nvdec(make_video(tmp_path / "a.mp4"))
    opened._header_px = (60, 48)
    with pytest.raises(NvdecFailed, match="frames of 64x48 px where the file says 60x48 px"):
        next(iter(opened))


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(NvdecFailed.because("a.mp4", "no")))
    assert isinstance(error, NvdecFailed) and "(no)" in str(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"), "out of memory"),
        (DEVICE_GONE("CUDA error: an illegal memory access", 700), "the GPU failed"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "the GPU failed"),
    ],
)
def test_a_failing_gpu_stops_the_run(error, words):
    with pytest.raises(DeviceFailed, match=words) as caught, stopping_where_the_device_fails():
        raise error
    assert "\n" not in str(caught.value) and str(caught.value).endswith("run the same command again")


def test_other_errors_are_not_the_devices():
    with pytest.raises(RuntimeError, match="a bug"), stopping_where_the_device_fails():
        raise RuntimeError("a bug")


@pytest.mark.parametrize(("lane", "index"), [(None, 0), ("0", 0), ("1", 1), ("4", 1)])
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_worker_processes_take_gpus_in_turn(monkeypatch, device, lane, index):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    if lane is not None:
        monkeypatch.setenv(LANE_VARIABLE, lane)
    assert resolve_device(device) == torch.device("cuda", index)
    assert resolve_device("cuda:2") == torch.device("cuda", 2) and resolve_device("cpu").type == "cpu"
