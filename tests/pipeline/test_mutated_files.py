"""Many damaged videos through the command line: each gets an outcome, none costs anything else."""

import json
import os
import random

import pytest

from vad_pipeline.extract.names import VIDEO_SUFFIXES

N_FILES = 120
SMALLEST_SOURCES = 14
TIMEOUT_SECONDS = 60


def flip(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 10, 200))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def truncate(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def cut_out(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 1 + len(data) // 3) :]


def splice(data: bytearray, rng: random.Random) -> bytearray:
    start, other = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:start] + data[other : other + rng.randrange(1, 50_000)] + data[start:]


def garble_the_head(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(20):
        data[rng.randrange(min(len(data), 2000))] = rng.randrange(256)
    return data


MUTATIONS = (flip, truncate, cut_out, splice, garble_the_head)


@pytest.fixture
def sources(tmp_path, make_video, request) -> list:
    """Real videos where they are to hand, the smallest; rendered ones of several kinds anyway."""
    rendered = [
        make_video(tmp_path / "rendered" / name, codec=codec, n_frames=30, pix_fmt=pix_fmt)
        for name, codec, pix_fmt in (
            ("a.mp4", "libx264", "yuv420p"),
            ("b.mkv", "libx265", "yuv420p"),
            ("c.avi", "mpeg4", "yuv420p"),
            ("d.webm", "libvpx-vp9", "yuv420p"),
            ("e.mov", "mjpeg", "yuvj420p"),
            ("f.ts", "mpeg2video", "yuv420p"),
        )
    ]
    try:
        shared = request.getfixturevalue("shared")
    except pytest.skip.Exception:
        return rendered
    real = [path for path in (shared / "videos").rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]
    real = sorted((path for path in real if path.stat().st_size), key=lambda path: path.stat().st_size)
    return rendered + real[:SMALLEST_SOURCES]


def test_every_damaged_file_gets_an_outcome(tmp_path, sources, run_cli, toy_model):
    rng = random.Random(int(os.environ.get("VAD_MUTATION_SEED", 0)))
    raw = tmp_path / "raw"
    raw.mkdir()
    for index in range(N_FILES):
        source, mutate = sources[index % len(sources)], MUTATIONS[index // len(sources) % len(MUTATIONS)]
        (raw / f"{index:03d}{source.suffix}").write_bytes(mutate(bytearray(source.read_bytes()), rng))
    code, out, err = run_cli(
        "extract", raw, "--store", tmp_path / "S", "--like", "quick", "--pretrained", "random:0", "--model", toy_model,
        "--device", "cpu", "--workers", "2", "--video-timeout", TIMEOUT_SECONDS, "--quiet",
    )  # fmt: skip
    assert code in (0, 1) and "Traceback" not in err, err
    (log,) = (tmp_path / "S" / "outcomes").glob("*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["video"] for line in lines) == [f"{index:03d}" for index in range(N_FILES)]
    assert {line["code"] for line in lines} & {"timeout", "worker_died", "unexpected"} == set()
    assert sum(line["status"] == "ok" for line in lines) > N_FILES // 4  # damaged, not destroyed
    assert all(line["error"] for line in lines if line["status"] == "failed")
