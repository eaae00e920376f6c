"""Readers on rendered files, on broken ones, and on every real file of the manifest."""

import csv
import errno
import io
import itertools
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vad_pipeline.extract.decode import container
from vad_pipeline.extract.decode import reader as reader_module
from vad_pipeline.extract.decode.container import decoding_threads, open_container
from vad_pipeline.extract.decode.decoders import open_nvdec, reader_for
from vad_pipeline.extract.decode.decord_reader import DecordReader
from vad_pipeline.extract.decode.reader import PyavReader, drained, quarter_turns
from vad_pipeline.extract.decode.timeline import timeline
from vad_pipeline.extract.errors import VideoDecodeError, VideoError, VideoOpenError

DECORD_ACCEPTS = [
    "odd/decord_flipping_a_pancake.mkv",
    "odd/decord_video_90.mov",
    "odd/survnofight_nofi001.mp4",
    "odd/visp_cube.mpeg",
    "ucf/RoadAccidents017_x264.mp4",
]
DECORD_REFUSES = {
    "broken/decord_corrupted.mp4": "frames where the file holds",
    "odd/clipvideoencode_vid1.mp4": "74 frames where the file holds 56",
    "odd/torchcodec_av1_video.mkv": "cannot open it",
    "odd/torchcodec_h265_10bits.mp4": "over 8 bits",
    "odd/torchcodec_nasa_13013.mp4": "px where FFmpeg shows",
}


def read_all(path, decoder="pyav"):
    """Info and first frame's pixels."""
    reader = reader_for(decoder, "cpu")(path)
    try:
        first = None
        for frame in reader:
            if first is None:
                first = frame.rgb()
        return reader.info(), first
    finally:
        reader.close()


def failure(path, decoder="pyav") -> VideoError:
    with pytest.raises(VideoError) as caught:
        read_all(path, decoder)
    return caught.value


