"""Previews: frame i is the source's frame i, at its time, and can be reached by seeking."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.errors import ConfigError, VideoError
from vad_pipeline.pipeline.media.h264 import CLOCK_HZ, GOP_FRAMES, ticks
from vad_pipeline.pipeline.media.proxy import browser_plays, write_proxy

MILLISECOND = 1e-3


def frames_of(path):
    reader = PyavReader(path)
    frames = [frame.rgb() for frame in reader]
    info = reader.info()
    reader.close()
    return frames, info


def sought(path, index):
    """Frame `index` of a constant or variable-rate file, by seeking to its timestamp as a player does."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stamps = sorted(packet.pts for packet in container.demux(stream) if packet.size)
        container.seek(stamps[index], stream=stream, backward=True)
        for decoded, frame in enumerate(container.decode(stream), 1):
            if frame.pts == stamps[index]:
                return frame.to_ndarray(format="rgb24"), decoded
    raise AssertionError(f"frame {index} is not to be reached")


def test_an_hevc_file_becomes_one_that_browsers_play(tmp_path, make_numbered, read_numbers, number_of):
    source = make_numbered(
        tmp_path / "s.mp4", 70, codec="libx265", gop=250, options={"x265-params": "log-level=none:bframes=3:keyint=250"}
    )
    assert not browser_plays(source)
    info = write_proxy(source, tmp_path / "p.mp4")
    assert browser_plays(tmp_path / "p.mp4") and info.n_frames == 70
    numbers, seconds = read_numbers(tmp_path / "p.mp4")
    assert numbers == list(range(70))
    np.testing.assert_allclose(seconds, info.frame_seconds, atol=MILLISECOND)
    for index in (0, 1, 17, 47, 69):
        frame, decoded = sought(tmp_path / "p.mp4", index)
        assert number_of(frame) == index and decoded <= GOP_FRAMES


def test_real_surveillance_footage(shared, tmp_path):
    source = shared / "videos" / "vtest.avi"
    assert not browser_plays(source)
    write_proxy(source, tmp_path / "p.mp4", height=144)
    looked_at = (1, 100, 400, 793)
    wanted = {index + near for index in looked_at for near in (-1, 0, 1)}
    reader = PyavReader(source)
    small = {index: frame.rgb((192, 144)) for index, frame in enumerate(reader) if index in wanted}
    info = reader.info()
    frames, found = frames_of(tmp_path / "p.mp4")
    assert len(frames) == info.n_frames == 795 and frames[0].shape == (144, 192, 3)
    np.testing.assert_allclose(found.frame_seconds, info.frame_seconds, atol=MILLISECOND)

    def distance(one, other):
        return np.abs(one.astype(float) - other).mean()

    for index in looked_at:
        own = distance(frames[index], small[index])
        assert own < min(distance(frames[index], small[index - 1]), distance(frames[index], small[index + 1]))
        assert np.array_equal(sought(tmp_path / "p.mp4", index)[0], frames[index])


@pytest.mark.parametrize(
    "name",
    [
        "broken/decord_corrupted.mp4",
        "broken/mp4parse_no_timescale.mp4",
        "odd/decord_video_90.mov",
        "odd/mecavideo_Effet_force_magnetique.ogv",
        "odd/mmaction2_test.avi",
        "odd/moviepy_-video-with-dash-.mp4",
        "odd/visp_cube.mpeg",
    ],
)
def test_odd_and_damaged_footage(shared, tmp_path, name):
    info = write_proxy(shared / "videos" / name, tmp_path / "p.mp4", height=96)
    frames, found = frames_of(tmp_path / "p.mp4")
    assert len(frames) == info.n_frames == found.n_frames and frames[0].shape[0] <= 96
    np.testing.assert_allclose(found.frame_seconds[1:], info.frame_seconds[1:], atol=MILLISECOND)


def test_variable_rate_is_kept(tmp_path, make_numbered, read_numbers):
    steps = np.random.default_rng(0).integers(1, 90, 50)
    stamps = np.cumsum(steps).tolist()
    source = make_numbered(tmp_path / "s.mkv", 50, ticks=stamps, tick=Fraction(1, 1000))
    info = write_proxy(source, tmp_path / "p.mp4")
    numbers, seconds = read_numbers(tmp_path / "p.mp4")
    assert numbers == list(range(50)) and np.ptp(np.diff(seconds)) > 0.05
    np.testing.assert_allclose(seconds, info.frame_seconds, atol=MILLISECOND)


