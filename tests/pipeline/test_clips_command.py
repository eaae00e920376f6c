"""clips: every clip holds its event's frames, told by the numbers that they carry."""

import csv
import hashlib
import json
import os
import sys
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.lists import unguarded
from vad_pipeline.pipeline.clips import make, manifest
from vad_pipeline.pipeline.clips.contact_sheet import time_at
from vad_pipeline.pipeline.clips.manifest import COLUMNS
from vad_pipeline.pipeline.media import faces
from vad_pipeline.pipeline.media.blurring import HELD_FRAMES, tiled
from vad_pipeline.pipeline.media.footage import frame_index
from vad_pipeline.pipeline.media.roots import MediaRoots
from vad_pipeline.pipeline.results.clock import Clock
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rule import EventRule
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_settings import RunSettings

LONG_GOP = dict(gop=250, bframes=3)


def rows_of(folder):
    with (folder / "MANIFEST.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        assert reader.fieldnames == COLUMNS
    return rows


@pytest.fixture
def score(draw_curve, draw_results):
    """score({path: ranges}, ...) -> results whose curves have the files' own times; ids are the files' stems."""

    def make(videos, *, prefix="", **options):
        curves = []
        for path, ranges in videos.items():
            reader = PyavReader(path)
            for _ in reader:
                pass
            info = reader.info()
            reader.close()
            fixed = dict(n_frames=info.n_frames, frame_seconds=info.frame_seconds, source=path, fps=info.fps)
            curves.append(draw_curve(prefix + path.stem, ranges, **fixed))
        return draw_results(*curves, **options)

    return make


@pytest.fixture
def check_rows(read_numbers):
    """Each row's clip decodes to just the frames that the row names, at their times, and holds its event."""

    def check(folder, seconds):
        rows = rows_of(folder)
        for row in rows:
            numbers, times = read_numbers(folder / row["clip"])
            first, end = int(row["clip_start_frame"]), int(row["clip_end_frame"])
            assert numbers == list(range(first, end))
            assert first <= int(row["start_frame"]) and int(row["end_frame"]) <= end
            np.testing.assert_allclose(times, seconds[first:end] - seconds[first], atol=1e-3)
            assert float(row["clip_start_seconds"]) == pytest.approx(seconds[first], abs=1e-6)
        return rows

    return check


def test_long_groups_of_pictures_are_copied_or_encoded(tmp_path, make_numbered, score, check_rows, run_cli):
    source = make_numbered(tmp_path / "raw" / "v.mp4", 600, **LONG_GOP)  # key frames 0, 250, 500
    results = score({source: [(260, 300), (420, 430), (590, 600)]})
    code, out, err = run_cli("clips", results)
    assert code == 0 and "3 events: 2 copied, 1 re-encoded, 0 kept, 0 failed" in out, err
    copied, encoded, last = check_rows(results / "clips", np.arange(600) / 25)
    assert (copied["made"], copied["clip_start_frame"]) == ("copied", "250")
    assert (encoded["made"], encoded["clip_start_frame"], encoded["clip_end_frame"]) == ("re-encoded", "370", "480")
    assert (last["clip_start_frame"], last["clip_end_frame"]) == ("500", "600")
    assert copied["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert copied["source"] == str(source) and copied["event_id"] == "v@260-300" and copied["category"] == "Fighting"
    assert copied["clip"] == "v@260-300.mp4" and copied["start_time"] == "" and copied["sound"] == ""
    assert float(copied["peak_score"]) == pytest.approx(0.9) and copied["calibrated"] == "true"
    code, out, _ = run_cli("clips", results, "--reencode", "--pre", "0.2", "--post", "0", "--out", tmp_path / "exact")
    exact = check_rows(tmp_path / "exact", np.arange(600) / 25)
    assert [row["made"] for row in exact] == ["re-encoded"] * 3
    assert [(row["clip_start_frame"], row["clip_end_frame"]) for row in exact][0] == ("255", "300")


VARIABLE = np.cumsum(np.random.default_rng(3).integers(5, 90, 240)).tolist()


@pytest.mark.parametrize(
    ("name", "options", "made"),
    [
        ("v.mkv", dict(ticks=VARIABLE, tick=Fraction(1, 1000), gop=40, bframes=3), "copied"),
        ("w.mkv", dict(ticks=VARIABLE, tick=Fraction(1, 1000), gop=240), "re-encoded"),
        ("open.mp4", dict(options={"x264-params": "open-gop=1:keyint=40:bframes=3"}), "copied"),
        ("hevc.mp4", dict(codec="libx265", options={"x265-params": "log-level=none:keyint=40:bframes=4"}), "copied"),
        ("v.ts", dict(gop=40), "copied"),
        ("b.avi", dict(gop=40, bframes=2), "re-encoded"),  # states no times to show B-frames at
        ("old.avi", dict(codec="msmpeg4v3", gop=40, bframes=0), "re-encoded"),
        ("v.webm", dict(codec="libvpx-vp9", gop=40), "copied"),
    ],
)
def test_variable_rates_other_codecs_and_containers(
    tmp_path, make_numbered, score, read_numbers, check_rows, run_cli, name, options, made
):
    source = make_numbered(tmp_path / name, 240, **options)
    numbers, seconds = read_numbers(source)
    assert numbers == list(range(240))
    results = score({source: [(131, 170), (237, 240)]})
    code, _, err = run_cli("clips", results, "--pre", "1")
    assert code == 0, err
    rows = check_rows(results / "clips", seconds)
    assert [row["made"] for row in rows][0] == made


def test_packed_b_frames_of_an_avi(shared, tmp_path, score, run_cli):
    source = shared / "videos" / "odd" / "mmaction2_test.avi"
    results = score({source: [(60, 90)]})
    assert run_cli("clips", results, "--pre", "0", "--post", "0", "--out", tmp_path / "c")[0] == 0
    reader, clip = PyavReader(source), PyavReader(tmp_path / "c" / "mmaction2_test@60-90.mp4")
    originals = [frame.rgb() for frame in reader][59:91]  # one more on either side
    cut = [frame.rgb() for frame in clip]
    assert len(cut) == 30

    def distance(one, other):
        return np.abs(one.astype(float) - other).mean()

    told_apart = 0
    for index, frame in enumerate(cut):  # every second frame is all but the one before
        before, own, after = (distance(frame, original) for original in originals[index : index + 3])
        assert own < min(before, after) + 0.2
        told_apart += max(before, after) > own + 1
    assert told_apart > 20


def test_again_only_what_is_missing_or_asked_for_differently(tmp_path, make_numbered, score, run_cli):
    source = make_numbered(tmp_path / "v.mp4", 200, gop=20)
    results = score({source: [(50, 60), (120, 130)]})
    folder = results / "clips"

    def run(*options):
        code, out, err = run_cli("clips", results, *options)
        assert code == 0, err
        return out.split(":")[1].split(";")[0].split(","), {p.name: p.stat().st_mtime_ns for p in folder.glob("*.mp4")}

    assert run()[0][0] == " 2 copied"
    before = run()[1]
    counts, after = run()
    assert counts[2] == " 2 kept" and after == before
    (folder / "v@50-60.mp4").unlink()
    counts, after = run()
    assert counts[0] == " 1 copied" and after["v@120-130.mp4"] == before["v@120-130.mp4"]
    assert run("--sheet")[0][0] == " 2 copied" and len(list(folder.glob("*.png"))) == 2
    assert run("--pre", "1", "--top", "1")[0][0] == " 1 copied"
    assert {row["pre_seconds"] for row in rows_of(folder)} == {"1", "2"}
    assert run("--pre", "1", "--top", "1", "--reencode")[0][1] == " 1 re-encoded"
    assert run("--force")[0][0] == " 2 copied"
    os.utime(source, ns=(1, 1))
    assert run()[0][0] == " 2 copied"
    (folder / "MANIFEST.csv").write_bytes(b"\xff\x00not a table")
    assert run()[0][0] == " 2 copied" and len(rows_of(folder)) == 2


def test_an_interrupt_keeps_what_is_finished(tmp_path, make_numbered, score, run_cli, monkeypatch):
    results = score({make_numbered(tmp_path / "v.mp4", 200, gop=20): [(50, 60), (120, 130), (160, 170)]})
    real, calls = make.copy_clip, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(make, "copy_clip", interrupted)
    assert run_cli("clips", results)[0] == 130
    assert [row["event_id"] for row in rows_of(results / "clips")] == ["v@50-60"]
    assert sorted(path.name for path in (results / "clips").iterdir()) == ["MANIFEST.csv", "v@50-60.mp4"]
    code, out, _ = run_cli("clips", results)
    assert code == 0 and "2 copied, 0 re-encoded, 1 kept" in out


def test_the_manifest_follows_what_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "WRITE_EVERY_SECONDS", 0)
    monkeypatch.setattr(manifest, "SHARE_OF_TIME", 1e9)
    rows = manifest.Manifest(tmp_path)
    row = dict.fromkeys(COLUMNS, "") | {"clip": "b.mp4", "video": 'b, "b"\nb', "start_frame": "10"}
    (tmp_path / "b.mp4").write_bytes(b"")
    rows.put(row)
    assert manifest.Manifest(tmp_path).rows == {"b.mp4": row}
    (tmp_path / "b.mp4").unlink()
    assert manifest.Manifest(tmp_path).rows == {}


def test_which_events(tmp_path, make_numbered, score, run_cli):
    one = make_numbered(tmp_path / "one.mp4", 60)
    two = make_numbered(tmp_path / "two.mp4", 60)
    results = score({one: [(5, 10, 0.7), (20, 25, 0.95), (40, 45, 0.8)], two: [(5, 10, 0.9)]}, prefix="cam/")

    def chosen(*options):
        folder = tmp_path / "-".join(map(str, options)).replace("/", "_")
        code, _, err = run_cli("clips", results, "--out", folder, "--quiet", *options)
        return code, err, [row["event_id"] for row in rows_of(folder)] if folder.exists() else []

    assert chosen("--min-score", "0.85")[2] == ["cam/one@20-25", "cam/two@5-10"]
    assert chosen("--top", "3")[2] == ["cam/one@20-25", "cam/one@40-45", "cam/two@5-10"]
    assert chosen("--match", "*two")[2] == ["cam/two@5-10"]
    assert len(chosen("--category", "fight ing")[2]) == 4
    code, err, rows = chosen("--category", "Explosion")
    assert code == 0 and rows == [] and "none of the 4 events" in err
    code, err, _ = chosen("--category", "Dancing")
    assert code == 2 and "no such category; there are Normal, Fighting, Explosion" in err
    (tmp_path / "list").write_text("two.mp4\nthree\n")
    code, err, rows = chosen("--list", tmp_path / "list")
    assert code == 1 and rows == ["cam/two@5-10"] and "three" in err


def test_clips_of_footage_that_a_recorder_wrote_over_stay(tmp_path, make_numbered, score, run_cli):
    path = make_numbered(tmp_path / "cam.mp4", 60)
    results = score({path: [(10, 20)]})
    assert run_cli("clips", results)[0] == 0
    path.unlink()
    code, out, err = run_cli("clips", results)
    assert (code, err) == (0, "") and "1 kept" in out, out + err
    code, _, err = run_cli("clips", results, "--pre", 1)
    assert code == 1 and "is not there" in err


def test_missing_changed_and_moved_footage(tmp_path, make_numbered, score, run_cli):
    paths = {
        name: make_numbered(tmp_path / "raw" / f"{name}.mp4", 60) for name in ("gone", "long", "late", "good", "bad")
    }
    results = score({path: [(10, 20), (30, 40)] for path in paths.values()})
    paths["gone"].unlink()
    make_numbered(paths["long"], 61)
    make_numbered(paths["late"], 60, ticks=list(range(0, 120, 2)))
    paths["bad"].write_bytes(b"no video any more")
    code, out, err = run_cli("clips", results)
    assert code == 1 and "8 failed" in out and "Traceback" not in err
    lines = {
        line.split("@")[0].removeprefix("failed: "): line for line in err.splitlines() if line.startswith("failed")
    }
    assert set(lines) == {"gone", "long", "late", "bad"}
    assert "gone@10-20, gone@30-40" in lines["gone"] and "--media-root OLD=NEW" in lines["gone"]
    assert "changed since it was scored: 61 frames, its curve has 60" in lines["long"]
    assert "other times" in lines["late"] and "not a video" in lines["bad"]
    assert {row["video"] for row in rows_of(results / "clips")} == {"good"}
    (tmp_path / "raw").rename(tmp_path / "now")
    moved = ("--media-root", f"{tmp_path}/raw={tmp_path}/now")
    assert run_cli("clips", results, "--match", "good", "--force", *moved)[0] == 0
    assert rows_of(results / "clips")[0]["source"] == str(tmp_path / "now" / "good.mp4")


def test_footage_whose_content_changed_and_nothing_else(tmp_path, make_numbered, score, run_cli):
    source = make_numbered(tmp_path / "v.mp4", 60)
    results = score({source: [(10, 20)]})
    opened = Results(results)
    curve = opened.get("v", "recipe")
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    fixed = dict(recipe_id="recipe", made_from="v", threshold=0.5)
    write_curve(opened.curves, curve, CurveOrigin(**fixed, source_sha256=sha256))
    code, _, err = run_cli("clips", results)
    assert code == 0 and err == ""
    with source.open("ab") as file:
        file.write(b"\0\0\0\x08free")  # an empty box: another file, the same video
    code, _, err = run_cli("clips", results)
    assert code == 0 and "content changed since it was scored" in err and len(err.splitlines()) == 1
    write_curve(opened.curves, replace(curve, source="raw/v__0.npy"), CurveOrigin(**fixed))
    code, _, err = run_cli("clips", results)
    assert code == 1 and "v__0.npy: is imported features" in err


def test_names_that_are_not_just_names(tmp_path, make_numbered, draw_curve, draw_results, run_cli):
    folder = tmp_path / "raw"
    plain = make_numbered(folder / "plain.mp4", 30)
    raw = os.fsencode(folder) + b"/\xff\n<b>.mp4"
    plain.rename(os.fsdecode(raw))
    source = str(folder) + "/\\xff\\n<b>.mp4"
    seconds = np.arange(30) / 25
    ids = ["a/b", "a_b", "a%2Fb", "Höhe-1.a", "-rf", "x" * 300 + "/1", "x" * 300 + "/2", "\N{SNOWMAN}'\"<script>"]
    curves = [draw_curve(each, [(5, 9)], n_frames=30, fps=25, frame_seconds=seconds, source=source) for each in ids]
    results = draw_results(*curves)
    code, _, err = run_cli("clips", results, "--sheet")
    assert code == 0, err
    rows = rows_of(results / "clips")
    assert sorted(unguarded(row["video"]) for row in rows) == sorted(ids) and len({row["clip"] for row in rows}) == len(
        ids
    )
    assert all("/" not in row["clip"] and len(row["clip"]) < 255 for row in rows)
    names = {row["video"]: row["clip"].partition("@")[0] for row in rows}
    assert names["a_b"] == "a_b" and names["Höhe-1.a"] == "Höhe-1.a"
    assert names["a/b"].startswith("a_b~") and names["a%2Fb"].startswith("a_2Fb~")
    assert len(list((results / "clips").iterdir())) == 2 * len(ids) + 1
    assert MediaRoots().find(source) == os.fsdecode(raw)


def with_sound(codec, rate=8000):
    def add(container):
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        samples = np.sin(np.arange(8 * rate) / 9).astype(np.float32)[None] / 3
        form = {"aac": "fltp", "pcm_s16le": "s16"}[codec]
        samples = samples if form == "fltp" else (samples * 9000).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
        sound.sample_rate, sound.pts = rate, 0
        return lambda: container.mux(stream.encode(sound) + stream.encode(None))

    return add


def test_one_frame(tmp_path, make_numbered, score, check_rows, run_cli):
    source = make_numbered(tmp_path / "v.mp4", 1)
    results = score({source: [(0, 1)]})
    for more in ((), ("--reencode",)):
        code, _, err = run_cli("clips", results, "--sheet", "--recap", tmp_path / "r.mp4", *more)
        assert code == 0, err
        (row,) = check_rows(results / "clips", np.zeros(1))
        assert float(row["clip_end_seconds"]) == pytest.approx(0.04)


@pytest.mark.parametrize("more", [(), ("--reencode",)])
def test_rotated_footage_stays_rotated(tmp_path, make_video, turn_quarter, score, run_cli, more):
    source = turn_quarter(make_video(tmp_path / "v.mp4", n_frames=30, width=64, height=48))
    results = score({source: [(10, 20)]})
    assert run_cli("clips", results, *more)[0] == 0
    (row,) = rows_of(results / "clips")
    frames = PyavReader(results / "clips" / row["clip"]), PyavReader(source)
    clip, original = (next(iter(reader)).rgb() for reader in frames)
    assert clip.shape == original.shape == (64, 48, 3) and np.abs(clip.astype(int) - original).mean() < 12
    assert row["made"] == ("re-encoded" if more else "copied")


@pytest.mark.parametrize(("codec", "told"), [("aac", "copied"), ("pcm_s16le", "dropped")])
@pytest.mark.parametrize("more", [(), ("--reencode",)])
def test_sound(tmp_path, make_numbered, score, check_rows, read_numbers, run_cli, codec, told, more):
    source = make_numbered(tmp_path / "v.mkv", 200, gop=20, add=with_sound(codec))
    seconds = read_numbers(source)[1]
    results = score({source: [(100, 110)]})
    code, _, err = run_cli("clips", results, *more)
    assert code == 0, err
    (row,) = check_rows(results / "clips", seconds)
    assert row["sound"] == told
    with av.open(str(results / "clips" / row["clip"])) as clip:
        if told == "dropped":
            assert not clip.streams.audio
            return
        heard = sum(frame.samples for frame in clip.decode(audio=0)) / 8000
        length = (int(row["clip_end_frame"]) - int(row["clip_start_frame"])) / 25
        assert heard == pytest.approx(length, abs=0.3)


def test_what_is_blurred_cannot_be_made_out(tmp_path, make_video, score, run_cli):
    results = score({make_video(tmp_path / "a.mp4", n_frames=30, width=160, height=96): [(8, 16)]}, prefix="gate/")
    (tmp_path / "zones.yaml").write_text("gate: {zones: [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]}\n")

    def first_frame() -> np.ndarray:
        (clip,) = (results / "clips").glob("*.mp4")
        reader = PyavReader(clip)
        frame = next(iter(reader)).rgb().astype(int)
        reader.close()
        return frame

    assert run_cli("clips", results)[0] == 0
    plain = first_frame()
    blur = ("clips", results, "--blur", tmp_path / "zones.yaml", "--sheet", "--recap", tmp_path / "r.mp4")
    code, out, err = run_cli(*blur)
    assert code == 0 and "1 re-encoded" in out, err
    (row,) = rows_of(results / "clips")
    assert row["made"].startswith("re-encoded, blurred ")
    assert row["clip_start_frame"] == "0"
    tiles = tiled(plain.astype(np.uint8), (((0, 0), (0.5, 0), (0.5, 1), (0, 1)),)).astype(int)
    assert (np.diff(tiles[:, 12:19], axis=1) == 0).all() and (tiles[:, 82:] == plain[:, 82:]).all()
    blurred, zone = first_frame(), np.s_[:, :78]
    assert np.abs(blurred[zone] - tiles[zone]).mean() < 0.8 * np.abs(blurred[zone] - plain[zone]).mean()
    assert "1 kept" in run_cli(*blur)[1]
    (tmp_path / "zones.yaml").write_text("'*': {zones: [[[0, 0], [0.5, 0], [0.5, 0.9], [0, 1]]]}\n")
    assert "1 re-encoded" in run_cli(*blur)[1]  # other zones
    code, out, _ = run_cli("clips", results)  # and none: as it was
    assert "1 copied" in out and np.array_equal(first_frame(), plain)


def test_a_face_stays_blurred_around_the_frames_in_which_it_is_found(tmp_path, make_video, score, run_cli, monkeypatch):
    results = score({make_video(tmp_path / "a.mp4", n_frames=90, width=160, height=96): [(40, 48)]}, prefix="gate/")
    left_half, seen = ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), []

    def find(pixels):
        seen.append(pixels.shape)
        return [left_half] if len(seen) == 12 else []  # once, in frame 55

    monkeypatch.setattr(faces, "opencv_faces", lambda: find)
    code, _, err = run_cli("clips", results, "--blur", "faces", "--pre", "10", "--post", "10")
    assert code == 0, err
    (row,) = rows_of(results / "clips")
    assert row["made"] == "re-encoded, blurred faces" and (row["clip_start_frame"], row["clip_end_frame"]) == (
        "0",
        "90",
    )
    (clip,) = (results / "clips").glob("*.mp4")
    plain, shown = ([frame.rgb() for frame in PyavReader(path)] for path in (tmp_path / "a.mp4", clip))
    tiles = [tiled(pixels, [left_half])[:, :78].astype(int) for pixels in plain]
    is_hidden = [
        np.abs(found[:, :78] - tile).mean() < np.abs(found[:, :78] - pixels[:, :78].astype(int)).mean()
        for found, pixels, tile in zip(shown, plain, tiles, strict=True)
    ]
    assert [n for n, hidden in enumerate(is_hidden) if hidden] == list(range(55 - HELD_FRAMES, 55 + HELD_FRAMES + 1))
    assert "1 kept" in run_cli("clips", results, "--blur", "faces", "--pre", "10", "--post", "10")[1]


