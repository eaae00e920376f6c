"""A training step of 32 full windows: ours against the published formulation, side by side in one run.

The published formulation is written out below from the method's description, plainly: attention over the whole window
under a block-diagonal mask, text features over all 77 token positions, adjacencies, choice of normal snippets and
losses in loops over videos. It uses the same weights, and its losses are held against ours before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from dataclasses import replace

import torch
from torch.nn import functional

from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.dsanet import PRESETS
from vad_pipeline.model.layers import distance_adjacency, quick_gelu
from vad_pipeline.model.losses import TrainingBatch
from vad_pipeline.model.normality import NormalityConfig
from vad_pipeline.model.trainable import TrainableDSANet
from vad_pipeline.model.training import TRAINING_PRESETS, Schedule, Training

N_WINDOWS = 32
AGREEMENT = 1e-4  # relative, of each loss


def plain_attention(attention, x, mask):
    q, k, v = (part.unflatten(-1, (attention.n_heads, -1)).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + mask, dim=-1)
    return attention.out((weights @ v).transpose(1, 2).flatten(2))


def plain_block(block, x, mask):
    x = x + plain_attention(block.attention, block.norm1(x), mask)
    return x + block.mlp(block.norm2(x))


def plain_text(network):
    text, tokens = network.text, network.tokens
    x = text.token_embedding(tokens) + text.positional_embedding
    mask = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
    for i, block in enumerate(text.blocks):
        x = plain_block(block, x, mask)
        if i < len(text.adapters):
            x = text._blend(x, text.adapters[i])
    x = text.ln_final(x)[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
    return functional.normalize(functional.leaky_relu(text.projection(x), 0.01), dim=-1)


def plain_similarity(x, lengths):
    adjacency = torch.zeros(len(x), x.shape[1], x.shape[1])
    for i, n in enumerate(lengths.tolist()):
        valid = x[i, :n]
        norm = valid.norm(dim=-1, keepdim=True)
        cosine = valid @ valid.T / (norm @ norm.T + 1e-20)
        adjacency[i, :n, :n] = torch.softmax(functional.threshold(cosine, 0.7, 0), dim=-1)
    return adjacency


def plain_forward(network, batch, text=None):
    model, config = network.scoring, network.scoring.config
    text = plain_text(network) if text is None else text
    length = config.window_len
    blocks = torch.arange(length) // config.attention_block
    mask = torch.zeros(length, length).masked_fill(blocks[:, None] != blocks, -torch.inf)
    x = batch.features + model.position_embedding
    for block in model.blocks:
        x = plain_block(block, x, mask)
    similar = model.similarity_branch(x, plain_similarity(x, batch.lengths))
    near = model.distance_branch(x, distance_adjacency(length, device=x.device, dtype=x.dtype))
    visual = model.merge(torch.cat([similar, near], dim=-1))
    mlp = model.anomaly_mlp
    anomaly = model.classifier(visual + mlp.project(quick_gelu(mlp.expand(visual))))
    category = model._category_logits(visual, anomaly, text)
    score = torch.sigmoid(anomaly)
    sides = [model._alignment_logits(visual, value, text) for value in (score, 1 - score)]
    normal = []
    for i in range(len(visual)):  # detached: the choice, and what is chosen
        order = score[i, :, 0].detach().argsort()[: int(0.8 * length)]
        normal.append(visual[i, order].detach())
    normal = torch.stack(normal)
    branch = network.normality
    patterns = branch.extractor(branch.prototypes.expand(len(visual), -1, -1), normal)
    gather = []
    for i in range(len(visual)):
        cosine = functional.normalize(normal[i], dim=-1) @ functional.normalize(patterns[i], dim=-1).T
        gather.append((1 - cosine).min(dim=-1).values)
    rebuilt = branch.bottleneck(visual)
    for block in branch.decoder:
        rebuilt = block(rebuilt, patterns)
    return text, visual, anomaly, category, *sides, rebuilt, torch.cat(gather).mean()


def plain_losses(network, batch):
    text, visual, anomaly, category, event, background, rebuilt, gather = plain_forward(network, batch)
    score = torch.sigmoid(anomaly)[:, :, 0]
    n_categories = category.shape[2]
    mil, align, events, backgrounds, errors = [], [], [], [], []
    for i, n in enumerate(batch.lengths.tolist()):
        k = int(n / 16 + 1)
        top = score[i, :n].topk(k).values.mean()
        mil.append(functional.binary_cross_entropy(top, batch.anomalous[i]))
        shares = batch.labels[i] / batch.labels[i].sum()
        logits = torch.stack([category[i, :n, c].topk(k).values.mean() for c in range(n_categories)])
        align.append(-(shares * functional.log_softmax(logits, dim=-1)).sum())
        smoothed = 0.9 * shares + 0.1 / n_categories
        events.append(-(smoothed * functional.log_softmax(event[i, 0], dim=-1)).sum())
        target = torch.full((n_categories,), 0.01)
        target[0] = 1
        smoothed = 0.9 * target / target.sum() + 0.1 / n_categories
        backgrounds.append(-(smoothed * functional.log_softmax(background[i, 0], dim=-1)).sum())
        distance = (1 - functional.cosine_similarity(visual[i, :n], rebuilt[i, :n], dim=-1)) / 2
        errors.append((score[i, :n] - distance).square())
    separation = torch.stack(
        [functional.cosine_similarity(text[0], text[c], dim=0).abs() for c in range(1, n_categories)]
    )
    return {
        "mil": torch.stack(mil).mean(),
        "align": torch.stack(align).mean(),
        "text_separation": separation.mean(),
        "event": torch.stack(events).mean(),
        "background": torch.stack(backgrounds).mean(),
        "consistency": torch.cat(errors).mean(),
        "gather": gather,
    }


class PlainTraining(Training):
    """The same step with the losses of the published formulation."""

    def _losses(self, batch):
        return plain_losses(self.network, batch)


def training_of(kind: type[Training], preset: str, precision: str) -> Training:
    torch.manual_seed(0)
    network = TrainableDSANet(PRESETS[preset], NormalityConfig(), CATEGORIES[preset])
    config = replace(TRAINING_PRESETS[preset], precision=precision)
    return kind(network, config, Schedule(10, 100, 1000, 1000, 100))


def batch_of(n_categories: int, window_len: int) -> TrainingBatch:
    torch.manual_seed(1)
    labels = functional.one_hot(torch.arange(N_WINDOWS) % n_categories, n_categories).float()
    features = 0.45 * torch.randn(N_WINDOWS, window_len, 512)
    return TrainingBatch(features, torch.full((N_WINDOWS,), window_len), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="ucf-crime")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-bf16", action="store_true")
    options = parser.parse_args()
    kinds = {"published formulation, fp32": (PlainTraining, "fp32"), "vad-pipeline, fp32": (Training, "fp32")}
    if not options.skip_bf16:
        kinds["vad-pipeline, bf16"] = (Training, "bf16")
    runs = {name: training_of(kind, options.preset, precision) for name, (kind, precision) in kinds.items()}
    batch = batch_of(len(CATEGORIES[options.preset]), PRESETS[options.preset].window_len)

    plain, ours = (runs[name].train_step(batch) for name in list(kinds)[:2])  # also warms up
    for name, value in plain.items():
        assert abs(ours[name] / value - 1) <= AGREEMENT, f"{name}: {ours[name]} against {value}"
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):  # in turn: what the machine does meanwhile hits all of them
        for name, run in runs.items():
            started = time.perf_counter()
            run.train_step(batch)
            seconds[name].append(time.perf_counter() - started)
    capabilities = [name for name in ("avx512_bf16", "amx_bf16") if torch.cpu.get_capabilities().get(name)]
    print(f"{options.preset}, {N_WINDOWS} full windows a step, {options.rounds} rounds, median; ", end="")
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, bf16 in hardware: {capabilities or 'no'}; ", end=""
    )
    print(f"torch {torch.__version__}, Python {platform.python_version()}\n")
    print("| step | seconds | times as fast |\n|---|---:|---:|")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    base = medians["published formulation, fp32"]
    for name, value in medians.items():
        print(f"| {name} | {value:.1f} | {base / value:.2f} |")


if __name__ == "__main__":
    main()