def test_footage_that_begins_late_begins_at_once(tmp_path, make_numbered, read_numbers):
    def early_sound(container):
        stream = container.add_stream("aac", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 8000, 0
        return lambda: container.mux(stream.encode(sound) + stream.encode(None))

    source = make_numbered(tmp_path / "s.mkv", 9, ticks=list(range(10, 19)), add=early_sound)
    info = write_proxy(source, tmp_path / "p.mp4")
    assert info.frame_seconds[0] == pytest.approx(0.4, abs=0.15)  # the encoder's own delay comes off
    numbers, seconds = read_numbers(tmp_path / "p.mp4")
    assert numbers == list(range(9)) and seconds[0] == 0
    np.testing.assert_allclose(seconds[1:], info.frame_seconds[1:], atol=MILLISECOND)


@pytest.mark.parametrize(("width", "height", "asked", "expected"), [
    (162, 98, 360, (98, 162)), (640, 480, 120, (120, 160)), (64, 48, 15, (16, 20)), (400, 2, 1, (2, 200)),
])  # fmt: skip
def test_sizes_are_even_and_nothing_is_enlarged(tmp_path, make_video, width, height, asked, expected):
    write_proxy(
        make_video(tmp_path / "s.mp4", n_frames=1, width=width, height=height), tmp_path / "p.mp4", height=asked
    )
    (frame,), _ = frames_of(tmp_path / "p.mp4")
    assert frame.shape[:2] == expected


def test_odd_sizes_and_other_pixels(tmp_path, make_video):
    source = make_video(tmp_path / "s.avi", n_frames=3, width=63, height=47, codec="ffv1", pix_fmt="yuv444p")
    write_proxy(source, tmp_path / "p.mp4")
    frames, _ = frames_of(tmp_path / "p.mp4")
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3 and browser_plays(tmp_path / "p.mp4")


def test_rotation_is_in_the_pixels(tmp_path, make_video, turn_quarter):
    source = turn_quarter(make_video(tmp_path / "s.mp4", n_frames=2, width=64, height=48))
    shown, _ = frames_of(source)
    assert shown[0].shape == (64, 48, 3)
    write_proxy(source, tmp_path / "p.mp4")
    frames, _ = frames_of(tmp_path / "p.mp4")
    assert frames[0].shape == (64, 48, 3) and np.abs(frames[0].astype(int) - shown[0]).mean() < 12
    with av.open(str(tmp_path / "p.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_what_cannot_be_read_or_written_leaves_nothing(tmp_path, make_video):
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    with pytest.raises(VideoError, match=r"no\.mp4"):
        write_proxy(tmp_path / "no.mp4", tmp_path / "out" / "p.mp4")
    (tmp_path / "cut.mp4").write_bytes(make_video(tmp_path / "s.mp4").read_bytes()[:900])
    with pytest.raises(VideoError):
        write_proxy(tmp_path / "cut.mp4", tmp_path / "out" / "p.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        write_proxy(tmp_path / "s.mp4", tmp_path / "file" / "p.mp4")
    assert not list(tmp_path.rglob(".partial*")) and not list((tmp_path / "out").glob("*"))


PLAYED = [
    ("a.mp4", "libx264", "yuv420p"),
    ("a.MP4", "libx264", "yuv420p"),
    ("a.m4v", "libx264", "yuv420p"),
    ("a.mov", "libx264", "yuv420p"),
    ("a.webm", "libvpx", "yuv420p"),
    ("a.webm", "libvpx-vp9", "yuv420p"),
]
NOT_PLAYED = [
    ("a.mov", "mpeg4", "yuv420p"),
    ("a.mp4", "libx264", "yuv444p"),
    ("a.mp4", "libx264", "yuv420p10le"),
    ("a.mp4", "mpeg4", "yuv420p"),
    ("a.mkv", "libx264", "yuv420p"),
    ("a.ts", "libx264", "yuv420p"),
    ("a.avi", "mpeg4", "yuv420p"),
    ("a.avi", "msmpeg4v3", "yuv420p"),
]


@pytest.mark.parametrize("file", PLAYED + NOT_PLAYED, ids="-".join)
def test_what_browsers_play(tmp_path, make_video, file):
    name, codec, pixels = file
    container = {"a.m4v": "a.mp4"}.get(name, name)
    path = make_video(tmp_path / container, n_frames=3, codec=codec, pix_fmt=pixels).rename(tmp_path / name)
    assert browser_plays(path) is (file in PLAYED)


def test_what_is_no_video_is_not_played(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"text")
    assert not browser_plays(tmp_path / "a.mp4") and not browser_plays(tmp_path / "none.mp4")


@pytest.mark.parametrize(("codec", "plays"), [("aac", True), ("ac3", False)])
def test_sound_that_browsers_do_not_know(tmp_path, make_numbered, codec, plays):
    def add(container):
        stream = container.add_stream(codec, rate=48000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 48000, 0
        return lambda: container.mux(stream.encode(sound) + stream.encode(None))

    assert browser_plays(make_numbered(tmp_path / "v.mp4", 20, bframes=0, add=add)) is plays


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from vad_pipeline.extract.errors import StoreError
from vad_pipeline.pipeline.media.proxy import write_proxy

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
source, target = map(Path, sys.argv[1:])
write_proxy(source, target)
size = target.stat().st_size
target.unlink()
for share in (0, 0.01, 0.3, 0.9, 0.999):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), resource.RLIM_INFINITY))
    try:
        write_proxy(source, target)
    except StoreError as error:
        assert str(target.parent) in str(error) and not list(target.parent.iterdir())
        print("told")
"""


def test_a_disk_that_fills_up_anywhere_is_told(tmp_path, make_video):
    source = make_video(tmp_path / "s.mp4", n_frames=60, width=320, height=240)
    command = [sys.executable, "-c", FULL_DISK, str(source), str(tmp_path / "out" / "p.mp4")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split() == ["told"] * 5, done.stderr


def test_ticks_never_meet():
    assert ticks([0, 1e-9, 2e-9, 1]).tolist() == [0, 1, 2, CLOCK_HZ]
