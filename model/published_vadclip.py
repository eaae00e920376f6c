"""VadCLIP's published checkpoints: names and shapes of their tensors, and how they are read.

They hold the scoring weights, under the names that DSANet's have too, the learned prompts, and CLIP ViT-B/16 once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .categories import CATEGORIES
from .heads.prompts import PromptEncoder, name_tokens
from .heads.vadclip import VADCLIP_PRESETS, VadCLIP, VadCLIPConfig
from .layers import without_weights
from .published import CLIP_COPIES, UNUSED, Published, clip_shapes, clip_text_names, published_name, shapes_of
from .tensorfile import check_shapes

PROMPTS = "text_prompt_embeddings.weight"  # no other network has it
OUR_PROMPTS = "text.prompts"  # their name in training
CLIP = CLIP_COPIES[0]
TITLE = "VadCLIP"


def is_vadclip(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is a published VadCLIP checkpoint."""
    return PROMPTS in tensors


def read_vadclip(path: Path, tensors: Mapping[str, Tensor]) -> Published:
    """Take what scoring needs from a published VadCLIP state dict.

    Args:
        path: the file it comes from, for messages.
        tensors: the state dict.

    Raises:
        CheckpointError: it is not complete; the message lists what is missing, unknown or of another shape.
    """
    candidates = {preset: vadclip_shapes(config) for preset, config in VADCLIP_PRESETS.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    # the number of layers tells them apart, also where a few tensors are missing
    preset = min(candidates, key=lambda name: len(candidates[name].items() ^ found.items()))
    check_shapes(path, tensors, candidates[preset], title=TITLE)
    config = VADCLIP_PRESETS[preset]
    # cloned: the file stays mapped otherwise, and may be on a network drive
    model = {ours: tensors[theirs].float().clone() for ours, theirs in vadclip_names(config).items()}
    return Published(
        head="vadclip",
        preset=preset,
        model=model,
        text_features=_text_features(config, preset, tensors),
        clip={name.removeprefix(CLIP): value for name, value in tensors.items() if name.startswith(CLIP)},
        training={OUR_PROMPTS: tensors[PROMPTS].float().clone()},
    )


def vadclip_names(config: VadCLIPConfig) -> dict[str, str]:
    """Our names of the scoring weights -> the published ones."""
    return {name: published_name(name) for name in shapes_of(without_weights(lambda: VadCLIP(config)))}


def vadclip_shapes(config: VadCLIPConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in a published checkpoint of this configuration."""
    ours = shapes_of(without_weights(lambda: VadCLIP(config)))
    shapes = {theirs: ours[name] for name, theirs in vadclip_names(config).items()} | UNUSED
    shapes |= {f"{CLIP}{name}": shape for name, shape in clip_shapes(config.width).items()}
    return shapes | {PROMPTS: shapes_of(without_weights(lambda: PromptEncoder(config.width)))["prompts"]}


def prompt_tower_names(width: int) -> dict[str, str]:
    """Our names of the frozen weights of the text tower, with CLIP's own projection -> OpenAI's."""
    return clip_text_names(width) | {"projection": "text_projection"}


def _text_features(config: VadCLIPConfig, preset: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """(C, 512) float32, not normalised: constant once trained, so that scoring needs no text tower."""
    encoder = without_weights(lambda: PromptEncoder(config.width))
    weights = {ours: CLIP + theirs for ours, theirs in prompt_tower_names(config.width).items()} | {"prompts": PROMPTS}
    encoder.load_state_dict({ours: tensors[theirs].float() for ours, theirs in weights.items()}, assign=True)
    with torch.inference_mode():
        features = encoder.eval()(*name_tokens([category.descriptions[0] for category in CATEGORIES[preset]]))
    return features.clone()
