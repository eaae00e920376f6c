"""Ways in which features may have been made: frames against FFmpeg's own filter, pixels against what extract does."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from vad_pipeline.extract.embed.geometry import crop_frames
from vad_pipeline.extract.recipe import CROPS, GEOMETRIES, Recipe
from vad_pipeline.extract.verify.settings import FRAMES, Pixels, Setting, converted, n_rows, snippet_frames


def through_filter(frame_seconds: np.ndarray, rate: int) -> list[int]:
    """Which frame each output frame of FFmpeg's `fps` filter is; frames carry their number in their grey values."""
    graph = av.filter.Graph()
    base = Fraction(1, 90000)
    source = graph.add_buffer(width=16, height=16, format="gray", time_base=base)
    graph.link_nodes(source, graph.add("fps", str(rate)), graph.add("buffersink"))
    graph.configure()
    shown = []
    for number, seconds in [*enumerate(frame_seconds), (None, None)]:
        frame = None
        if number is not None:
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), number, np.uint8), format="gray")
            frame.pts, frame.time_base = round(seconds / base), base
            frame.duration = round(np.median(np.diff(frame_seconds)) / base)
        graph.push(frame)
        while True:
            try:
                shown.append(int(graph.pull().to_ndarray()[0, 0]))
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return shown


@pytest.mark.parametrize("fps", [12.5, 24, 25, 30000 / 1001, 50, 60])
@pytest.mark.parametrize("rate", [24, 25, 30])
def test_converted_frames_are_those_of_ffmpeg(fps, rate):
    seconds = np.arange(200) / fps
    assert converted(seconds, rate).tolist() == through_filter(seconds, rate)


def test_converted_frames_of_a_variable_rate_are_those_of_ffmpeg():
    seconds = np.concatenate([[0], np.cumsum(np.random.default_rng(3).choice([0.02, 0.04, 0.13], 199))])
    shown, theirs = converted(seconds, 25).tolist(), through_filter(seconds, 25)
    assert shown[: len(theirs)] == theirs[: len(shown)] and abs(len(shown) - len(theirs)) <= 1  # the last one's length
    assert converted(seconds, None).tolist() == list(range(200))


def test_which_frames_a_row_is_made_of():
    shown = np.arange(100, 140)
    for frames, expected in [
        ("first", [102 + 16]),
        ("middle", [110 + 16]),
        ("last", [117 + 16]),
        ("mean of 2", [106 + 16, 114 + 16]),
        ("mean of 16", list(range(118, 134))),
    ]:
        assert snippet_frames(Setting(frames=frames, offset=2), shown, 1).tolist() == expected
    assert snippet_frames(Setting(frames="last"), shown, 2).tolist() == [139]  # a shorter snippet
    assert snippet_frames(Setting(), shown, 3).tolist() == []
    assert n_rows(Setting(), shown) == (2, 3) and n_rows(Setting(offset=8), shown) == (2, 2)
    assert n_rows(Setting(offset=15), shown[:10]) == (0, 0)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_pixels_of_a_recipe_are_those_of_extract(geometry):
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    for crop in CROPS:
        setting = Setting.of_recipe(Recipe(geometry=geometry), crop, activation="gelu", precision="fp32")
        assert not setting.beyond_extract()
        pixels = setting.pixels.seen(setting.pixels.resized(frame))
        assert torch.equal(pixels, crop_frames([frame], geometry, (crop,))[0, 0])


def test_every_step_is_named_and_told_from_what_extract_can_do():
    plain = Setting()
    for change in [{"frames": "first"}, {"offset": 3}, {"rate": 25}, {"normalised": "frames"}]:
        (name,) = change
        assert Setting(**change).beyond_extract() == [name]
        assert [key for key, value in Setting(**change).steps().items() if value != plain.steps()[key]] == [name]
    for change in [{"geometry": "square"}, {"interpolation": "bicubic"}, {"antialias": True}, {"channels": "bgr"}]:
        (name,) = change
        assert plain.with_pixels(**change).beyond_extract() == [name]


def test_channels_and_mirrors_are_what_they_say():
    frame = np.random.default_rng(1).integers(0, 256, (256, 340, 3), np.uint8)
    plain, mirrored, swapped = (
        pixels.seen(pixels.resized(frame))
        for pixels in (Pixels(crop=1), Pixels(crop=6), Pixels(crop=1, channels="bgr"))
    )
    assert torch.equal(plain, torch.from_numpy(frame[:224, :224]).permute(2, 0, 1))
    assert torch.equal(mirrored, plain.flip(2)) and torch.equal(swapped, plain.flip(0))


def test_combinations_differ_only_where_they_must():
    rows = np.random.default_rng(0).standard_normal((4, 512)).astype(np.float32)
    no, frames, snippets = (Setting(normalised=how).combine(rows) for how in ("no", "frames", "snippets"))
    assert np.isclose(np.linalg.norm(snippets), 1) and np.linalg.norm(frames) < 0.9
    assert np.allclose(no / np.linalg.norm(no), snippets) and not np.allclose(frames / np.linalg.norm(frames), snippets)
    assert len(set(FRAMES)) == 18  # first, middle, last, means of 2 to 16