def test_a_box_that_is_blurred_is_larger_than_the_face_and_stays_in_the_picture():
    assert faces.grown(0.4, 0.4, 0.2, 0.2) == pytest.approx(
        np.array([(0.35, 0.35), (0.65, 0.35), (0.65, 0.65), (0.35, 0.65)])
    )
    assert faces.grown(0.0, 0.9, 0.2, 0.1)[0] == (0.0, pytest.approx(0.875)) and faces.grown(0.9, 0.9, 0.1, 0.1)[2] == (
        1,
        1,
    )


def test_faces_are_found_by_what_the_extra_brings(tmp_path, run_cli, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cv2", None)
        code, _, err = run_cli("clips", tmp_path, "--blur", "faces")
        assert code == 2 and "--blur faces needs OpenCV 4: pip install '.[blur]'" in err
    pytest.importorskip("cv2", reason="the extra blur is not installed: pip install '.[blur]'")
    assert faces.opencv_faces()(np.full((96, 160, 3), 128, np.uint8)) == []


def test_a_contact_sheet_marks_the_peak(tmp_path, make_numbered, score, run_cli, number_of):
    source = make_numbered(tmp_path / "v.mp4", 80, width=320, height=192)
    results = score({source: [(10, 30, 0.6), (30, 34, 0.99), (34, 50, 0.6)]})
    assert run_cli("clips", results, "--sheet")[0] == 0
    sheet = np.asarray(Image.open(results / "clips" / "v@10-50.png"))
    red = (sheet == (230, 60, 40)).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    cell = sheet[rows[0] + 4 : rows[-1] - 3, columns[0] + 4 : columns[-1] - 3]
    assert columns[-1] - columns[0] == 319 and number_of(cell) == 30
    before = (results / "clips" / "v@10-50.png").read_bytes()
    run_cli("clips", results, "--sheet", "--force")
    assert (results / "clips" / "v@10-50.png").read_bytes() == before


def test_times_are_written_by_the_clock_of_the_moment(draw_curve):
    curve = draw_curve("c/2026-10-25_02-59-59", n_frames=40)  # ten a second; at three the clocks are put back
    settings = RunSettings("r", (), EventRule(0.5, clock=Clock.parse(CLOCK["pattern"], "Europe/Berlin")), True)
    assert [time_at(curve, frame, settings)[11:] for frame in (0, 9, 10)] == ["02:59:59.0", "02:59:59.9", "02:00:00.0"]
    assert time_at(draw_curve("odd"), 15, settings) == "0:00:01.5"


CLOCK = {"pattern": "{camera}/%Y-%m-%d_%H-%M-%S", "timezone": "Europe/Berlin"}


def numbers_in_recap(path, number_of):
    reader = PyavReader(path)
    frames = [frame.rgb() for frame in reader]
    seconds = reader.info().frame_seconds
    reader.close()
    return [number_of(frame[60:300, 20:620]) for frame in frames], seconds, frames


def test_a_recap_shows_all_events_in_time(tmp_path, make_numbered, score, run_cli, number_of):
    late = make_numbered(tmp_path / "2026-11-02_09-00-00.mp4", 100, width=320, height=180)
    early = make_numbered(tmp_path / "2026-11-02_08-00-00.mp4", 200, width=320, height=180)
    results = score({late: [(10, 14)], early: [(150, 153)]}, clock=CLOCK, prefix="north/")
    code, out, err = run_cli("clips", results, "--pre", "0.08", "--post", "0.04", "--recap", tmp_path / "r.mp4")
    assert code == 0 and "2 events in" in out, err
    numbers, seconds, frames = numbers_in_recap(tmp_path / "r.mp4", number_of)
    assert numbers == [*range(148, 154), *range(8, 15)]
    np.testing.assert_allclose(seconds, np.arange(13) / 25, atol=1e-3)
    grounds = [frame[-3, -3].astype(int) for frame in frames]
    assert [ground[0] > 90 for ground in grounds] == [148 + i in (150, 151, 152) for i in range(6)] + [
        8 + i in (10, 11, 12, 13) for i in range(7)
    ]
    row = rows_of(results / "clips")[0]
    assert (row["camera"], row["start_time"]) == ("north", "2026-11-02T08:00:06.000+01:00")


def test_a_recap_without_some_or_all_of_its_footage(tmp_path, make_numbered, score, run_cli, number_of):
    one = make_numbered(tmp_path / "one.mp4", 30, width=320, height=180)
    two = make_numbered(tmp_path / "two.mp4", 30, width=320, height=180)
    results = score({one: [(5, 8)], two: [(20, 22)]})
    one.unlink()
    fixed = ("clips", results, "--pre", "0", "--post", "0", "--recap", tmp_path / "r.mp4")
    code, _, err = run_cli(*fixed)
    assert code == 1 and err.count("failed") == 1
    assert numbers_in_recap(tmp_path / "r.mp4", number_of)[0] == [20, 21]
    two.unlink()
    before = (tmp_path / "r.mp4").read_bytes()
    code, _, err = run_cli(*fixed)
    assert code == 1 and err.count("failed") == 2 and (tmp_path / "r.mp4").read_bytes() == before
    assert run_cli("clips", results, "--recap", tmp_path / "r.avi")[0] == 2


def test_what_makes_no_sense_is_one_sentence(tmp_path, make_numbered, score, draw_curve, draw_results, run_cli):
    results = score({make_numbered(tmp_path / "v.mp4", 30): [(5, 9)]})
    for options, words in (
        (("--pre", "-1"), "--pre must be seconds"),
        (("--post", "nan"), "--post must be seconds"),
        (("--media-root", "there"), "OLD=NEW"),
        (("--out", tmp_path / "v.mp4" / "x"), "is a file, where a folder is to be"),
    ):
        code, _, err = run_cli("clips", results, *options)
        assert code in (2, 3) and words in err and "Traceback" not in err, options
    code, _, err = run_cli("clips", tmp_path / "nowhere")
    assert code == 2 and "no results" in err
    row = json.loads((results / "events.jsonl").read_text())
    for wrong in (
        {"video": "../../x"},
        {"video": "\ud800"},
        {"start_frame": 5.5},
        {"end_frame": 5},
        {"peak_frame": "6"},
        {"start_time": "soon"},
        {"start_time": "2026-11-02T08:00:00"},
    ):
        (results / "events.jsonl").write_text(json.dumps(row | wrong) + "\n")
        code, _, err = run_cli("clips", results)
        assert code == 3 and "line 1 cannot be read" in err and "Traceback" not in err, wrong
    (results / "events.jsonl").unlink()
    code, _, err = run_cli("clips", results)
    assert code == 2 and "vad-pipeline events" in err
    calm = draw_results(draw_curve("calm"), name="calm")
    code, _, err = run_cli("clips", calm)
    assert code == 0 and "none of the 0 events" in err


def test_events_of_another_run(tmp_path, make_numbered, score, draw_curve, draw_results, run_cli):
    source = make_numbered(tmp_path / "v.mp4", 30)
    results = score({source: [(5, 9)]})
    longer = draw_results(draw_curve("v", [(50, 90)], n_frames=100), draw_curve("w", [(5, 9)]), name="longer")
    (results / "events.jsonl").write_bytes((longer / "events.jsonl").read_bytes())
    code, _, err = run_cli("clips", results)
    assert code == 1 and "beyond its curve of 30 frames" in err and "w@5-9: w: has events but no curve" in err


def test_an_index_is_only_trusted_where_times_match(tmp_path, make_numbered):
    source = make_numbered(tmp_path / "v.mp4", 40)
    seconds = np.arange(40) / 25
    assert frame_index(str(source), seconds) is not None
    assert frame_index(str(source), seconds[:-1]) is None
    assert frame_index(str(source), seconds * 1.01) is None
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    assert frame_index(str(tmp_path / "no.mp4"), seconds) is None
