"""Files of weights: what training scripts put around them is taken off, and no code runs."""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.embed.state_dict import read_state
from vad_pipeline.extract.errors import ConfigError

WEIGHTS = {"a.weight": torch.arange(3.0), "b": torch.ones(())}
PREFIXES = ("", "module.", "_orig_mod.", "model.", "module._orig_mod.", "model._orig_mod.")


def read(path, **options):
    return read_state(path, expected="expected this", **options)[0]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "wrappers", [(), ("model",), ("net",), ("state_dict",), ("model_state_dict",), ("net", "model")]
)
def test_wrappings(tmp_path, prefix, wrappers):
    state = OrderedDict({prefix + name: value for name, value in WEIGHTS.items()})
    for wrapper in wrappers:
        state = {"epoch": 7, wrapper: state, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}}
    torch.save(state, tmp_path / "a.pth")
    found = read(tmp_path / "a.pth")
    assert found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize(
    "value", [np.float64(0.5), np.float32(1), np.int64(3), np.bool_(True), np.float16(2), np.uint8(4), np.str_("best")]
)
@pytest.mark.parametrize("new", [True, False])
def test_numbers_of_numpy_beside_the_weights(tmp_path, value, new):
    for state in ({"ap": value, "net": WEIGHTS}, {**WEIGHTS, "ap": value, "epoch": 2}):
        torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
        assert read(tmp_path / "a.pth").keys() == WEIGHTS.keys()


def test_numbers_that_an_older_numpy_saved(tmp_path):
    torch.save({"ap": np.float64(0.5), "net": WEIGHTS}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "a.pth").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in data
    (tmp_path / "a.pth").write_bytes(data)
    assert read(tmp_path / "a.pth").keys() == WEIGHTS.keys()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"net": WEIGHTS, "args": argparse.Namespace(lr=1)}, r"refused \(argparse.Namespace\); save its weights again"),
        ({"net": WEIGHTS, "curve": np.zeros(3)}, "Python objects, which can run code"),
        ({"generator": WEIGHTS, "epoch": 1}, r"holds no state dict \(names and tensors\) but generator; expected this"),
        ({"net": {**WEIGHTS, "module.b": torch.zeros(())}}, "holds two networks, module.b beside b"),
        ({"epoch": 1}, "but epoch; expected this"),
        ([1], r"\(names and tensors\); expected this"),
    ],
)
def test_what_holds_no_weights_says_so(tmp_path, state, words):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=words) as caught:
        read(tmp_path / "a.pth")
    assert str(caught.value).startswith(f"{tmp_path / 'a.pth'}: ") and "\n" not in str(caught.value)


def test_what_numpys_numbers_are_let_in_for_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return np.float64(0).__reduce__()[0], (np.dtype(object), "text")

    torch.save({"net": WEIGHTS, "ap": Evil()}, tmp_path / "a.pth")
    before = set(torch.serialization.get_safe_globals())
    with pytest.raises(ConfigError):
        read(tmp_path / "a.pth")
    assert set(torch.serialization.get_safe_globals()) == before, "let in for this file, not for good"


def as_hugging_face(state):
    """An open_clip state dict in the names of transformers' CLIPModel."""
    found = {
        "vision_model.embeddings.position_ids": torch.arange(50),
        "text_model.embeddings.position_ids": torch.arange(77),
    }
    names = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "logit_scale": "logit_scale",
    }
    for part in ("weight", "bias"):
        names[f"visual.ln_pre.{part}"] = f"vision_model.pre_layrnorm.{part}"
        names[f"visual.ln_post.{part}"] = f"vision_model.post_layernorm.{part}"
        names[f"ln_final.{part}"] = f"text_model.final_layer_norm.{part}"
        for ours, theirs in (
            ("visual.transformer.resblocks.0", "vision_model"),
            ("transformer.resblocks.0", "text_model"),
        ):
            layer = f"{theirs}.encoder.layers.0"
            names[f"{ours}.ln_1.{part}"] = f"{layer}.layer_norm1.{part}"
            names[f"{ours}.ln_2.{part}"] = f"{layer}.layer_norm2.{part}"
            names[f"{ours}.mlp.c_fc.{part}"] = f"{layer}.mlp.fc1.{part}"
            names[f"{ours}.mlp.c_proj.{part}"] = f"{layer}.mlp.fc2.{part}"
            names[f"{ours}.attn.out_proj.{part}"] = f"{layer}.self_attn.out_proj.{part}"
            for which, values in zip("qkv", state[f"{ours}.attn.in_proj_{part}"].chunk(3), strict=True):
                found[f"{layer}.self_attn.{which}_proj.{part}"] = values.clone()
    found["visual_projection.weight"] = state["visual.proj"].T.contiguous()
    found["text_projection.weight"] = state["text_projection"].T.contiguous()
    return found | {theirs: state[ours] for ours, theirs in names.items()}


def test_clip_from_hugging_face(tmp_path, toy_model):
    import open_clip

    torch.manual_seed(3)
    state = open_clip.create_model(toy_model, load_weights=False).state_dict()
    theirs = as_hugging_face(state)
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    save_file(theirs, tmp_path / "model.safetensors", {"format": "pt"})
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "ours.safetensors")
    for name in ("pytorch_model.bin", "model.safetensors"):
        found = read(tmp_path / name)
        assert found.keys() == state.keys() - {"attn_mask"}
        assert all(torch.equal(found[name], state[name]) for name in found)
    crops = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    encoders = [
        ClipEncoder(EncoderConfig(model=toy_model, pretrained=str(tmp_path / name), device="cpu"))
        for name in ("pytorch_model.bin", "ours.safetensors")
    ]
    assert encoders[0].weights == encoders[1].weights
    assert np.array_equal(encoders[0].encode(crops), encoders[1].encode(crops))


def test_half_of_an_attention_keeps_its_names(tmp_path):
    name = "vision_model.encoder.layers.3.self_attn.q_proj.weight"
    torch.save({name: torch.ones(2, 2)}, tmp_path / "a.bin")
    assert list(read(tmp_path / "a.bin")) == [name]
