"""Published checkpoints: the names and shapes of their tensors, derived from ours by rule, and how they are read.

A published checkpoint holds DSANet's scoring weights, its normality branch (which only training's losses use), text
adapters, and CLIP ViT-B/16 twice under OpenAI's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from .categories import CATEGORIES
from .heads.dsanet import PRESETS, DSANet, DSANetConfig
from .heads.normality import NormalityBranch, NormalityConfig
from .layers import TransformerBlock, without_weights
from .tensorfile import EXPECTED, CheckpointError, check_shapes
from .text import TextEncoder, tokenize

CLIP_COPIES = ("clipmodel.", "clip_adapter.clipmodel.")
TEXT_ADAPTER = "clip_adapter.text_adapter.{}.fc.0.weight"
UNUSED = {"disAdj.sigma": (1,)}  # in every published file, read by nothing
OTHERS = {
    "Amemory.memory_block": "UR-DMU",
    "Aggregate.conv_1.0.weight": "RTFM",
    "prompt_learner.ctx": "AnomalyCLIP",
}
"""How a name of one of their tensors ends -> the method."""

VISUAL_WIDTH = 768
VISUAL_LAYERS = 12
VISUAL_PATCH_PX = 16
VISUAL_TOKENS = 197  # 14 x 14 patches and the class token

_PREFIXES = {
    "position_embedding": "frame_position_embeddings.weight",
    "blocks": "temporal.resblocks",
    "similarity_branch.first": "gc1",
    "similarity_branch.second": "gc2",
    "distance_branch.first": "gc3",
    "distance_branch.second": "gc4",
    "merge": "linear",
    "anomaly_mlp": "mlp2",
    "category_mlp": "mlp1",
}
_BLOCK_PARTS = {
    "attention.qkv.weight": "attn.in_proj_weight",
    "attention.qkv.bias": "attn.in_proj_bias",
    "attention.out.": "attn.out_proj.",
    "norm1.": "ln_1.",
    "norm2.": "ln_2.",
    "expand.": "c_fc.",
    "project.": "c_proj.",
}
_NORMALITY_PARTS = {
    "prototypes": "video_prototypes",
    "extractor.": "dnp_extractor.0.",
    "bottleneck.expand.": "bottleneck.c_fc.",
    "bottleneck.project.": "bottleneck.c_proj.",
    "mlp.0.": "mlp.fc1.",
    "mlp.2.": "mlp.fc2.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """The part of a published checkpoint that scoring needs."""

    head: str
    """The method: a name in `HEADS`."""
    preset: str
    """`ucf-crime` or `xd-violence`."""
    model: dict[str, Tensor]
    """The scoring network's weights by our names, float32, in memory."""
    text_features: Tensor
    """(C, 512) float32: one row for each category."""
    clip: dict[str, Tensor]
    """The weights of CLIP ViT-B/16 by OpenAI's names."""
    training: dict[str, Tensor] = field(default_factory=dict)
    """What fine-tuning needs besides, by our names: VadCLIP's prompts, which are small."""


def read_published(path: Path, tensors: Mapping[str, Tensor]) -> Published:
    """Take what scoring needs from a published state dict.

    Args:
        path: the file it comes from, for messages.
        tensors: the state dict.

    Raises:
        CheckpointError: it is another network's, or not complete; the message lists what is missing, unknown or of
            another shape.
    """
    preset, shapes = _closest(path, tensors)
    check_shapes(path, tensors, shapes, title="DSANet")
    config = PRESETS[preset]
    # cloned: the file stays mapped otherwise, and may be on a network drive
    model = {ours: tensors[theirs].float().clone() for ours, theirs in model_names(config).items()}
    text = without_weights(lambda: _text_encoder(config))
    text.load_state_dict(
        {ours: tensors[theirs].float() for ours, theirs in text_names(config).items()}, assign=True, strict=True
    )
    with torch.inference_mode():
        features = text.eval()(*tokenize(CATEGORIES[preset]))
    clip = CLIP_COPIES[0]
    return Published(
        head="dsanet",
        preset=preset,
        model=model,
        text_features=features.clone(),
        clip={name.removeprefix(clip): value for name, value in tensors.items() if name.startswith(clip)},
    )


