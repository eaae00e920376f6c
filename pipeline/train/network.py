"""The network of a training run: built from the setup, used for scoring between steps, written as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.heads.normality import NormalityConfig
    from vad_pipeline.model.learning.trainable import Trainable
    from vad_pipeline.model.training import Training

    from .setup import TrainSetup
    from .validation import Measured


def build_network(setup: TrainSetup, say: Callable[[str], None]) -> Trainable:
    """Make a network with random weights and CLIP's text tower; with --init, start from another checkpoint's weights.

    Args:
        setup: what is trained.
        say: called with a sentence on the parts that the --init checkpoint lacks.
    """
    from vad_pipeline.model.initial import load_initial, load_text_tower
    from vad_pipeline.model.learning.trainable import TRAINED

    parts = {"normality": normality_config(setup), "own": setup.own}
    of_it = {name: part for name, part in parts.items() if part is not None}
    network = TRAINED[setup.head].network(setup.network, setup.categories, **of_it)
    if setup.clip is not None:
        load_text_tower(network, setup.clip, source=setup.tower.pretrained)
    if setup.options.init:
        anew = load_initial(network, setup.options.init)
        if anew:
            say(f"note: {setup.options.init} holds no {' and no '.join(anew)} weights of this shape: they start anew")
    return network


def normality_config(setup: TrainSetup) -> NormalityConfig | None:
    """The normality branch's configuration, the published one; None: the head has none."""
    from vad_pipeline.model.heads.head_names import DEFAULT_HEAD
    from vad_pipeline.model.heads.normality import NormalityConfig

    return NormalityConfig() if setup.head == DEFAULT_HEAD else None


def checkpoint_of(setup: TrainSetup, training: Training, path: Path) -> Checkpoint:
    """Wrap the network as it is now as a checkpoint for scoring. Nothing is written."""
    from vad_pipeline.model.checkpoint import DEFAULT_THRESHOLD, Checkpoint
    from vad_pipeline.model.heads.known import result_categories

    scoring, text_features = training.network.scoring, training.network.text_features()
    return Checkpoint(
        preset=setup.options.preset,
        config=scoring.config,
        model=scoring,
        text_features=None if text_features is None else text_features.detach(),
        categories=result_categories(scoring.config),
        recipe=setup.recipe,
        clip_sha256=None,
        crop=setup.crop,
        threshold=DEFAULT_THRESHOLD,
        sha256="",
        path=path,
        descriptions=tuple(category.descriptions for category in setup.categories),
    )


def save_best(setup: TrainSetup, training: Training, path: Path, measured: Measured) -> None:
    """Write the weights as they are now, with the threshold measured for them, as a checkpoint for `detect`."""
    from vad_pipeline.model.learning.trainable import trained_state

    checkpoint = checkpoint_of(setup, training, path)
    if measured.threshold is not None:
        checkpoint = replace(checkpoint, threshold=measured.threshold, calibration=measured.calibration)
    state = trained_state(training.network)
    checkpoint.save(path, training={name: value for name, value in state.items() if not name.startswith("scoring.")})
