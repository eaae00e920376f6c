"""Renames CLIP weights of Hugging Face's transformers (CLIPModel and its halves) to OpenAI's names, as open_clip's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TOWERS = {"text_model.": "", "vision_model.": "visual."}
OUTER = {
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}
"""Their projections are linear layers and ours are matrices that are multiplied from the right: they are transposed."""
PARTS = (
    (r"embeddings\.token_embedding", "token_embedding"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"embeddings\.class_embedding", "class_embedding"),
    (r"embeddings\.patch_embedding", "conv1"),
    (r"pre_layrnorm", "ln_pre"),  # their spelling
    (r"post_layernorm", "ln_post"),
    (r"final_layer_norm", "ln_final"),
    (r"encoder\.layers\.(\d+)\.", r"transformer.resblocks.\1."),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"layer_norm([12])", r"ln_\1"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
)
ATTENTION = re.compile(r"(?P<block>.*)self_attn\.(?P<which>[qkv])_proj\.(?P<kind>weight|bias)")
POSITIONS = "embeddings.position_ids"  # 0, 1, 2, ...: no weights


def is_hugging_face(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors have the names of transformers' CLIP."""
    return any(name.startswith(tuple(TOWERS)) for name in tensors)


def in_openai_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to OpenAI's names. What has no such name keeps its own; a later check names what is missing."""
    import torch

    renamed, attention = {}, {}
    for name, value in tensors.items():
        match = ATTENTION.fullmatch(name)
        if name in OUTER:
            renamed[OUTER[name]] = value.T.contiguous()
        elif match:
            attention.setdefault((match["block"], match["kind"]), {})[match["which"]] = (name, value)
        elif not name.endswith(POSITIONS):
            renamed[_renamed(name)] = value
    for (block, kind), parts in attention.items():
        if len(parts) == len("qkv"):
            renamed[_renamed(f"{block}attn.in_proj_{kind}")] = torch.cat([parts[which][1] for which in "qkv"])
        else:
            renamed |= dict(parts.values())
    return renamed


def _renamed(name: str) -> str:
    tower = next((tower for tower in TOWERS if name.startswith(tower)), None)
    if tower is None:
        return name
    name = name.removeprefix(tower)
    for theirs, ours in PARTS:
        name = re.sub(theirs, ours, name)
    return TOWERS[tower] + name
