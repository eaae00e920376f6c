"""Pictures along a curve: of every container, the sort that a seek goes astray in and those without times included."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vad_pipeline.extract.decode.reader import PyavReader, drained
from vad_pipeline.extract.errors import VideoError
from vad_pipeline.pipeline.media import pictures as pictures_module
from vad_pipeline.pipeline.media import seeking
from vad_pipeline.pipeline.media.footage import Footage, frame_index
from vad_pipeline.pipeline.media.pictures import pictures, told_missing
from vad_pipeline.pipeline.results.file_names import key_of

N_FRAMES, GOP = 320, 50
WANTED = [0, 1, 49, 50, 120, 121, 260, 319]
KINDS = {
    "v.mp4": "libx264",
    "v.ts": "libx264",
    "v2.ts": "mpeg2video",
    "v.mpg": "mpeg2video",
    "v.vob": "mpeg2video",
    "v.h264": "libx264",
    "v.m2v": "mpeg2video",
}
WRONG_TIMES = {"v.vob": 2}  # frames off: as PyAV writes it some times jump back


@pytest.fixture(scope="module")
def footage(tmp_path_factory, make_numbered):
    """File name -> its path and what decoding says of it."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {name: make_numbered(folder / name, N_FRAMES, codec=codec, gop=GOP) for name, codec in KINDS.items()}
    return {name: (str(path), drained(PyavReader(path))) for name, path in paths.items()}


def shown_in(found: dict[int, str], number_of) -> list[int]:
    """The numbers that the frames in pictures carry."""
    images = (Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) for address in found.values())
    return [number_of(np.asarray(image)) for image in images]


@pytest.mark.parametrize("name", KINDS)
def test_every_container_gives_the_pictures_asked_for(footage, name, number_of):
    path, info = footage[name]
    found = pictures(path, WANTED, info.frame_seconds)
    assert list(found) == WANTED
    off = np.abs(np.subtract(shown_in(found, number_of), WANTED))
    assert off.max() <= WRONG_TIMES.get(name, 0)


@pytest.mark.parametrize("name", KINDS)
def test_a_clip_reaches_what_a_picture_does(footage, name, number_of):
    path, info = footage[name]
    opened = Footage(path, None, frame_index(path, info.frame_seconds))
    for first, end in ((0, 3), (120, 124), (316, 320)):
        assert [number_of(frame.rgb()) for frame in opened.frames(first, end)] == list(range(first, end))


def test_key_frames_too_far_apart_are_decoded_once(footage, number_of, monkeypatch):
    path, info = footage["v.mp4"]
    passes = []
    counted = seeking.counted
    monkeypatch.setattr(seeking, "MOST_FRAMES", 20)
    monkeypatch.setattr(pictures_module, "counted", lambda *args, **of: passes.append(args) or counted(*args, **of))
    assert shown_in(pictures(path, WANTED, info.frame_seconds), number_of) == WANTED and len(passes) == 1


def test_what_breaks_off_keeps_the_pictures_before(footage, tmp_path, number_of):
    path, info = footage["v.ts"]
    half = tmp_path / "half.ts"
    whole = Path(path).read_bytes()
    half.write_bytes(whole[: len(whole) // 2])
    wanted = [0, 50, 260, 319]
    found = pictures(str(half), wanted, info.frame_seconds)
    assert shown_in(found, number_of) == list(found) == [0, 50], "the last frame there is stands for no later one"
    assert told_missing(wanted, found).startswith("2 of 4 pictures missing") and told_missing([0], {0: ""}) == ""
    (tmp_path / "none.h264").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(VideoError):
        pictures(str(tmp_path / "none.h264"), [0, 50], info.frame_seconds)


@pytest.mark.parametrize("name", ["v.ts", "v.h264"])
def test_the_review_page_has_them(footage, name, draw_curve, draw_results, run_cli):
    path, info = footage[name]
    times = {"n_frames": N_FRAMES, "frame_seconds": info.frame_seconds, "fps": 25}
    results = draw_results(draw_curve("a", [(100, 130)], source=path, **times))
    code, _, err = run_cli("report", results)
    assert code == 0 and "not shown in full" not in err
    text = (results / "report" / "data" / f"{key_of('a')}.js").read_text()
    video = json.loads(re.search(r"vad\.receive\(\"[^\"]*\", (.*)\);\n$", text, re.DOTALL)[1])
    assert {*map(str, video["strip"]), "100"} == set(video["pictures"])


@pytest.mark.parametrize("reads", ["cut off", "stops"])
def test_the_page_says_what_cannot_be_read_any_more(
    footage, draw_curve, draw_results, run_cli, tmp_path, monkeypatch, reads
):
    """A file that lost its second half, or whose disk fails there, after it was scored."""
    path, info = footage["v.ts"]
    data = Path(path).read_bytes()
    source = tmp_path / "half.ts"
    source.write_bytes(data if reads == "stops" else data[: len(data) // 2])
    if reads == "stops":
        stop_half_way(source, monkeypatch)
    times = {"n_frames": N_FRAMES, "frame_seconds": info.frame_seconds, "fps": 25}
    results = draw_results(draw_curve("a", [(300, 310)], source=source, **times))
    code, _, err = run_cli("report", results, "--proxy", "auto")
    assert code == 0 and "the footage of 1 video is not shown in full" in err, err
    assert " of 17 pictures missing" in err and "frames can be read where it had 320 when it was scored" in err
    assert not list((results / "report" / "media").glob("*.mp4"))


def test_where_the_disk_fails_what_came_before_is_kept(footage, tmp_path, monkeypatch, number_of):
    """The frames that are still in the decoder then, too."""
    source = tmp_path / "a.ts"
    source.write_bytes(Path(footage["v.ts"][0]).read_bytes())
    stop_half_way(source, monkeypatch)
    reader = PyavReader(source)
    numbers = [number_of(frame.rgb()) for frame in reader]
    info = reader.info()
    assert numbers[:80] == list(range(80)) and len(numbers) == info.n_frames < N_FRAMES
    np.testing.assert_allclose(info.frame_seconds, np.array(numbers) / 25, atol=1e-6)
    assert "reading stopped early (Input/output error): what came before it is kept" in info.warnings


def stop_half_way(source: Path, monkeypatch) -> None:
    """The disk fails from half of the file on."""

    class HalfReadable(io.FileIO):
        is_open = False  # FFmpeg bears what fails while it opens a file

        def read(self, n_bytes=-1):
            if self.is_open and self.tell() + n_bytes > source.stat().st_size // 2:
                raise av.error.OSError(5, "Input/output error")
            return super().read(n_bytes)

    opened = av.open

    def open_half(path, *more, **how):
        if path != str(source):
            return opened(path, *more, **how)
        file = HalfReadable(path)
        container = opened(file, *more, **how)
        file.is_open = True
        return container

    monkeypatch.setattr(av, "open", open_half)
