"""Files of several videos, as front and rear camera or two programs of a transport stream: each a video of its own."""

import base64
import csv
import io
import json
import re
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import av
import distributed
import numpy as np
import pytest
from PIL import Image
from seeded import seeded_checkpoint

from vad_pipeline.extract.decode.container import count_streams
from vad_pipeline.extract.decode.decord_reader import DecordReader
from vad_pipeline.extract.decode.reader import PyavReader, drained
from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.archive.selection import SelectionConfig, find_sources
from vad_pipeline.pipeline.media.roots import MediaRoots
from vad_pipeline.pipeline.results.clock import Clock
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.review.playback import Playback

REAR = 500  # the rear camera's frames are numbered from here on
N_FRONT, N_REAR = 96, 80
PACKET_BYTES = 188


def write_cameras(draw, path: Path, cameras, options=None, size=(160, 96)) -> Path:
    """A file with a video stream for each camera: (number of its first frame, how many frames)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as out:
        streams = []
        for _ in cameras:
            stream = out.add_stream("libx264", rate=Fraction(25))
            stream.width, stream.height = size
            stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
            stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 0
            streams.append(stream)
        for index in range(max(n for _, n in cameras)):
            for stream, (first, n) in zip(streams, cameras, strict=True):
                if index < n:
                    pixels = draw(first + index, size[1], size[0])
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def front_and_rear(draw, path: Path) -> Path:
    return write_cameras(draw, path, [(0, N_FRONT), (REAR, N_REAR)])


def crc_of_mpeg(data: bytes) -> bytes:
    """The CRC-32 of MPEG's tables: zlib's, with the bits of bytes and sum the other way round and not inverted."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2).to_bytes(4, "big")


def two_programs(draw, path: Path) -> Path:
    """A transport stream of two programs, front and rear, with a table of both."""
    packets = []
    for program, (first, n) in enumerate([(0, N_FRONT), (REAR, N_REAR)], 1):
        pids = {"mpegts_pmt_start_pid": str(0x1000 + program), "mpegts_start_pid": str(0x100 * program)}
        one = write_cameras(draw, path.with_name("one.ts"), [(first, n)], {"mpegts_service_id": str(program), **pids})
        data = one.read_bytes()
        packets.append([data[at : at + PACKET_BYTES] for at in range(0, len(data), PACKET_BYTES)])
        one.unlink()
    table = bytes.fromhex("00b0110001c10000") + b"".join(
        program.to_bytes(2, "big") + (0xE000 | 0x1000 + program).to_bytes(2, "big") for program in (1, 2)
    )
    table = b"\x47\x40\x00\x10\x00" + table + crc_of_mpeg(table)
    kept = [[each for each in some if int.from_bytes(each[1:3], "big") & 0x1FFF > 0x1F] for some in packets]
    mixed = [each for pair in zip(*kept, strict=False) for each in pair]
    shorter = min(map(len, kept))
    mixed += kept[0][shorter:] + kept[1][shorter:]
    path.write_bytes(table.ljust(PACKET_BYTES, b"\xff") + b"".join(mixed))
    return path


MAKERS = {"mp4": front_and_rear, "mkv": front_and_rear, "ts": two_programs}


