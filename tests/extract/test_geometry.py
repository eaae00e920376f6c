"""Geometry against oracles: PIL for `clip`, a plain bilinear formula for `vadclip`, a test pattern for crops."""

import numpy as np
import pytest
import torch
from PIL import Image

from vad_pipeline.extract.embed.geometry import VADCLIP_SIZE_PX, crop_frames, crop_origin, resized_size
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import CLIP_PX

ONE_GREY_LEVEL = 1


def bilinear(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel-centred bilinear resize without antialias, in float64."""

    def axis(old: int, new: int):
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        return low, np.minimum(low + 1, old - 1), place - low

    y0, y1, fy = axis(frame.shape[0], height)
    x0, x1, fx = axis(frame.shape[1], width)
    frame = frame.astype(np.float64)
    top = frame[y0][:, x0] * (1 - fx)[None, :, None] + frame[y0][:, x1] * fx[None, :, None]
    bottom = frame[y1][:, x0] * (1 - fx)[None, :, None] + frame[y1][:, x1] * fx[None, :, None]
    return top * (1 - fy)[:, None, None] + bottom * fy[:, None, None]


def open_clip_pixels(frame: np.ndarray) -> np.ndarray:
    """open_clip's own preprocess on a PIL image, before normalisation: (3, 224, 224) in grey levels."""
    from open_clip.transform import image_transform
    from torchvision.transforms import Normalize

    transform = image_transform(CLIP_PX, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    assert isinstance(transform.transforms[-1], Normalize)
    return transform(Image.fromarray(frame)).numpy() * 255


def worst_level(ours, oracle) -> float:
    return float(np.abs(np.asarray(ours, np.float64) - oracle).max())


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(240, 320), (320, 568), (568, 320), (144, 48), (720, 1280), (224, 224), (1, 1), (301, 223)]
    smooth = [np.asarray(Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8)).resize((w, h))) for h, w in sizes]
    return [np.array(frame) for frame in smooth]


def test_clip_geometry_is_open_clips_own(frames):
    for frame in frames:
        ours = crop_frames([frame], "clip", (0,))[0, 0].numpy()
        assert worst_level(ours, open_clip_pixels(frame)) <= 1e-3, frame.shape


def test_vadclip_geometry_is_plain_bilinear(frames):
    for frame in frames:
        whole = bilinear(frame, *VADCLIP_SIZE_PX)
        top, left = crop_origin(0, *VADCLIP_SIZE_PX)
        oracle = whole[top : top + CLIP_PX, left : left + CLIP_PX].transpose(2, 0, 1)
        ours = crop_frames([frame], "vadclip", (0,))[0, 0].numpy()
        assert worst_level(ours, oracle) <= ONE_GREY_LEVEL, frame.shape


def test_geometry_on_real_frames(shared):
    from vad_pipeline.extract.decode.decoders import reader_for

    for name, decoder in [
        ("ucf/RoadAccidents133_x264.mp4", "pyav"),
        ("ucf/RoadAccidents133_x264.mp4", "decord"),
        ("vtest.avi", "pyav"),
        ("odd/decord_video_90.mov", "pyav"),
    ]:
        reader = reader_for(decoder, "cpu")(shared / "videos" / name)
        try:
            frame = next(iter(reader)).rgb()
        finally:
            reader.close()
        assert worst_level(crop_frames([frame], "clip", (0,))[0, 0], open_clip_pixels(frame)) <= 1e-3
        whole = bilinear(frame, *VADCLIP_SIZE_PX)
        corner = whole[:CLIP_PX, :CLIP_PX].transpose(2, 0, 1)
        assert worst_level(crop_frames([frame], "vadclip", (1,))[0, 0], corner) <= ONE_GREY_LEVEL


@pytest.mark.parametrize(("crop", "top", "left"), [(0, 16, 58), (1, 0, 0), (2, 0, 116), (3, 32, 0), (4, 32, 116)])
def test_each_crop_on_a_test_pattern(crop, top, left):
    """Pixel (y, x) of a 256 x 340 frame holds (y, x mod 256, x div 256): every crop is told apart."""
    y, x = np.mgrid[0:256, 0:340]
    pattern = np.stack([y, x % 256, x // 256], axis=-1).astype(np.uint8)
    expected = pattern[top : top + CLIP_PX, left : left + CLIP_PX]
    plain, mirrored = crop_frames([pattern], "vadclip", (crop, crop + 5))[0].permute(0, 2, 3, 1).numpy()
    assert np.array_equal(plain, expected)
    assert np.array_equal(mirrored, expected[:, ::-1])


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="geometry must be one of vadclip, clip, got 'square'"):
        resized_size("square", 1, 1)
    with pytest.raises(ConfigError, match="0 to 9, got 10"):
        crop_origin(10, 256, 340)


@pytest.mark.parametrize("geometry", ["vadclip", "clip"])
@pytest.mark.parametrize("sizes", [[(60, 80)] * 5, [(60, 80), (90, 80), (60, 80)], [(1080, 1920)] * 3])
def test_many_frames_give_what_each_gives_alone(geometry, sizes):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    together = crop_frames(frames, geometry, (0, 7))
    assert torch.equal(together, torch.cat([crop_frames([frame], geometry, (0, 7)) for frame in frames]))
