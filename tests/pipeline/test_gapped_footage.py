"""Footage whose clock leaps: two recordings in one MPEG-TS file, a single wrong timestamp, a trim that copies."""

import json

import av
import numpy as np
import pytest

from vad_pipeline.extract import extraction, retiming
from vad_pipeline.extract.decode.reader import PyavReader, drained
from vad_pipeline.extract.files import SourceFile
from vad_pipeline.extract.retiming import TIMES_ANEW
from vad_pipeline.extract.store import stored
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

PACKET, CLOCK_HZ = 188, 90_000
N_FRAMES = 120  # of each half


@pytest.fixture
def joined(tmp_path, make_numbered):
    """joined(name, later=SECONDS): two recordings one after the other, the second's clock that much later."""

    def join(name, *, later, n_frames=N_FRAMES, **how):
        path = tmp_path / "raw" / name
        parts = []
        for part, start in enumerate((0, later)):
            file = tmp_path / f"{part}.ts"
            ticks = [round(25 * start) + index for index in range(n_frames)]
            parts.append(make_numbered(file, n_frames, ticks=ticks, bframes=0, **how).read_bytes())
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(parts))
        return path

    return join


def shift_stamp(path, frame: int, seconds: float) -> None:
    """One frame of an MPEG-TS file without B-frames bears a later presentation timestamp."""
    data, found = bytearray(path.read_bytes()), -1
    for start in range(0, len(data), PACKET):
        flags = data[start + 3] >> 4
        body = start + 4 + (1 + data[start + 4] if flags & 2 else 0)
        if not data[start + 1] & 0x40 or data[body : body + 4] != b"\0\0\1\xe0":
            continue
        found += 1
        if found == frame:
            stamp = data[body + 9 : body + 14]
            value = (stamp[0] >> 1 & 7) << 30 | stamp[1] << 22 | stamp[2] >> 1 << 15 | stamp[3] << 7 | stamp[4] >> 1
            value = (value + round(seconds * CLOCK_HZ)) % 2**33
            data[body + 9 : body + 14] = bytes(
                [stamp[0] & 0xF0 | value >> 29 & 14 | 1, value >> 22 & 255, value >> 14 & 254 | 1, value >> 7 & 255]
                + [value << 1 & 254 | 1]
            )
    path.write_bytes(data)


