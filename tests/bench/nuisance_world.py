"""The rendered world in which `tests/bench/adapt.py` measures what marks are worth; it was fixed before `adapt` was.

Three cameras over six weeks. The first fortnight is what a model is trained on, by labels of whole videos. Then
something harmless begins that it has never seen: by day a lorry reverses with flashing beacons, by night and in the
corridor headlights sweep the wall. Half of all videos have it from then on. The second fortnight is reviewed, the third
is held out. Ten seeds; everything that is drawn, where and when, follows from the seed and this file.

Only the frames that recipe `quick` would embed are drawn (one of 16), at 128x96, and they are embedded by a tower of
CLIP's shape with one layer and seeded random weights (`toy_tower.py`), through the package's own cropping and encoder.
With ViT-B/32, as the demo has it, ten seeds would take hours of two cores. Random weights cannot tell what is harmful:
that only training does, here as with CLIP's own. Nothing here says anything about real footage.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
from toy_tower import write_toy_tower

from vad_pipeline.extract.embed.geometry import crop_frames
from vad_pipeline.extract.embed.sampling import snippet_seconds
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import SourceFile, write_bytes
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.embedding_store import IMPORTED_SIZE, EmbeddingStore
from vad_pipeline.pipeline.demo.archive_plan import CATEGORIES, NORMAL, ArchiveConfig, RenderedVideo, plan_archive
from vad_pipeline.pipeline.demo.picture import clouds_of
from vad_pipeline.pipeline.demo.shot import Shot

SEEDS = tuple(range(10))
ALIKE = {"seconds": 48.0, "width": 128, "height": 96, "hours": (6, 23), "test_share": 0.5}
PERIODS = {  # what each fortnight holds
    "train": {"first_day": date(2026, 11, 2), "n_videos": 60, "anomalous_share": 0.5},
    "review": {"first_day": date(2026, 11, 16), "n_videos": 72, "anomalous_share": 0.25, "nuisance_share": 0.5},
    "held_out": {"first_day": date(2026, 11, 30), "n_videos": 72, "anomalous_share": 0.25, "nuisance_share": 0.5},
}
SNIPPET, MIDDLE = 16, 8  # frames; the one of them that is embedded
NOISE_FRAMES = 12


def config_of(seed: int, period: str) -> ArchiveConfig:
    """What one fortnight of one world holds; no two have the same seed."""
    return ArchiveConfig(**ALIKE, **PERIODS[period], seed=10 * seed + list(PERIODS).index(period))


def make_world(folder: Path, seed: int) -> dict[str, list[RenderedVideo]]:
    """Draw and embed a world into `folder/store`, once; write `labels.csv` and `annotations.csv` of all its videos.

    Returns:
        The videos of each period.
    """
    plans = {period: plan_archive(config_of(seed, period), folder) for period in PERIODS}
    tower = folder / "tower"
    if not tower.exists():
        tower.parent.mkdir(parents=True, exist_ok=True)
        write_toy_tower(tower)
    labels = [f"{v.video_id},{v.category},{period}" for period, plan in plans.items() for v in plan]
    ranges = [(v, *part) for plan in plans.values() for v in plan for part in v.segments or (("", ""),)]
    write_bytes(folder / "labels.csv", _table("video,label,split", labels))
    rows = [f"{v.video_id},{start},{end},{v.category}" for v, start, end in ranges]
    write_bytes(folder / "annotations.csv", _table("video,start_frame,end_frame,category", rows))
    write_bytes(folder / "categories.csv", _table("name", [NORMAL, *CATEGORIES]))
    extractor = Extractor(
        ExtractConfig(like="quick", model=f"local-dir:{tower}", pretrained="random:0", runtime="torch")
    )
    with EmbeddingStore(folder / "store", create=True) as store:
        held = {entry.video for entry in store.entries()}
        for period, plan in plans.items():
            _embed(plan, config_of(seed, period), extractor, store, held)
    return plans


def _embed(
    plan: list[RenderedVideo], config: ArchiveConfig, extractor: Extractor, store: EmbeddingStore, held: set[str]
) -> None:
    rng = np.random.default_rng(config.seed)
    clouds = clouds_of(rng, 2.1), (clouds_of(rng, 3.5) * 90).astype(np.int32)
    noise = rng.normal(0, 0.022, (NOISE_FRAMES, config.height, config.width, 3)).astype(np.float32)
    for i, video in enumerate(plan):
        if video.video_id in held:
            continue
        shot = Shot(config, video, noise, clouds, np.random.default_rng([config.seed, i]))
        pictures = [shot.frame(first + MIDDLE) for first in range(0, config.n_frames, SNIPPET)]
        crops = crop_frames(pictures, "clip", (0,))[:, 0]
        rows = [extractor.encoder.encode(part) for part in crops.split(extractor.encoder.batch_size)]
        seconds = np.arange(config.n_frames) / float(config.fps)
        embeddings = VideoEmbeddings(
            video_id=video.video_id,
            embeddings=np.concatenate(rows)[None].astype(np.float16),
            crops=(0,),
            snippet_seconds=snippet_seconds(seconds, float(config.fps), extractor.recipe),
            frame_seconds=seconds,
            fps=config.fps,
            recipe=extractor.recipe,
            info=None,
        )
        source = SourceFile(f"{video.video_id}.mp4", IMPORTED_SIZE, 0)
        store.put(embeddings, source=source, content=video.video_id, precision="fp32", runtime="bench")


def _table(header: str, rows: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in (header, *rows)).encode()