@pytest.fixture(scope="module")
def cameras(tmp_path_factory, draw_numbered):
    """The same two cameras in each container: suffix -> file."""
    folder = tmp_path_factory.mktemp("cameras")
    return {suffix: make(draw_numbered, folder / f"cam.{suffix}") for suffix, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def both(request, cameras):
    return cameras[request.param]


@pytest.fixture
def extract(run_cli, tmp_path, toy_model):
    """extract(*arguments) with every stream a video -> exit code, outcomes by id, stderr."""

    def run(*arguments, streams="all"):
        code, out, err = run_cli(
            "extract", *arguments, "--store", tmp_path / "S", "--like", "quick", "--pretrained", "random:0",
            "--model", toy_model, "--device", "cpu", "--precision", "fp32", "--streams", streams,
        )  # fmt: skip
        newest = max((tmp_path / "S" / "outcomes").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        return (
            code,
            {line["video"]: line for line in map(json.loads, newest.read_text().splitlines()) if "video" in line},
            out + err,
        )

    return run


def held(store_path) -> dict:
    with EmbeddingStore(store_path) as store:
        return {entry.video: store.get(entry) for entry in store.entries()}


def read_stream(path, number, number_of):
    reader = PyavReader(path, stream=number)
    numbers = [number_of(frame.rgb()) for frame in reader]
    return numbers, reader.info()


def test_a_reader_reads_the_stream_it_is_told(both, number_of):
    assert count_streams(both) == 2
    for number, expected in ((1, range(N_FRONT)), (2, range(REAR, REAR + N_REAR))):
        numbers, info = read_stream(both, number, number_of)
        assert numbers == list(expected) and info.warnings == () and info.n_frames_header in (None, len(expected))
    with pytest.raises(VideoError, match="no video stream 3"):
        PyavReader(both, stream=3)


def test_each_stream_is_a_video_of_its_own(both, extract, tmp_path):
    code, outcomes, err = extract(both)
    assert code == 0, err
    said = {
        name: (line["status"], line["n_frames"], line["stream"], line["warnings"]) for name, line in outcomes.items()
    }
    assert said == {"cam": ("ok", N_FRONT, 1, []), "cam#2": ("ok", N_REAR, 2, [])}
    videos = held(tmp_path / "S")
    assert {name: (video.entry.stream, len(video.frame_seconds)) for name, video in videos.items()} == {
        "cam": (1, N_FRONT), "cam#2": (2, N_REAR)
    }  # fmt: skip
    assert not np.array_equal(videos["cam"].features[:, :5], videos["cam#2"].features[:, :5])
    assert "0 ok, 2 cached, 0 failed" in extract(both)[2]


def test_without_the_option_the_first_is_read_and_the_other_told(cameras, extract, tmp_path):
    _, outcomes, _ = extract(cameras["mp4"], streams="first")
    assert list(outcomes) == ["cam"] and "--streams all reads each" in outcomes["cam"]["warnings"][0]
    _, outcomes, _ = extract(cameras["mp4"])  # the features of the first are there
    assert list(outcomes) == ["cam#2"] and outcomes["cam#2"]["status"] == "ok"


def test_a_copy_is_taken_from_the_same_stream(cameras, extract, tmp_path):
    """Both streams have the size and the content of the one file."""
    (tmp_path / "again.mp4").write_bytes(cameras["mp4"].read_bytes())
    extract(cameras["mp4"])
    _, outcomes, _ = extract(tmp_path / "again.mp4")
    assert "same content as cam:" in outcomes["again"]["warnings"][0]
    assert "same content as cam#2:" in outcomes["again#2"]["warnings"][0]
    videos = held(tmp_path / "S")
    assert videos["again#2"].entry.stream == 2
    assert np.array_equal(videos["again#2"].features, videos["cam#2"].features)


def test_a_stream_that_fails_is_remembered_alone(extract, run_cli, tmp_path, draw_numbered):
    """The rear camera's packets are zeros: the front one is extracted whenever it is asked for."""
    path = tmp_path / "raw" / "a.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as out:
        front, rear = out.add_stream("mpeg4", rate=25), out.add_stream("mpeg4", rate=25)
        for stream in (front, rear):
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(draw_numbered(index, 96, 160), format="rgb24")
            out.mux(front.encode(frame))
            packet = av.Packet(bytes(64))
            packet.stream, packet.pts, packet.dts, packet.time_base = rear, index, index, Fraction(1, 25)
            out.mux(packet)
        out.mux(front.encode(None))
    code, outcomes, _ = extract(path)
    assert code == 1 and outcomes["a"]["status"] == "ok" and outcomes["a#2"]["code"] == "no_frames"
    run_cli("store", "rm", "--all", "--store", tmp_path / "S")
    code, outcomes, _ = extract(path)
    assert outcomes["a"]["status"] == "ok" and "failed before" in outcomes["a#2"]["error"]
    code, out, _ = run_cli("status", tmp_path / "S")
    assert "1 video fails" in out and "a.mkv (video stream 2): " in out


def test_an_id_that_a_file_has_already_is_a_clash(cameras, extract, tmp_path, draw_numbered):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "cam.mp4").write_bytes(cameras["mp4"].read_bytes())
    write_cameras(draw_numbered, tmp_path / "raw" / "cam#2.mp4", [(7, 20)])
    code, outcomes, _ = extract(tmp_path / "raw")
    assert code == 1 and outcomes["cam"]["status"] == "ok" and outcomes["cam#2"]["code"] == "id_clash"


def test_lists_globs_and_parts_know_the_ids(cameras, tmp_path):
    assert find_sources([str(cameras["mp4"])], SelectionConfig(match=("*#2",)), streams="all").sources[0].stream == 2
    listed = tmp_path / "list.txt"
    for line, expected in (("cam#2", ["cam#2"]), ("cam", ["cam"]), (str(cameras["mkv"]), ["cam", "cam#2"])):
        listed.write_text(f"{line}\n")
        found = find_sources([str(cameras["mkv"])], SelectionConfig(list_file=str(listed)), streams="all")
        assert [source.video_id for source in found.sources] == expected
    parts = [
        find_sources([str(cameras["mp4"])], SelectionConfig(part=f"{number}/3"), streams="all").sources
        for number in (1, 2, 3)
    ]
    assert sorted(source.video_id for part in parts for source in part) == ["cam", "cam#2"]


def test_check_and_a_dry_run_count_each(cameras, run_cli, tmp_path, toy_model):
    for options in ((), ("--deep",)):
        code, out, _ = run_cli("check", cameras["mkv"], "--streams", "all", "--json", *options)
        rows = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and [row["video"] for row in rows] == ["cam", "cam#2"]
        assert [row["warnings"] for row in rows] == [[], []]
    assert [row["n_frames"] for row in rows] == [N_FRONT, N_REAR]
    toy = ("--like", "quick", "--pretrained", "random:0", "--model", toy_model, "--device", "cpu")
    code, out, _ = run_cli("extract", cameras["mp4"], "--streams", "all", "--dry-run", "--store", tmp_path / "S", *toy)
    assert code == 0 and f"2 videos (0.00 h by header, {N_FRONT + N_REAR} frames" in out


def test_decord_is_refused_where_it_reads_another_stream_or_nobody_can_tell(cameras, tmp_path, draw_numbered):
    """decord chooses of several streams by itself, not always as FFmpeg does."""
    read, refused = [], []
    for number, n_frames in ((1, N_FRONT), (2, N_REAR)):
        try:
            read.append(drained(DecordReader(cameras["mp4"], stream=number)).n_frames == n_frames)
        except VideoError as error:
            refused.append(error.reason)
    assert read == [True] and len(refused) == 1 and refused[0].endswith("use --decoder pyav")
    twins = write_cameras(draw_numbered, tmp_path / "twins.mp4", [(0, 20), (REAR, 20)])
    with pytest.raises(VideoError, match="does not say which of its 2 video streams it reads; use --decoder pyav"):
        DecordReader(twins)


def test_workers_are_told_which_stream(cameras, run_cli):
    code, out, err = run_cli("check", cameras["ts"], "--streams", "all", "--workers", "1", "--deep", "--json")
    assert code == 0, err
    assert [json.loads(line)["n_frames"] for line in out.splitlines()] == [N_FRONT, N_REAR]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_every_backend_is_told_which_stream(backend, cameras, extract):
    if backend == "dask":
        with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
            code, outcomes, err = extract(cameras["ts"], "--backend", "dask", "--address", cluster.scheduler_address)
    else:
        code, outcomes, err = extract(cameras["ts"], "--workers", "2")
    assert code == 0, err
    assert {name: (line["n_frames"], line["stream"]) for name, line in outcomes.items()} == {
        "cam": (N_FRONT, 1), "cam#2": (N_REAR, 2)
    }  # fmt: skip


@pytest.fixture
def scored(draw_curve, draw_results, tmp_path):
    """scored(path) -> results whose curves are of both streams, with an event of 20 frames in each."""

    def make(path):
        curves = []
        for number, video_id in ((1, "cam"), (2, "cam#2")):
            info = drained(PyavReader(path, stream=number))
            times = dict(n_frames=info.n_frames, frame_seconds=info.frame_seconds, fps=info.fps)
            curves.append(draw_curve(video_id, [(40, 60)], source=path, stream=number, **times))
        return draw_results(*curves)

    return make


def test_clips_are_cut_from_their_stream(both, scored, run_cli, number_of, tmp_path):
    results = scored(both)
    code, _, err = run_cli("clips", results, "--out", tmp_path / "C", "--pre", "0", "--post", "0")
    assert code == 0, err
    with (tmp_path / "C" / "MANIFEST.csv").open() as file:
        clips = {row["video"]: tmp_path / "C" / row["clip"] for row in csv.DictReader(file)}
    assert clips["cam"].name == "cam@40-60.mp4" and "#" not in clips["cam#2"].name
    for video, first in (("cam", 0), ("cam#2", REAR)):
        numbers, _ = read_stream(clips[video], 1, number_of)
        assert set(range(first + 40, first + 60)) <= set(numbers) and all(number >= first for number in numbers)


def pictured(results, video, number_of) -> list[int]:
    """The numbers of the pictures that the page has of a video, and what it plays."""
    text = (results / "report" / "data" / f"{key_of(video)}.js").read_text("ascii")
    values = json.loads(re.search(r"vad\.receive\(\"[^\"]*\", (.*)\);\n$", text, re.DOTALL)[1])
    shown = {}
    for frame, address in values["pictures"].items():
        image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        shown[int(frame)] = number_of(np.asarray(image))
    return shown, values


def test_the_page_shows_and_plays_each_stream(both, scored, run_cli, number_of):
    results = scored(both)
    code, _, err = run_cli("report", results, "--proxy", "auto")
    assert code == 0 and "not shown" not in err, err
    for video, first in (("cam", 0), ("cam#2", REAR)):
        shown, values = pictured(results, video, number_of)
        assert shown and all(number == first + frame for frame, number in shown.items())
        if video == "cam#2":
            assert not values["playable"] and values["media"].startswith("media/")
            numbers, _ = read_stream(results / "report" / values["media"], 1, number_of)
            assert numbers == list(range(REAR, REAR + N_REAR))
    assert Playback.of("/gone/cam.mp4", MediaRoots(), 1).playable
    assert not Playback.of("/gone/cam.mp4", MediaRoots(), 2).playable


def test_from_footage_to_curves_and_back(cameras, run_cli, tmp_path, toy_model):
    """detect SRC: curves, tables and outcomes of both, and what the curve says of its footage."""
    extractor = Extractor(ExtractConfig(like="quick", model=toy_model, pretrained="random:0", device="cpu"))
    checkpoint = tmp_path / "c.safetensors"
    seeded_checkpoint(checkpoint, preset="ucf-crime", recipe=extractor.recipe, crop=0, seed=3, threshold=0.4)
    code, _, err = run_cli(
        "detect", cameras["mp4"], "--streams", "all", "--checkpoint", checkpoint, "--store", tmp_path / "S",
        "--out", tmp_path / "R", "--csv", "--device", "cpu", "--pretrained", "random:0", "--model", toy_model,
    )  # fmt: skip
    assert code == 0, err
    curves = {curve.video_id: curve for curve in Results.open(tmp_path / "R")}
    assert {name: (curve.stream, curve.n_frames) for name, curve in curves.items()} == {
        "cam": (1, N_FRONT), "cam#2": (2, N_REAR)
    }  # fmt: skip
    assert (tmp_path / "R" / "curves" / "cam#2.csv").exists()
    code, _, err = run_cli("detect", "--streams", "all", "--checkpoint", checkpoint, "--out", tmp_path / "R")
    assert code == 2 and "--streams says how SRC is extracted" in err


def test_a_second_stream_is_a_camera_of_its_own():
    clock = Clock.parse("{camera}/%Y-%m-%d/%H-%M-%S", "UTC")
    first, second = (clock.of(f"gate/2026-11-02/08-00-00{mark}") for mark in ("", "#2"))
    assert (first.camera, second.camera) == ("gate", "gate#2") and first.start == second.start


def test_ffmpeg_itself_makes_such_files(tmp_path, run_cli):
    """Two programs by the ffmpeg program, where there is one: whose tables are not ours."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1"]
    source += ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=2"]
    programs = ["-program", "title=front:st=0", "-program", "title=rear:st=1"]
    command = ["ffmpeg", "-v", "error", *source, "-map", "0", "-map", "1", "-c:v", "mpeg2video", *programs]
    try:
        subprocess.run([*command, str(tmp_path / "p.ts")], check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no ffmpeg program here")
    code, out, _ = run_cli("check", tmp_path / "p.ts", "--streams", "all", "--deep", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [(row["video"], row["width"], row["n_frames"]) for row in rows] == [
        ("p", 64, 25),
        ("p#2", 96, 50),
    ]
