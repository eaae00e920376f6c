"""embed_video against a plain loop over decoded frames, and its behaviour when something fails half-way."""

import itertools
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed.embed_video import Prefetched, embed_video
from vad_pipeline.extract.embed.geometry import crop_frames
from vad_pipeline.extract.embed.sampling import sample_positions, snippet_bounds
from vad_pipeline.extract.errors import VideoDecodeError
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe

FLOAT16_STEP = 2.0**-10  # relative


def plain_embeddings(path, recipe, crops, encoder) -> np.ndarray:
    """All frames in memory, one image at a time."""
    reader = PyavReader(path)
    frames = [frame.rgb() for frame in reader]
    reader.close()
    rows = []
    for start, end in snippet_bounds(len(frames), recipe):
        indices = [start + p for p in sample_positions(int(end - start), recipe.frames_per_snippet)]
        images = [crop_frames([frames[i]], recipe.geometry, crops)[0] for i in indices]
        rows.append(np.mean([[encoder.encode(image[None])[0] for image in crop] for crop in images], axis=0))
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("like", ["vadclip", "quick"])
@pytest.mark.parametrize("n_frames", [1, 16, 37])
def test_against_a_plain_loop(tmp_path, make_video, toy_encoder, like, n_frames):
    named = NAMED_RECIPES[like]
    path = make_video(tmp_path / "a.mp4", n_frames=n_frames)
    video = embed_video(
        PyavReader(path), video_id="a", recipe=named.recipe, crops=named.crops, load_encoder=lambda: toy_encoder
    )
    expected = plain_embeddings(path, named.recipe, named.crops, toy_encoder)
    assert video.embeddings.shape == expected.shape == (len(named.crops), len(video.snippet_seconds), 512)
    assert video.embeddings.dtype == np.float16
    np.testing.assert_allclose(video.embeddings, expected, rtol=FLOAT16_STEP, atol=1e-5)
    assert video.n_frames == video.info.n_frames == n_frames
    assert set(video.stage_seconds) == {"decode", "encode"}


def test_rows_are_independent_of_the_videos_end(tmp_path, make_video, toy_encoder):
    """The first snippets of a longer video are bit for bit those of a shorter one."""
    recipe = NAMED_RECIPES["quick"].recipe
    results = []
    for n_frames in (32, 128):
        path = make_video(tmp_path / f"{n_frames}.mkv", n_frames=n_frames, codec="ffv1", pix_fmt="yuv420p")
        results.append(
            embed_video(PyavReader(path), video_id="a", recipe=recipe, crops=(0,), load_encoder=lambda: toy_encoder)
        )
    short, long = results
    assert np.array_equal(short.embeddings, long.embeddings[:, :2])


class FailingReader:
    """Gives a few frames, then fails."""

    path = "broken.mp4"

    def __init__(self, n_frames: int, error: Exception | None):
        self.n_frames, self.error, self.closed = n_frames, error, False

    def __iter__(self):
        for _ in range(self.n_frames):
            yield self
        if self.error:
            raise self.error

    def rgb(self):
        return np.zeros((48, 64, 3), np.uint8)

    def info(self):
        raise VideoDecodeError(self.path, "no_frames", "nothing decodes")

    def close(self):
        self.closed = True


@pytest.mark.parametrize("n_frames", [0, 40])
def test_a_reader_that_fails_is_closed_and_its_error_arrives(toy_encoder, n_frames):
    reader = FailingReader(n_frames, VideoDecodeError("broken.mp4", "timeout", "hangs"))
    with pytest.raises(VideoDecodeError, match="hangs"):
        embed_video(reader, video_id="a", recipe=Recipe(), crops=(0,), load_encoder=lambda: toy_encoder)
    assert reader.closed


def test_no_frames_is_the_readers_to_say(toy_encoder):
    reader = FailingReader(0, None)
    with pytest.raises(VideoDecodeError, match="nothing decodes"):
        embed_video(reader, video_id="a", recipe=Recipe(), crops=(0,), load_encoder=lambda: toy_encoder)
    assert reader.closed


def test_an_encoder_that_fails_stops_the_decoding_thread(toy_encoder, monkeypatch):
    def broken(self, crops):
        raise RuntimeError("device lost")

    monkeypatch.setattr(type(toy_encoder), "encode", broken)
    reader = FailingReader(10**9, None)  # would decode for ever
    with pytest.raises(RuntimeError, match="device lost"):
        embed_video(reader, video_id="a", recipe=Recipe(), crops=(0,), load_encoder=lambda: toy_encoder)
    assert reader.closed and not any(thread.name == "decode" for thread in threading.enumerate())