@pytest.fixture
def extract(run_cli, tmp_path, toy_model):
    """extract(*arguments) -> exit code, and the outcome lines by video."""

    def run(*arguments):
        fixed = ("--store", tmp_path / "S", "--like", "quick", "--pretrained", "random:0", "--model", toy_model)
        code, _, err = run_cli("extract", *(arguments or [tmp_path / "raw"]), *fixed, "--device", "cpu")
        newest = max((tmp_path / "S").glob("outcomes/*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        lines = map(json.loads, newest.read_text().splitlines())
        return code, {line["video"]: line for line in lines if "video" in line}, err

    return run


def test_one_late_stamp_moves_no_other_frame(joined, make_numbered, tmp_path):
    path = make_numbered(tmp_path / "v.ts", 150, bframes=0)
    right = drained(PyavReader(path)).frame_seconds
    shift_stamp(path, 40, 70)
    info = drained(PyavReader(path))
    np.testing.assert_allclose(info.frame_seconds, right, atol=1e-6)
    assert info.retimed_frames == 1 and "1 frame retimed" in info.warnings[0] and not info.gaps


def test_a_gap_is_told_by_the_outcome_and_by_check(joined, extract, run_cli, tmp_path):
    joined("wrap.ts", later=2**32 / CLOCK_HZ)
    code, outcomes, _ = extract()
    ((start, end),) = outcomes["wrap"]["gaps"]
    assert code == 0 and start == pytest.approx(N_FRAMES / 25, abs=0.001) and end == pytest.approx(47_721.86, abs=0.1)
    (told,) = outcomes["wrap"]["warnings"]
    assert told == "1 gap without footage: 0:00:04.8 for 13:15:17"
    _, out, _ = run_cli("check", tmp_path / "raw", "--deep", "--json")
    row = json.loads(out)
    assert row["gaps"] == [[start, end]] and row["seconds"] == pytest.approx(2 * N_FRAMES / 25, abs=0.01)
    assert row["warnings"] == [told]
    with EmbeddingStore(tmp_path / "S") as store:
        video = store.get(store.entries()[0])
    lengths = np.diff(video.snippet_seconds, axis=1)[:, 0]
    assert lengths[7] > 40_000 and np.delete(lengths, 7).max() < 0.7  # the snippet that holds the gap, and it alone


@pytest.mark.parametrize("bframes", [0, 2])
def test_the_header_of_an_mp4_file_tells_its_gaps(make_numbered, run_cli, tmp_path, toy_model, bframes):
    """Without decoding, `check` and a dry run count footage, as `check --deep` does; what others say is by header."""
    ticks = [index if index < 60 else 50_000 + index for index in range(120)]
    make_numbered(tmp_path / "raw" / "leap.mp4", 120, ticks=ticks, bframes=bframes)
    rows = [json.loads(run_cli("check", tmp_path / "raw", "--json", *deep)[1]) for deep in ((), ("--deep",))]
    assert rows[0]["seconds"] == pytest.approx(rows[1]["seconds"], abs=0.1) and rows[0]["seconds"] < 5
    assert not rows[0]["variable_rate"] and not rows[1]["variable_rate"]
    assert rows[0]["fps"] == pytest.approx(rows[1]["fps"], rel=0.02)
    np.testing.assert_allclose(rows[0]["gaps"], rows[1]["gaps"], atol=0.1)
    assert rows[0]["warnings"][0].endswith("for 0:33:20") and "1 gap without footage" in rows[0]["warnings"][0]
    assert "will do (5 s by header)" in run_cli("check", tmp_path / "raw")[1]
    assert "will do (5 s)" in run_cli("check", tmp_path / "raw", "--deep")[1]
    toy = ("--like", "quick", "--pretrained", "random:0", "--model", toy_model, "--device", "cpu")
    _, out, _ = run_cli("extract", tmp_path / "raw", "--dry-run", "--store", tmp_path / "S", *toy)
    assert "1 video (0.00 h by header, 120 frames" in out


def trimmed(source, target, at: float):
    """A trim that copies: it begins with a key frame before `at`, and an edit list hides what comes before `at`."""
    with av.open(str(source)) as read, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = read.streams.video[0]
        copy = out.add_stream_from_template(stream)
        read.seek(round(at / stream.time_base), stream=stream)
        for packet in read.demux(stream):
            if packet.size:
                packet.pts, packet.dts = (stamp - round(at / stream.time_base) for stamp in (packet.pts, packet.dts))
                packet.stream = copy
                out.mux(packet)
    return target


@pytest.mark.parametrize("bframes", [0, 2])
def test_a_trim_that_copies_is_no_damage(tmp_path, make_numbered, read_numbers, run_cli, bframes):
    source = make_numbered(tmp_path / "whole.mp4", 100, gop=40, bframes=bframes)
    (tmp_path / "raw").mkdir()
    path = trimmed(source, tmp_path / "raw" / "trim.mp4", at=2.08)
    info = drained(PyavReader(path))
    assert info.n_frames == info.n_frames_header == 48 and info.warnings == ()
    assert read_numbers(path)[0] == list(range(52, 100))
    _, out, _ = run_cli("check", tmp_path / "raw", "--deep", "--json")
    row = json.loads(out)
    assert (row["n_frames"], row["n_frames_header"], row["warnings"]) == (48, 48, [])


def test_what_an_edit_list_leaves_out_at_the_end_is_no_damage(tmp_path, make_numbered):
    data = bytearray(make_numbered(tmp_path / "v.mp4", 100, gop=20).read_bytes())
    duration = data.index(b"elst") + 12
    assert int.from_bytes(data[duration : duration + 4]) == 4000  # ms
    data[duration : duration + 4] = (1600).to_bytes(4)
    (tmp_path / "v.mp4").write_bytes(data)
    info = drained(PyavReader(tmp_path / "v.mp4"))
    assert info.n_frames == info.n_frames_header == 40 and info.warnings == ()


def test_a_file_that_was_cut_off_still_is(tmp_path, make_numbered):
    path = make_numbered(tmp_path / "v.mp4", 100, options={"movflags": "faststart"}, gop=20)
    with av.open(str(path)) as read, av.open(str(tmp_path / "f.mp4"), "w", options={"movflags": "faststart"}) as out:
        copy = out.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    data = (tmp_path / "f.mp4").read_bytes()
    (tmp_path / "f.mp4").write_bytes(data[: 2 * len(data) // 3])
    info = drained(PyavReader(tmp_path / "f.mp4"))
    assert info.n_frames < 100 and any("of the 100 frames its header promises" in told for told in info.warnings)


def old_times(store_path, seconds_of):
    """Give all features the times, and the mark, that they had before gaps were known."""
    with EmbeddingStore(store_path) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "TIMELINE", 1)
        for entry in store.entries():
            video = store.get(entry)
            times = (seconds_of(entry, video.frame_seconds), video.snippet_seconds, video.fps)
            file = SourceFile.of(entry.source)
            store.take_in(stored.write_times(store.shards, entry, times, file, later_than=entry.written_ns))


def test_times_of_before_are_made_anew_without_embedding(joined, make_numbered, extract, tmp_path, monkeypatch):
    """A late stamp that was believed, a gap, and footage with neither: rows stay, times are those of today."""
    shift_stamp(make_numbered(tmp_path / "raw" / "late.ts", 150, bframes=0), 40, 70)
    joined("gap.ts", later=90)
    make_numbered(tmp_path / "raw" / "plain.mp4", 60)
    assert extract()[0] == 0
    with EmbeddingStore(tmp_path / "S") as store:
        before = {entry.video: store.get(entry) for entry in store.entries()}

    def believing(entry, seconds):
        if entry.video != "late":
            return seconds
        return np.where(np.arange(len(seconds)) < 40, seconds, seconds + 70)

    old_times(tmp_path / "S", believing)
    with EmbeddingStore(tmp_path / "S") as store:
        assert not any(entry.is_timed for entry in store.entries())
    monkeypatch.setattr(extraction, "_embed", None)
    code, outcomes, err = extract()
    assert code == 0, err
    assert [outcomes[name]["status"] for name in ("late", "gap", "plain")] == ["ok"] * 3
    assert outcomes["late"]["warnings"] == [TIMES_ANEW] and outcomes["plain"]["warnings"] == []
    assert len(outcomes["gap"]["gaps"]) == 1
    with EmbeddingStore(tmp_path / "S") as store:
        for entry in store.entries():
            video = store.get(entry)
            assert entry.is_timed and entry.checksum == before[entry.video].entry.checksum
            assert np.array_equal(video.frame_seconds, before[entry.video].frame_seconds)
            assert np.array_equal(video.features, before[entry.video].features)
    assert extract()[1] == {}  # all cached


def test_what_cannot_have_changed_is_not_read_again(make_numbered, extract, tmp_path, monkeypatch):
    make_numbered(tmp_path / "raw" / "plain.mkv", 60)
    extract()
    old_times(tmp_path / "S", lambda entry, seconds: seconds)
    for name in ("drained", "open_container"):
        monkeypatch.setattr(retiming, name, None)
    code, outcomes, err = extract()
    assert code == 0 and outcomes["plain"]["status"] == "ok", err


@pytest.fixture
def scored(draw_curve, draw_results):
    """scored({path: ranges}) -> results whose curves have the files' own times."""

    def make(videos):
        curves = []
        for path, ranges in videos.items():
            info = drained(PyavReader(path))
            times = dict(n_frames=info.n_frames, frame_seconds=info.frame_seconds, fps=info.fps)
            curves.append(draw_curve(path.stem, ranges, source=path, **times))
        return draw_results(*curves)

    return make


@pytest.fixture
def day_apart(joined, make_numbered, scored, tmp_path):
    """Results of three videos: the second one's clock leaps by 13 hours, through an event."""
    plain = [make_numbered(tmp_path / "raw" / f"{name}.ts", 2 * N_FRAMES, bframes=0) for name in ("a", "c")]
    gapped = joined("b.ts", later=2**32 / CLOCK_HZ)
    around = [(N_FRAMES - 20, N_FRAMES + 30)]
    return scored({plain[0]: around, gapped: around, plain[1]: around})


def test_clips_end_at_a_gap(day_apart, run_cli, read_numbers):
    code, out, err = run_cli("clips", day_apart, "--recap", day_apart / "all.mp4", "--sheet")
    assert code == 0 and "4 events: " in out and "0 failed" in out, err
    clips = sorted((day_apart / "clips").glob("b*.mp4"))
    ranges = [read_numbers(clip)[0] for clip in clips]
    assert [(each[0], each[-1]) for each in ranges] == [(50, 119), (0, 79)]  # numbers of each half, rolls of 2 s
    assert max(drained(PyavReader(path)).frame_seconds[-1] for path in (clips[0], day_apart / "all.mp4")) < 30


def test_previews_show_a_gap_and_no_run_ends_by_one_video(day_apart, run_cli):
    code, _, err = run_cli("report", day_apart, "--proxy", "auto", "--no-pictures")
    assert code == 0 and (day_apart / "report" / "index.html").exists(), err
    infos = [drained(PyavReader(path)) for path in (day_apart / "report" / "media").glob("*.mp4")]
    assert sorted(len(info.gaps) for info in infos) == [0, 0, 1] and all(info.n_frames == 240 for info in infos)
    (gap,) = (gap for info in infos for gap in info.gaps)
    assert gap.frame == N_FRAMES and gap.end_seconds == pytest.approx(47_721.86, abs=0.1)


@pytest.mark.parametrize("command", [("clips", "--reencode"), ("clips", "--recap"), ("report", "--proxy", "auto")])
def test_what_ffmpeg_refuses_is_one_videos_failure(day_apart, run_cli, monkeypatch, command):
    """The muxer refuses every second file."""
    from vad_pipeline.pipeline.media import h264

    mux, calls = h264.mux, []

    def refusing(*arguments, **options):
        calls.append(None)
        if len(calls) == 2:
            raise av.error.ArgumentError(22, "Invalid argument")
        return mux(*arguments, **options)

    monkeypatch.setattr(h264, "mux", refusing)
    if "--recap" in command:
        calls.append(None)
        command = ("clips", "--recap", day_apart / "all.mp4")
    code, out, err = run_cli(command[0], day_apart, *command[1:])
    assert code in (0, 1) and len(calls) >= 2, err
    if command[0] == "report":
        assert (day_apart / "report" / "index.html").exists() and "Invalid argument" in out + err
    else:
        assert code == 1 and "Invalid argument" in err and len(list((day_apart / "clips").glob("*.mp4"))) >= 3
