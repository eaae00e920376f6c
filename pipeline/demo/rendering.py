"""Renders the demo's archive: videos that look like CCTV, their video-level labels, and ground truth by frame.

Three fixed cameras (street, car park, corridor) see people walk, cars pass, day, night and light changes; some videos
hold one anomaly.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from .archive_plan import ArchiveConfig, RenderedVideo, plan_archive
from .picture import clouds_of
from .shot import Shot

NOISE_FRAMES = 12


def _encode(path: Path, config: ArchiveConfig, frames: Iterator[np.ndarray]) -> None:
    options = {"crf": str(config.crf), "preset": "superfast"}
    with av.open(str(path), "w") as container, ThreadPoolExecutor(1) as ahead:  # draws the next frame meanwhile
        stream = container.add_stream("libx264", rate=Fraction(config.fps), options=options)
        stream.width, stream.height, stream.pix_fmt = config.width, config.height, "yuv420p"
        stream.thread_count = 2
        drawn = ahead.submit(next, frames, None)
        for i in range(config.n_frames):
            pixels, drawn = drawn.result(), ahead.submit(next, frames, None)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = i, 1 / Fraction(config.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_csv(path: Path, header: str, rows: list[tuple]) -> None:
    aside = path.with_name(f".partial-{path.name}")
    with aside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])
    os.replace(aside, path)


def render_archive(
    folder: Path, config: ArchiveConfig | None = None, *, on_video: Callable[[RenderedVideo], None] | None = None
) -> list[RenderedVideo]:
    """Render `videos/`, then write `labels.csv` and `annotations.csv` (csv format, half-open); all replace older ones.

    The same configuration gives the same pixels on the same machine. A file is complete as soon as it exists; the
    tables are written last.

    Args:
        folder: where the archive goes; videos of other configurations in it stay.
        config: what to render; None: the defaults.
        on_video: called after each finished video.
    Returns:
        The videos, sorted by id.
    Raises:
        OSError: the folder cannot be written.
    """
    config, folder = config or ArchiveConfig(), Path(folder)
    rng = np.random.default_rng(config.seed)
    clouds = clouds_of(rng, 2.1), (clouds_of(rng, 3.5) * 90).astype(np.int32)
    noise = rng.normal(0, 0.022, (NOISE_FRAMES, config.height, config.width, 3)).astype(np.float32)
    plan, aside = plan_archive(config, folder / "videos"), folder / ".partial.mp4"
    for table in ("labels.csv", "annotations.csv"):
        (folder / table).unlink(missing_ok=True)
    for i, video in enumerate(plan):
        video.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shot = Shot(config, video, noise, clouds, np.random.default_rng([config.seed, i]))
            _encode(aside, config, shot.frames())
            os.replace(aside, video.path)
        finally:
            aside.unlink(missing_ok=True)
        if on_video:
            on_video(video)
    _write_csv(folder / "labels.csv", "video,label,split", [(v.video_id, v.category, v.split) for v in plan])
    ranges = [(v.video_id, *part, v.category) for v in plan for part in v.segments or (("", ""),)]
    _write_csv(folder / "annotations.csv", "video,start_frame,end_frame,category", ranges)
    return plan
