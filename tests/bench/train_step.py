"""A training step of 32 full windows: ours against the formulation as written, side by side in one run.

Both use the same weights; their losses are held against each other before anything is timed. bf16 is timed where the
processor has it in hardware, or with --bf16 (an hour and a half where it is emulated).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial

import torch
from as_written import TrainingAsWritten
from measure import in_turn, machine, table
from torch.nn import functional

from vad_pipeline.extract.embed.ways import multiplies_bf16
from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.learning.losses import LOSSES, TrainingBatch
from vad_pipeline.model.learning.train_config import TRAINING_PRESETS, Schedule
from vad_pipeline.model.learning.trainable import TrainableDSANet
from vad_pipeline.model.training import Training

N_WINDOWS = 32
AGREEMENT = 1e-4  # relative, of each loss


def training_of(kind: type[Training], preset: str, precision: str) -> Training:
    torch.manual_seed(0)
    network = TrainableDSANet(PRESETS[preset], CATEGORIES[preset])
    config = replace(TRAINING_PRESETS[preset], precision=precision)
    return kind(network, config, Schedule(10, 100, 1000, 1000, 100), LOSSES)


def batch_of(n_categories: int, window_len: int) -> TrainingBatch:
    torch.manual_seed(1)
    labels = functional.one_hot(torch.arange(N_WINDOWS) % n_categories, n_categories).float()
    features = 0.45 * torch.randn(N_WINDOWS, window_len, 512)
    return TrainingBatch(features, torch.full((N_WINDOWS,), window_len), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="ucf-crime")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="Even where it is emulated.")
    options = parser.parse_args()
    kinds = {"as written, fp32": (TrainingAsWritten, "fp32"), "vad-pipeline, fp32": (Training, "fp32")}
    if options.bf16 or multiplies_bf16():
        kinds["vad-pipeline, bf16"] = (Training, "bf16")
    runs = {name: training_of(kind, options.preset, precision) for name, (kind, precision) in kinds.items()}
    batch = batch_of(len(CATEGORIES[options.preset]), PRESETS[options.preset].window_len)

    plain, ours = (runs[name].train_step(batch) for name in list(kinds)[:2])
    for name, value in plain.items():
        assert abs(ours[name] / value - 1) <= AGREEMENT, f"{name}: {ours[name]} against {value}"
    seconds = in_turn({name: partial(run.train_step, batch) for name, run in runs.items()}, options.rounds)
    print(f"{options.preset}, {N_WINDOWS} full windows a step, {options.rounds} rounds, median; {machine()}")
    base = seconds["as written, fp32"]
    lines = [(name, f"{value:.1f}", f"{base / value:.2f}") for name, value in seconds.items()]
    table(("step", "seconds", "times as fast"), lines)


if __name__ == "__main__":
    main()
