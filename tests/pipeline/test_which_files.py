"""What a folder holds beside plain videos: recorders' names, unknown kinds, folders that cannot be listed, files that
are something else, two videos in one file."""

import json
import os
from fractions import Fraction

import av
import numpy as np
import pytest

from vad_pipeline.extract.decode.reader import PyavReader, drained
from vad_pipeline.extract.errors import ConfigError, VideoError
from vad_pipeline.pipeline.archive.selection import SelectionConfig, find_sources
from vad_pipeline.pipeline.media import folder_walk
from vad_pipeline.pipeline.media.folder_walk import LARGE_BYTES, may_hold


@pytest.fixture
def recorder(tmp_path):
    """A recorder's folder: known names, unknown large and small ones, and what is surely no video."""
    sizes = {
        "09.00-10.00[M].dav": 1, "front.265": 1, "cam/ch2.AVC": 1, "a.mp4": 1,
        "one.dat": LARGE_BYTES, "cam/two.dat": LARGE_BYTES, "REC0001": LARGE_BYTES, "index.dat": LARGE_BYTES - 1,
        "photo.jpg": LARGE_BYTES, "list.csv": LARGE_BYTES, ".hidden": LARGE_BYTES, "lost+found/three.mp4": 1,
    }  # fmt: skip
    for name, size in sizes.items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)
    return tmp_path / "raw"


def found_in(folder, **options):
    config = SelectionConfig(**{name: options.pop(name) for name in ("match", "exclude") if name in options})
    return find_sources([str(folder)], config, **options)


def ids_of(found) -> set[str]:
    return {source.video_id for source in found.sources}


def test_recorders_names_are_known_and_what_is_passed_over_is_said(recorder):
    found = found_in(recorder)
    assert ids_of(found) == {"09.00-10.00[M]", "front", "cam/ch2", "a"}
    (note,) = found.notes
    assert note == f"{recorder}: 3 files passed over: .dat (2), no suffix (1); --any-suffix tries them"
    assert "1 file passed over: .dat (1)" in found_in(recorder, match=("cam/*",)).notes[0]


def test_any_suffix_tries_what_may_be_footage(recorder):
    found = found_in(recorder, any_suffix=True)
    assert ids_of(found) == {"09.00-10.00[M]", "front", "cam/ch2", "a", "one.dat", "cam/two.dat", "REC0001"}
    assert not found.notes


def test_a_folder_of_unknown_kinds_says_so(tmp_path):
    (tmp_path / "raw").mkdir()
    with (tmp_path / "raw" / "day.ifv").open("wb") as file:
        file.truncate(LARGE_BYTES)
    with pytest.raises(ConfigError, match=r"no videos in this folder.*1 file passed over: \.ifv \(1\); --any-suffix"):
        found_in(tmp_path / "raw")


@pytest.mark.parametrize(
    ("folder", "match", "exclude", "may"),
    [
        ("private", (), (), True),
        ("private", (), ("private/*",), False),
        ("private", (), ("priv*",), False),
        ("private", (), ("private/*.bak",), True),
        ("private", ("cam/*",), (), False),
        ("private", ("cam/*", "pr*"), (), True),
        ("cam/private", ("cam/*",), (), True),
        ("cam", ("cam/private/a*",), (), True),
        ("cam", ("*/night*",), (), True),
    ],
)
def test_which_folders_globs_leave_in(folder, match, exclude, may):
    assert may_hold(folder, match=match, exclude=exclude) is may


def test_a_folder_that_cannot_be_listed_fails_unless_it_is_left_out(recorder, monkeypatch):
    walk = os.walk

    def refusing(folder, onerror, **options):
        onerror(PermissionError(13, "Permission denied", os.path.join(folder, "private")))
        yield from walk(folder, onerror=onerror, **options)

    monkeypatch.setattr(folder_walk.os, "walk", refusing)
    ((video_id, error),) = found_in(recorder).failures
    assert video_id == "private" and error.code == "unreadable" and "--exclude" in error.reason
    for options in ({"exclude": ("private/*",)}, {"match": ("cam/*",)}):
        assert found_in(recorder, **options).failures == []


def webp(animated: bool) -> bytes:
    body = b"WEBPVP8X" + (10).to_bytes(4, "little") + bytes([2 if animated else 16]) + bytes(9)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"<HTML><head></head></html>" + bytes(300), "a web page"),
        (webp(True), "an animated WebP picture"),
    ],
)
def test_what_is_called_a_video_and_is_something_else_is_named(tmp_path, content, said):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=said):
        drained(PyavReader(tmp_path / "a.mp4"))


def two_streams(path, sizes=((96, 64), (64, 48))):
    with av.open(str(path), "w") as out:
        streams = []
        for width, height in sizes:
            stream = out.add_stream("mpeg4", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for _ in range(20):
            for stream in streams:
                pixels = np.zeros((stream.height, stream.width, 3), np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def test_a_second_video_in_a_file_is_said(tmp_path, run_cli):
    (tmp_path / "raw").mkdir()
    path = two_streams(tmp_path / "raw" / "front_rear.mp4")
    (told,) = drained(PyavReader(path)).warnings
    assert told.startswith("holds 2 video streams (96x64, 64x48 px): only the first is read")
    for options in ((), ("--deep",)):
        code, out, _ = run_cli("check", tmp_path / "raw", "--json", *options)
        assert code == 0 and json.loads(out)["warnings"] == [told]


def test_a_dry_run_does_not_take_unknown_for_nothing(tmp_path, make_video, run_cli, toy_model):
    raw = make_video(tmp_path / "raw" / "a.h264", n_frames=30)
    options = ("--store", tmp_path / "S", "--like", "quick", "--pretrained", "random:0", "--model", toy_model)
    assert "1 will do (of unknown length)" in run_cli("check", raw.parent)[1]
    code, out, _ = run_cli("extract", raw.parent, *options, "--dry-run", "--device", "cpu")
    assert code == 0 and "1 video (of unknown length) to extract" in out and "estimate: unknown" in out
    make_video(tmp_path / "raw" / "b.mp4", n_frames=30)
    assert "2 will do (1 s by header without 1 video of unknown length)" in run_cli("check", raw.parent)[1]
    assert "2 will do (2 s)" in run_cli("check", raw.parent, "--deep")[1]
    _, out, _ = run_cli("extract", raw.parent, *options, "--dry-run", "--device", "cpu")
    assert "2 videos (0.00 h by header, 30 frames, 2 images without 1 video of unknown length) to extract" in out
