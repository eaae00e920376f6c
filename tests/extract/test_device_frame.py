"""Colour, rotation and crops of frames on a device against the CPU's: DLPack planes of software frames lie on the CPU,
so that all of the arithmetic runs here."""

import itertools

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vad_pipeline.extract.decode.device_frame import DeviceFrame
from vad_pipeline.extract.decode.reader import PyavFrame, PyavReader
from vad_pipeline.extract.embed.geometry import crop_frames, crop_on_device
from vad_pipeline.extract.errors import NvdecFailed

MEAN_LEVELS = 2  # grey levels to swscale, on average over a picture
FULL, LIMITED = 2, 1  # AVColorRange
MATRICES = {"BT.709": 1, "untagged": 2, "BT.601": 6, "SMPTE 240M": 7, "BT.2020": 9}
REAL = [
    "ucf/RoadAccidents133_x264.mp4",
    "odd/forensics_VID_20191220_170832.mp4",
    "odd/torchcodec_h265_10bits.mp4",
    "odd/visp_cube.mpeg",
    "odd/decord_video_90.mov",
    "vtest.avi",
]


def picture(height: int, width: int) -> np.ndarray:
    """Smooth, of many colours, with an edge."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pixels = 127.5 + 110 * np.stack([np.sin(x / 17), np.sin(y / 23), np.sin((x + y) / 31)], axis=-1)
    pixels[height // 2 :, : width // 3] = (230, 60, 30)
    return pixels.astype(np.uint8)


def decoded(height: int, width: int, *, bits: int, colorspace: int = 6, color_range: int = LIMITED) -> av.VideoFrame:
    """A frame as a software decoder gives it, tagged."""
    wanted = "yuv420p" if bits == 8 else "yuv420p10le"
    frame = av.VideoFrame.from_ndarray(picture(height, width), format="rgb24")
    frame = frame.reformat(format=wanted, dst_color_range=color_range)
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


def on_device(frame: av.VideoFrame) -> DeviceFrame:
    """The same frame as NVDEC lays it out."""
    return DeviceFrame.of(frame.reformat(format="p010le" if "10" in frame.format.name else "nv12"), "a.mp4")


def difference(frame: av.VideoFrame) -> float:
    theirs, ours = PyavFrame(frame, "a.mp4").rgb(), on_device(frame).rgb()
    assert ours.shape == theirs.shape and ours.dtype == np.uint8
    return float(np.abs(ours.astype(int) - theirs).mean())


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(("bits", "color_range"), [(8, LIMITED), (8, FULL), (10, LIMITED), (10, FULL)])
def test_colour_is_swscales(matrix, bits, color_range):
    frame = decoded(240, 320, bits=bits, colorspace=MATRICES[matrix], color_range=color_range)
    assert difference(frame) <= MEAN_LEVELS


def test_matrix_and_range_are_told_apart():
    """Another matrix or range is further off than the tolerance: the test above can fail."""
    frame = decoded(240, 320, bits=8, colorspace=1, color_range=LIMITED)
    right = on_device(frame)
    for name, value in {"red_and_blue": (0.299, 0.114), "full_range": True}.items():
        wrong = on_device(frame)
        setattr(wrong, name, value)
        assert np.abs(wrong.rgb().astype(int) - right.rgb()).mean() > MEAN_LEVELS, name


def test_untagged_hd_is_bt709_and_an_unsaid_range_limited():
    small = on_device(decoded(480, 640, bits=8, colorspace=2, color_range=0))
    large = decoded(720, 1280, bits=8, colorspace=2, color_range=0)
    assert small.red_and_blue == (0.299, 0.114) and not small.full_range
    assert on_device(large).red_and_blue == (0.2126, 0.0722) and difference(large) <= MEAN_LEVELS


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize(("height", "width"), [(241, 320), (240, 321), (241, 321), (2, 2)])
def test_odd_sizes(height, width, bits):
    """PyAV leaves the last chroma row or column of an odd size out: its neighbour stands in."""
    assert difference(decoded(height, width, bits=bits)) <= MEAN_LEVELS


@pytest.mark.parametrize("name", REAL)
def test_real_frames(shared, name):
    reader = PyavReader(shared / "videos" / name)
    frames = [frame.frame for frame in itertools.islice(reader, 3)]
    assert difference(frames[-1]) <= 1  # measured: 0.7 at most
    reader.close()


def test_rotation_is_the_cpus(tmp_path, make_video, turn_quarter):
    reader = PyavReader(turn_quarter(make_video(tmp_path / "a.mp4", n_frames=2)))
    frame = next(iter(reader))
    assert frame.rgb().shape == (64, 48, 3) and difference(frame.frame) <= MEAN_LEVELS
    reader.close()


def test_what_is_not_converted_goes_back_to_software():
    frame = decoded(48, 64, bits=8).reformat(format="yuv444p")
    with pytest.raises(NvdecFailed, match="yuv444p"):
        DeviceFrame.of(frame, "a.mp4")
    frame = decoded(48, 64, bits=8).reformat(format="nv12")
    frame.colorspace = 8  # YCgCo
    with pytest.raises(NvdecFailed, match="colour matrix, number 8"):
        DeviceFrame.of(frame, "a.mp4")


def test_planes_are_copied():
    """The decoder reuses its surfaces; a snippet's frames are held for long."""
    frame = decoded(48, 64, bits=8).reformat(format="nv12")
    ours = DeviceFrame.of(frame, "a.mp4")
    before = ours.rgb()
    torch.from_dlpack(frame.planes[0]).zero_()
    assert np.array_equal(ours.rgb(), before)


SIZES = [(240, 320), (320, 568), (568, 320), (144, 48), (720, 1280), (224, 224), (1, 1), (301, 223)]


@pytest.mark.parametrize(("geometry", "levels"), [("vadclip", 0), ("clip", 2)])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_crops_are_the_cpus(geometry, levels, height, width):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8))
    frames = [np.array(noise.resize((width, height))), rng.integers(0, 256, (height, width, 3), np.uint8)]
    expected = crop_frames(frames, geometry, (0, 7))
    ours = crop_on_device([torch.from_numpy(frame) for frame in frames], geometry, (0, 7))
    assert ours.shape == expected.shape and ours.dtype == torch.uint8
    apart = (ours.int() - expected.int()).abs()
    assert apart.max() <= levels and apart.float().mean() <= 0.01


def test_crops_of_other_sizes_are_the_cpus():
    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for px in (64, 336):
        for geometry, levels in (("vadclip", 0), ("clip", 2)):
            expected = crop_frames([frame], geometry, (0, 7), px=px)
            ours = crop_on_device([torch.from_numpy(frame)], geometry, (0, 7), px=px)
            assert ours.shape == expected.shape == (1, 2, 3, px, px)
            assert (ours.int() - expected.int()).abs().max() <= levels


def test_clip_crops_of_real_frames(shared):
    for name in ("ucf/RoadAccidents133_x264.mp4", "vtest.avi", "odd/forensics_VID_20191220_170832.mp4"):
        reader = PyavReader(shared / "videos" / name)
        frame = next(iter(reader)).rgb()
        reader.close()
        ours = crop_on_device([torch.from_numpy(frame)], "clip", (0,))
        apart = (ours.int() - crop_frames([frame], "clip", (0,)).int()).abs()
        assert apart.max() <= 2 and apart.float().mean() <= 0.01, name  # as documented: one here, two elsewhere
