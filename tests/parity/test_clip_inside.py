"""The CLIP weights inside a published checkpoint, written out by `convert`, and the metadata beside them."""

import json
from dataclasses import replace

import open_clip
import torch
from safetensors import safe_open

from vad_pipeline.extract.embed.weights import read_weights
from vad_pipeline.extract.files import fingerprint
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe


def test_open_clip_loads_it_strictly(converted_ucf, clip_tensors):
    model = open_clip.create_model("ViT-B-16-quickgelu", pretrained=str(converted_ucf[1]))
    loaded = model.state_dict()
    assert loaded.keys() == clip_tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in clip_tensors.items())


def test_its_tower_is_known_by_the_checkpoint(converted_ucf, published_ucf):
    weights = read_weights(str(converted_ucf[1]))
    checkpoint = published_ucf.checkpoint
    assert weights.quickgelu is True
    assert weights.identity == checkpoint.clip_sha256
    recipe = NAMED_RECIPES["vadclip"].recipe
    assert checkpoint.accepts(recipe)
    assert checkpoint.accepts(replace(recipe, weights=weights.identity))
    assert not checkpoint.accepts(replace(recipe, weights="sha256:" + "0" * 64))
    assert not checkpoint.accepts(replace(recipe, weights=weights.identity, tail="keep"))


def test_metadata(converted_ucf, published_ucf):
    with safe_open(converted_ucf[0], framework="pt") as file:
        metadata = {name: json.loads(value) for name, value in file.metadata().items()}
        names = set(file.keys())
    checkpoint = published_ucf.checkpoint
    assert metadata["format_version"] == 1
    assert tuple(metadata["categories"]) == checkpoint.categories
    assert metadata["preset"] == "ucf-crime"
    assert metadata["config"]["layers"] == 2
    assert Recipe(**metadata["recipe"]) == checkpoint.recipe
    assert (metadata["crop"], metadata["threshold"]) == (5, 0.5)
    assert metadata["clip_sha256"] == checkpoint.clip_sha256
    assert metadata["source_sha256"] == checkpoint.sha256 == fingerprint(published_ucf.path)
    assert not any("text_adapter" in name or "token" in name for name in names), "the text tower stays out"
    assert converted_ucf[0].stat().st_size < published_ucf.path.stat().st_size / 10