def published_shapes(config: DSANetConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in a published checkpoint of this configuration."""
    ours = shapes_of(without_weights(lambda: DSANet(config)))
    shapes = {theirs: ours[name] for name, theirs in model_names(config).items()} | UNUSED
    for copy in CLIP_COPIES:
        shapes |= {f"{copy}{name}": shape for name, shape in clip_shapes(config.width).items()}
    for i in range(config.text_adapter_layers + 1):  # the last one is the projection
        shapes[TEXT_ADAPTER.format(i)] = (config.width, config.width)
    normality = shapes_of(without_weights(lambda: NormalityBranch(config.width, NormalityConfig())))
    return shapes | {theirs: normality[name] for name, theirs in normality_names(config).items()}


def model_names(config: DSANetConfig) -> dict[str, str]:
    """Our names of the scoring weights -> the published ones."""
    return {name: published_name(name) for name in shapes_of(without_weights(lambda: DSANet(config)))}


def is_published(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is a published DSANet checkpoint: it has names that no other network has."""
    return {TEXT_ADAPTER.format(0), *UNUSED} <= tensors.keys()


def text_names(config: DSANetConfig) -> dict[str, str]:
    """Our names of the text tower's weights -> the published ones."""
    names = {ours: CLIP_COPIES[1] + theirs for ours, theirs in clip_text_names(config.width).items()}
    names |= {f"adapters.{i}.weight": TEXT_ADAPTER.format(i) for i in range(config.text_adapter_layers)}
    return names | {"projection.weight": TEXT_ADAPTER.format(config.text_adapter_layers)}


def clip_text_names(width: int) -> dict[str, str]:
    """Our names of the frozen text tower's weights -> OpenAI's."""
    ours = shapes_of(_plain_text_encoder(width))
    return {name: _clip_name(name) for name in ours if not name.startswith("projection.")}


def normality_names(config: DSANetConfig) -> dict[str, str]:
    """Our names of the normality branch's weights -> the published ones."""
    names = {}
    for name in shapes_of(without_weights(lambda: NormalityBranch(config.width, NormalityConfig()))):
        theirs = name
        for ours, part in _NORMALITY_PARTS.items():
            theirs = theirs.replace(ours, part)
        names[name] = f"video_anomaly_refiner.{theirs}"
    return names


def clip_shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Name, as OpenAI has it, and shape of every tensor of CLIP ViT-B/16."""
    text = shapes_of(_plain_text_encoder(width))
    shapes = {theirs: text[ours] for ours, theirs in clip_text_names(width).items()}
    shapes |= {"text_projection": (width, width), "logit_scale": ()}
    block = shapes_of(without_weights(lambda: TransformerBlock(VISUAL_WIDTH, n_heads=1)))
    visual: dict[str, tuple[int, ...]] = {
        "class_embedding": (VISUAL_WIDTH,),
        "positional_embedding": (VISUAL_TOKENS, VISUAL_WIDTH),
        "proj": (VISUAL_WIDTH, width),
        "conv1.weight": (VISUAL_WIDTH, 3, VISUAL_PATCH_PX, VISUAL_PATCH_PX),
    }
    for norm in ("ln_pre", "ln_post"):
        visual |= {f"{norm}.weight": (VISUAL_WIDTH,), f"{norm}.bias": (VISUAL_WIDTH,)}
    for i in range(VISUAL_LAYERS):
        visual |= {_clip_name(f"blocks.{i}.{name}"): shape for name, shape in block.items()}
    return shapes | {f"visual.{name}": shape for name, shape in visual.items()}


def _closest(path: Path, tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, tuple[int, ...]]]:
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    other = next((method for end, method in OTHERS.items() for name in found if name.endswith(end)), None)
    if other:
        raise CheckpointError(f"{path}: is a checkpoint of {other}, which cannot be scored here; {EXPECTED}")
    if any(name.startswith("visual.") for name in found):
        raise CheckpointError(f"{path}: holds CLIP weights and no DSANet, they go to --pretrained; {EXPECTED}")
    candidates = {preset: published_shapes(config) for preset, config in PRESETS.items()}
    # the number of layers and adapters tells them apart, also where a few tensors are missing
    preset = min(candidates, key=lambda name: len(candidates[name].items() ^ found.items()))
    scoring = [name for name in model_names(PRESETS[preset]).values() if name in found]
    if len(scoring) < len(model_names(PRESETS[preset])) / 2:
        first = ", ".join(list(found)[:3])
        raise CheckpointError(f"{path}: is a checkpoint of another network ({first}, ...); {EXPECTED}")
    return preset, candidates[preset]


def published_name(name: str) -> str:
    """The published name of one of the scoring network's weights."""
    for ours, theirs in _PREFIXES.items():
        if name == ours or name.startswith(f"{ours}."):
            name = theirs + name.removeprefix(ours)
            break
    return _rename_block(name)


def _clip_name(name: str) -> str:
    return _rename_block(f"transformer.res{name}" if name.startswith("blocks.") else name)


def _rename_block(name: str) -> str:
    for ours, theirs in _BLOCK_PARTS.items():
        name = name.replace(ours, theirs)
    return name


def _text_encoder(config: DSANetConfig) -> TextEncoder:
    return TextEncoder(config.width, n_adapters=config.text_adapter_layers, adapter_weight=config.text_adapter_weight)


def _plain_text_encoder(width: int) -> TextEncoder:
    return without_weights(lambda: TextEncoder(width, n_adapters=0, adapter_weight=0.0))


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a module."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
