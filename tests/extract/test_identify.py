"""Blind: features made by plain code under settings drawn by chance are identified from the video alone.

A small part of what `tests/bench/identify.py` does.
"""

import random
import runpy
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed.embed_video import embed_video
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import CLIP_WIDTH, Recipe
from vad_pipeline.extract.verify.identify import KEPT_BYTES, _affordable_rows, identify
from vad_pipeline.extract.verify.released import Released
from vad_pipeline.extract.verify.settings import Setting

others = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "bench" / "released_features.py")))
N_FRAMES = 260


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return others.panned_video(tmp_path_factory.mktemp("video") / "panned.mp4", n_frames=N_FRAMES)


@pytest.fixture(scope="module")
def copy(video):
    return others.encoded_again(video, video.with_name("copy.mp4"))


@pytest.fixture
def looked_at(tmp_path, toy_encoder):
    """looked_at(values, path) -> Identification of these values as the features of the video at path;
    looked_at.pictures is how many it embedded."""

    def look(values: np.ndarray, path: Path, yours: Setting | None = None, likely=()):
        np.save(tmp_path / "released.npy", values)
        released = Released.read(tmp_path / "released.npy", CLIP_WIDTH)
        embedded = []
        reading = partial(PyavReader, path)
        got = identify(reading, released, yours or Setting(), toy_encoder, likely=likely, on_images=embedded.append)
        look.pictures = sum(embedded)
        return got

    return look


@pytest.mark.parametrize("seed", (0, pytest.param(3, marks=pytest.mark.long)))
def test_a_setting_is_found(seed, video, toy_encoder, looked_at):
    truth = others.drawn_setting(random.Random(seed))
    values = others.released_features(video, truth, toy_encoder)
    if seed % 2:
        values = values.astype(np.float16)
    got = looked_at(values, video)
    best = got.best[0]
    assert got.verdict in ("identical", "same up to rounding") and best.error < 1e-4
    # the very setting, or what differs is said to fit as well, or to be the same picture for picture
    differing = {name for name, value in truth.steps().items() if value != best.setting.steps()[name]}
    equivalent = {"crop", "frames", "offset", "normalised", "rate"}
    assert differing <= set(got.unsettled) | equivalent
    assert got.best[1].error > 10 * best.error or got.unsettled


@pytest.mark.parametrize("seed", (10,))
def test_from_a_copy_encoded_again_what_can_be_told_is_found(seed, video, copy, toy_encoder, looked_at):
    truth = others.drawn_setting(random.Random(seed))
    got = looked_at(others.released_features(video, truth, toy_encoder), copy)
    assert got.verdict == "same protocol, other decoder"
    assert 0 < got.best[0].error < 2 * got.noise_error and got.rounding_error < got.noise_error
    mine, theirs = got.best[0].setting.steps(), truth.steps()
    for name in ("geometry", "crop", "frames", "offset", "rate"):
        assert mine[name] == theirs[name] or theirs[name] in got.unsettled.get(name, ()), name


def test_what_is_believed_is_tried_first_and_then_what_fitted_before(video, toy_encoder, looked_at):
    truth = Setting.of_recipe(
        Recipe(geometry="clip", frames_per_snippet=1), 0, activation="quickgelu", precision="fp32"
    )
    values = others.released_features(video, truth, toy_encoder)
    right, few = looked_at(values, video, truth), looked_at.pictures
    elsewhere, more = looked_at(values, video, likely=[truth]), looked_at.pictures
    assert right.verdict == elsewhere.verdict == "identical"
    assert not right.differing and set(elsewhere.differing) == {"geometry", "interpolation", "antialias", "frames"}
    assert elsewhere.differing["geometry"] == ("vadclip", "clip")
    assert few == 8 and more <= 8 + 8 * 16  # one a row; those of what was believed besides
    assert right.yours.equal and not elsewhere.yours.equal and elsewhere.best[0].equal


def test_another_activation_is_named(video, toy_encoder, looked_at):
    truth = Setting(frames="middle").with_pixels(activation="gelu")
    got = looked_at(others.released_features(video, truth, toy_encoder), video, Setting(frames="middle"))
    assert got.verdict == "identical" and got.differing == {"activation": ("quickgelu", "gelu")}


def test_a_precision_of_ones_own_is_tried_besides(video, toy_encoder, looked_at):
    yours = Setting(frames="middle").with_pixels(precision="bf16")
    values = others.released_features(video, Setting(frames="middle"), toy_encoder.with_precision("bf16"))
    got = looked_at(values, video, yours)
    assert got.verdict == "identical" and not got.differing
    plain = others.released_features(video, Setting(frames="middle"), toy_encoder)
    assert looked_at(plain, video, yours).differing == {"precision": ("bf16", "fp32")}


@pytest.mark.parametrize("n_frames", (1, 15, 17, 40))
def test_short_videos(n_frames, tmp_path, toy_encoder, looked_at):
    path = others.panned_video(tmp_path / "short.mp4", n_frames=n_frames)
    recipe = Recipe(frames_per_snippet=1, tail="keep")
    made = embed_video(PyavReader(path), video_id="v", recipe=recipe, crops=(0,), load_encoder=lambda: toy_encoder)
    got = looked_at(made.embeddings[0], path, Setting(frames="middle"))
    assert got.verdict == "identical" and got.n_own[1] == len(made.embeddings[0])


def test_more_rows_than_the_video_can_have(video, looked_at):
    values = np.random.default_rng(0).standard_normal((60, 512)).astype(np.float32)
    with pytest.raises(ConfigError, match=r"has 60 rows, the video's 260 frames give \d+ at most"):
        looked_at(values, video)
    fewer = looked_at(values[:5], video)
    assert fewer.verdict == "something else" and fewer.n_released == 5


def test_large_pictures_cost_rows_and_not_the_memory():
    info = SimpleNamespace(width=320, height=240)
    assert _affordable_rows(info, 1) == (8, 4) == _affordable_rows(info, 4)
    for width, height, rates in ((1920, 1080, 1), (1920, 1080, 4), (3840, 2160, 1), (8192, 4320, 1)):
        n_rows = sum(_affordable_rows(SimpleNamespace(width=width, height=height), rates))
        n_bytes = n_rows * width * height * 3 * 32 * rates
        assert n_rows >= 3 and (n_bytes <= KEPT_BYTES or n_rows == 3)
