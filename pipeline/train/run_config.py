"""The content of a training run's config.json, and the rows that the run trains on."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version

from vad_pipeline.extract.store.embedding_store import EmbeddingStore

from .data import Rows, TrainingVideo, data_fingerprint
from .network import normality_config
from .setup import TrainSetup
from .trained_videos import TRAINED_ON


def run_config(setup: TrainSetup) -> dict:
    """The content of config.json: everything that could change a weight, and what people want to know of a run."""
    import numpy as np
    import torch

    from vad_pipeline.extract.device import resolve_device

    rows, normality, training = rows_of(setup, None), normality_config(setup), asdict(setup.config)
    if not setup.config.milestones:  # as config.json was written before there were any
        del training["milestones"]
    return {
        "versions": {
            "vad-pipeline": version("vad-pipeline"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "threads": torch.get_num_threads(),
        "device": resolve_device(setup.options.device).type,
        "head": setup.head,
        "preset": setup.options.preset,
        "network": json.loads(setup.network.to_json()),
        "normality": normality and asdict(normality),
        "training": training,
        "categories": [asdict(category) for category in setup.categories],
        "recipe": json.loads(setup.recipe.to_json()),
        "crops": setup.options.crops and list(setup.options.crops),
        "crop": setup.crop,
        "data": {
            "fingerprint": data_fingerprint([*setup.train, *setup.held_out], setup.options.crops),
            "videos": len(setup.train),
            "rows": len(rows.rows),
            "normal_videos": sum(video.normal for video in setup.train),
            "held_out": sorted(video.entry.video for video in setup.held_out),
            "test_fingerprint": data_fingerprint([TrainingVideo(entry, ()) for entry in setup.test], None),
        },
        TRAINED_ON: sorted(video.entry.video for video in setup.train),
        "select": selected_by(setup),
        "false_alarms_per_hour": setup.options.false_alarms_per_hour,
        "text_tower": setup.tower and [setup.tower.pretrained, setup.tower.model],
        **setup.inputs,
    }


def rows_of(setup: TrainSetup, store: EmbeddingStore | None) -> Rows:
    """The training rows of a setup; with `store` None they can be counted but not read."""
    chosen = [
        (video.entry, crop, video.columns)
        for video in setup.train
        for crop in video.entry.crop_numbers
        if setup.options.crops is None or crop in setup.options.crops
    ]
    return Rows(
        store=store,
        rows=tuple(chosen),
        n_categories=len(setup.categories),
        window_len=setup.network.window_len,
        width=setup.network.width,
        batch_size=setup.config.batch_size,
        paired=setup.config.paired,
        seed=setup.config.seed,
    )


def selected_by(setup: TrainSetup) -> str:
    """How the best weights are chosen: by `test` or `val` videos, or `last` where nothing could be held out."""
    return "test" if setup.annotations is not None else "val" if setup.held_out else "last"