def test_prefetch_is_bounded():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    prefetched = Prefetched(items(), depth=3)
    prefetched.begin()
    ready = iter(prefetched)
    first = next(ready)
    time.sleep(0.3)
    assert first == 0 and len(made) <= 6
    assert list(ready) == list(range(1, 100))
    prefetched.end()


def test_prefetching_has_ended_even_where_the_end_is_interrupted(monkeypatch):
    """Else a file would be closed while it is decoded, which crashes the process."""

    def items():
        for i in itertools.count():
            time.sleep(0.2)
            yield i

    prefetched = Prefetched(items(), depth=1)
    prefetched.begin()
    next(iter(prefetched))
    join, interruptions = threading.Thread.join, [KeyboardInterrupt, KeyboardInterrupt]

    def interrupted_join(thread):
        if interruptions:
            raise interruptions.pop()
        join(thread)

    monkeypatch.setattr(threading.Thread, "join", interrupted_join)
    with pytest.raises(KeyboardInterrupt):
        prefetched.end()
    assert not interruptions and not any(thread.name == "decode" for thread in threading.enumerate())


def test_long_and_thin_frames_are_refused(toy_encoder):
    class Thin(FailingReader):
        def rgb(self):
            return np.zeros((1, 200_000, 3), np.uint8)

    recipe = replace(Recipe(), geometry="clip")
    with pytest.raises(VideoDecodeError, match="--geometry vadclip") as caught:
        embed_video(Thin(20, None), video_id="a", recipe=recipe, crops=(0,), load_encoder=lambda: toy_encoder)
    assert caught.value.code == "too_large"


def test_low_precision_on_real_clips(shared, toy_model):
    """bf16 against fp32, both rounded to the store's float16, around the mean of several real clips (>= 0.99).

    Around a still clip's own mean, random weights leave little but rounding: tests/bench/precision.py reports that too.
    """
    from vad_pipeline.extract.embed.encoder import ClipEncoder
    from vad_pipeline.extract.embed.encoder_config import EncoderConfig

    recipe = NAMED_RECIPES["quick"].recipe
    clips = ["ucf/RoadAccidents017_x264.mp4", "odd/survnofight_nofi001.mp4", "ucf/Normal_Videos_063_x264.mp4"]
    outputs = {}
    for precision in ("fp32", "bf16"):
        encoder = ClipEncoder(EncoderConfig(model=toy_model, pretrained="random:0", device="cpu", precision=precision))
        outputs[precision] = np.concatenate(
            [
                embed_video(
                    PyavReader(shared / "videos" / name),
                    video_id=name,
                    recipe=recipe,
                    crops=(0,),
                    load_encoder=lambda encoder=encoder: encoder,
                )
                .embeddings[0]
                .astype(np.float32)
                for name in clips
            ]
        )
    centre = outputs["fp32"].mean(axis=0)
    exact, low = (torch.from_numpy(outputs[precision] - centre) for precision in ("fp32", "bf16"))
    assert torch.cosine_similarity(exact, low).min() >= 0.99


def test_rows_do_not_depend_on_their_blocks(tmp_path, make_video, toy_encoder, monkeypatch):
    from vad_pipeline.extract.embed import embed_video as embed

    path, recipe = make_video(tmp_path / "a.mp4", n_frames=150), NAMED_RECIPES["quick"].recipe
    options = {"video_id": "a", "recipe": recipe, "crops": (0, 5), "load_encoder": lambda: toy_encoder}
    whole = embed_video(PyavReader(path), **options).embeddings
    for rows in (1, 4, 5, 10):  # 10 snippets
        monkeypatch.setattr(embed, "ROWS_PER_BLOCK", rows)
        assert np.array_equal(embed_video(PyavReader(path), **options).embeddings, whole)
    assert whole.shape == (2, 10, 512)


def test_decoding_goes_on_while_the_encoder_is_loaded(tmp_path, make_video, toy_encoder):
    path = make_video(tmp_path / "v.mp4", n_frames=64)
    reader = PyavReader(path)
    decoded = threading.Event()

    class Watched:
        """The reader, which tells when a frame was asked for."""

        def __iter__(self):
            for frame in reader:
                decoded.set()
                yield frame

        def __getattr__(self, name):
            return getattr(reader, name)

    def load():
        assert decoded.wait(timeout=60), "nothing is decoded before the encoder is there"
        return toy_encoder

    named = NAMED_RECIPES["quick"]
    video = embed_video(Watched(), video_id="a", recipe=named.recipe, crops=named.crops, load_encoder=load)
    assert len(video.embeddings[0]) == 4