def manifest(shared: Path) -> list[dict]:
    with (shared / "videos" / "MANIFEST.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_rendered_video(tmp_path, make_video, decoder):
    path = make_video(tmp_path / "a.mp4", n_frames=37, width=64, height=48, fps=Fraction(30000, 1001))
    info, pixels = read_all(path, decoder)
    assert info.n_frames == 37 and info.fps == Fraction(30000, 1001)
    assert (info.width, info.height) == (64, 48) and pixels.shape == (48, 64, 3)
    np.testing.assert_allclose(info.frame_seconds, np.arange(37) * 1001 / 30000, atol=1e-3)
    assert info.retimed_frames == info.corrupt_packets == 0 and info.warnings == ()


def test_every_file_of_the_manifest(shared):
    for row in manifest(shared):
        path = shared / "videos" / row["file"]
        expected = int(row["decoded_frames"] or 0)
        if not expected:
            continue
        info, pixels = read_all(path)
        assert info.n_frames == expected, row["file"]
        assert info.corrupt_packets == int(row["corrupt_packets"] or 0), row["file"]
        assert (np.diff(info.frame_seconds) > 0).all(), row["file"]
        assert pixels.shape == (info.height, info.width, 3), row["file"]


def test_what_does_not_decode_has_its_code(shared):
    codes = {
        "linphone_leaving_dreams_audio_only.mkv": "no_video_stream",
        "moviepy_result_zero_bytes.webm": "zero_bytes",
        "mp4parse_invalid_userdata.mp4": "no_frames",
        "mp4parse_short-cenc.mp4": "encrypted",
    }
    for name, code in codes.items():
        error = failure(shared / "videos" / "broken" / name)
        assert error.code == code and name in str(error)


def test_rotation_is_applied(shared):
    path = shared / "videos" / "odd" / "decord_video_90.mov"
    info, pixels = read_all(path)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert (info.width, info.height) == (320, 568)
    assert np.array_equal(pixels, np.rot90(stored, -1))


@pytest.mark.parametrize(
    ("degrees", "turns"), [(0, 0), (90, 1), (-90, 3), (180, 2), (270, 3), (45, 0), (-2147483648, 0)]
)
def test_quarter_turns(degrees, turns):
    assert quarter_turns(degrees) == turns


def test_variable_rate_seconds_are_the_streams_own(shared):
    path = shared / "videos" / "odd" / "forensics_VID_20191220_170832.mp4"
    info, _ = read_all(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        own = sorted(float(p.pts * stream.time_base) for p in container.demux(stream) if p.pts is not None and p.size)
    np.testing.assert_allclose(info.frame_seconds, np.array(own) - own[0], atol=1e-3)
    assert np.ptp(np.diff(info.frame_seconds)) > 0.01  # it is of variable rate


def test_two_streams_the_first_real_one_counts(shared):
    info, _ = read_all(shared / "videos" / "odd" / "torchcodec_nasa_13013.mp4")
    assert (info.width, info.height) == (320, 180)
    info, _ = read_all(shared / "videos" / "ucf" / "Normal_Videos_015_x264.mp4")
    assert info.n_frames == 480  # the second stream is a 58x38 picture


def test_truncated_file_yields_what_is_there(tmp_path, make_video):
    whole = make_video(tmp_path / "whole.mkv", n_frames=100)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    info, _ = read_all(cut)
    assert 10 < info.n_frames < 100


def test_truncated_mp4_says_how_much_is_left(shared, tmp_path):
    whole = shared / "videos" / "ucf" / "Normal_Videos_063_x264.mp4"
    with (
        av.open(str(whole)) as container,
        av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(container.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    cut = tmp_path / "cut.mp4"
    data = (tmp_path / "fast.mp4").read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    info, _ = read_all(cut)
    assert 0 < info.n_frames < 355
    assert any(f"decoded {info.n_frames} of the 355 frames" in warning for warning in info.warnings)


class BadSector(io.FileIO):
    """A file of which only the first byte can be read."""

    def read(self, n_bytes: int) -> bytes:
        if n_bytes > 1:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(n_bytes)


class FailingOnce:
    """A container of which one read fails, as on a share that hiccups: FFmpeg raises, or takes it for the end."""

    def __init__(self, container, raises: bool, after: int = 5):
        self._container, self._raises, self._after = container, raises, after

    def __getattr__(self, name: str):
        return getattr(self._container, name)

    def demux(self, stream):
        yield from itertools.islice(self._container.demux(stream), self._after)
        if self._raises:
            raise av.error.OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("raises", [True, False])
def test_a_read_that_fails_on_the_way_is_no_damage(tmp_path, make_video, monkeypatch, raises):
    path = make_video(tmp_path / "a.mp4", n_frames=30)
    monkeypatch.setattr(reader_module, "open_container", lambda *a, **k: FailingOnce(open_container(*a, **k), raises))
    with pytest.raises(VideoDecodeError, match="a read of it failed on the way; .* run the same again") as caught:
        drained(PyavReader(path))
    assert caught.value.code == "unreadable"


def test_a_read_that_fails_at_the_beginning_is_tried_again(tmp_path, make_video, monkeypatch):
    path, tried = make_video(tmp_path / "a.mp4", n_frames=30), []

    def failing(*given, **options):
        tried.append(given)
        raise av.error.OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(reader_module, "open_container", failing)
    assert drained(PyavReader(path)).n_frames == 30 and len(tried) == 1
    monkeypatch.setattr(container, "open_container", failing)
    with pytest.raises(VideoOpenError, match="not a video FFmpeg can open") as caught:  # the file itself reads well
        PyavReader(path)
    assert caught.value.code == "not_a_video"
    monkeypatch.setattr(container.Path, "open", lambda path, _: BadSector(path))
    with pytest.raises(VideoOpenError, match="cannot be read") as caught:
        PyavReader(path)
    assert caught.value.code == "unreadable"


def test_corrupt_packets_in_the_middle_are_skipped_and_counted(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", n_frames=60, gop=10)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    for place in range(start + (len(data) - start) // 3, start + (len(data) - start) // 3 + 400):
        data[place] = 255
    path.write_bytes(bytes(data))
    info, _ = read_all(path)
    assert info.corrupt_packets > 0 and 30 < info.n_frames <= 60
    assert any("corrupt packets skipped" in warning for warning in info.warnings)


@pytest.mark.parametrize(("width", "height"), [(2, 2), (50, 34), (98, 2)])
def test_odd_sizes(tmp_path, make_video, width, height):
    info, pixels = read_all(make_video(tmp_path / "a.mp4", n_frames=3, width=width, height=height))
    assert pixels.shape == (height, width, 3) and info.n_frames == 3


def test_one_frame(tmp_path, make_video):
    info, _ = read_all(make_video(tmp_path / "a.mp4", n_frames=1))
    assert info.n_frames == 1 and info.frame_seconds.tolist() == [0.0]


def test_refused_files(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video " * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert failure(tmp_path / "text.mp4").code == "not_a_video"
    assert failure(tmp_path / "empty.mp4").code == "zero_bytes"
    assert failure(tmp_path / "missing.mp4").code == "unreadable"
    assert failure(tmp_path).code == "unreadable"


@pytest.mark.parametrize("name", DECORD_ACCEPTS)
def test_decord_agrees_where_it_is_accepted(shared, name):
    path = shared / "videos" / name
    theirs, their_pixels = read_all(path, "decord")
    ours, our_pixels = read_all(path, "pyav")
    assert theirs.n_frames == ours.n_frames
    np.testing.assert_allclose(theirs.frame_seconds, ours.frame_seconds, atol=1e-3)
    assert (
        np.abs(their_pixels.astype(int) - our_pixels.astype(int)).mean() < 2
    )  # grey levels; converters round differently


@pytest.mark.parametrize("name", DECORD_REFUSES)
def test_decord_is_refused_where_it_is_wrong(shared, name):
    error = failure(shared / "videos" / name, "decord")
    assert isinstance(error, VideoDecodeError) and DECORD_REFUSES[name] in str(error) and "--decoder pyav" in str(error)


def test_a_decord_that_hangs_is_killed(tmp_path, make_video, monkeypatch):
    monkeypatch.setattr("vad_pipeline.extract.decode.decord_reader.STALL_SECONDS", 0.5)
    path = make_video(tmp_path / "a.mp4")
    reader = DecordReader(path)
    reader._child.kill()
    reader._child.wait()
    import subprocess

    reader._child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE)
    with pytest.raises(VideoDecodeError) as caught:
        next(iter(reader))
    assert caught.value.code == "timeout"
    reader.close()
    assert reader._child.returncode is not None


def test_nvdec_without_a_gpu_says_so(tmp_path, make_video):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(VideoDecodeError, match="--decoder pyav"):
        open_nvdec(make_video(tmp_path / "a.mp4"))


def test_no_rate_in_the_header_is_taken_from_the_median(shared):
    info, _ = read_all(shared / "videos" / "odd" / "mecavideo_Effet_force_magnetique.ogv")
    assert info.fps == 25


def test_untagged_hd_is_bt709(tmp_path, make_video):
    """The same pixels come back when a file tagged BT.709 is compared with an untagged one of 720 lines."""
    path = make_video(tmp_path / "hd.mp4", n_frames=1, width=1280, height=720)
    info, pixels = read_all(path)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        as_601 = frame.to_ndarray(format="rgb24")
        as_709 = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    assert np.array_equal(pixels, as_709) and not np.array_equal(pixels, as_601)
    assert "colour matrix not stated: BT.709 assumed" in info.warnings


def test_frames_are_converted_only_on_demand(tmp_path, make_video):
    reader = PyavReader(make_video(tmp_path / "a.mp4"))
    frame = next(iter(reader))
    assert frame.frame.format.name == "yuv420p"
    reader.close()


def test_retiming_is_reported(shared):
    info, _ = read_all(shared / "videos" / "odd" / "mimetype_mkv.mkv")
    assert info.retimed_frames == 90
    assert any("90 frames retimed" in warning for warning in info.warnings)
    assert timeline(info.frame_seconds, info.fps)[2] == 0


def test_files_are_left_alone(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4")
    copy = shutil.copy(path, tmp_path / "b.mp4")
    read_all(path)
    assert path.read_bytes() == Path(copy).read_bytes()


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("4,2", 4), ("", 0), ("auto", 0)])
def test_threads_as_openmp_has_them(monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert decoding_threads() == threads
