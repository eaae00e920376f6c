"""Checkpoints: each thing that can be wrong with a file is one sentence that names it."""

import json
import math
import pickle
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from seeded import seeded_checkpoint

from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.files import fingerprint
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model import tensorfile
from vad_pipeline.model.checkpoint import CheckpointError, convert, load_checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.initial import load_initial
from vad_pipeline.model.published import model_names, published_shapes
from vad_pipeline.model.tensorfile import check_shapes


class NotATensor:
    pass


@pytest.fixture(scope="module")
def published_names() -> dict[str, torch.Tensor]:
    """Every tensor of a published UCF-Crime checkpoint, all of the same bytes: 25 MB in a file."""
    shapes = published_shapes(PRESETS["ucf-crime"])
    numbers = torch.zeros(max(map(math.prod, shapes.values())), dtype=torch.int8)
    return {name: numbers[: math.prod(shape)].view(shape) for name, shape in shapes.items()}


def refusal(path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 700
    assert str(pickle.loads(pickle.dumps(caught.value))) == message
    return message


def refusal_of(tmp_path, state) -> str:
    path = tmp_path / "a.pth"
    torch.save(state, path)
    return refusal(path)


def test_what_is_saved_is_read_back_and_the_same_bytes_again(seeded, seeded_path, tmp_path):
    assert (seeded.preset, seeded.crop, seeded.threshold) == ("ucf-crime", 0, 0.4)
    assert seeded.recipe == NAMED_RECIPES["quick"].recipe and seeded.clip_sha256 is None
    assert seeded.sha256 == fingerprint(seeded_path) and seeded.path == seeded_path
    assert torch.allclose(seeded.text_features.norm(dim=-1), torch.ones(14))
    again = tmp_path / "again.safetensors"
    recipe = NAMED_RECIPES["quick"].recipe
    seeded_checkpoint(again, preset="ucf-crime", recipe=recipe, crop=0, seed=7, threshold=0.4)
    assert again.read_bytes() == seeded_path.read_bytes()
    assert "ucf-crime, 14 categories" in repr(seeded)


def test_accepts(seeded):
    recipe = seeded.recipe
    assert seeded.accepts(recipe) and not seeded.accepts(replace(recipe, weights="sha256:ab"))
    assert not seeded.accepts(NAMED_RECIPES["vadclip"].recipe)
    with_clip = replace(seeded, clip_sha256="sha256:ab")
    assert with_clip.accepts(recipe) and with_clip.accepts(replace(recipe, weights="sha256:ab"))
    assert not with_clip.accepts(replace(recipe, weights="sha256:ab", tail="drop"))


def test_metadata_round_trip(seeded, tmp_path):
    path = tmp_path / "new folder" / "a.safetensors"
    given = {"recipe": NAMED_RECIPES["vadclip"].recipe, "crop": 5, "threshold": 0.25, "clip_sha256": "sha256:12"}
    replace(seeded, **given).save(path, source_sha256="34")
    assert [child.name for child in path.parent.iterdir()] == ["a.safetensors"], "nothing is left aside"
    loaded = load_checkpoint(path)
    assert (loaded.crop, loaded.threshold, loaded.clip_sha256) == (5, 0.25, "sha256:12")
    assert loaded.recipe == NAMED_RECIPES["vadclip"].recipe and loaded.config == seeded.config
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["source_sha256"]) == "34"


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_files_that_are_no_checkpoints(tmp_path):
    assert "no such file; expected DSANet's or VadCLIP's .pth or" in refusal(tmp_path / "gone.pth")
    assert "cannot be read (Is a directory)" in refusal(tmp_path)
    for name, content, message in [
        ("empty.pth", b"", "is empty"),
        ("text.pth", b"hello, this is no checkpoint\n", "is not a checkpoint"),
        ("noise.pth", np.random.default_rng(0).bytes(4096), "is not a checkpoint"),
        ("cut.safetensors", (40).to_bytes(8, "little") + b'{"a": ', "is a damaged safetensors file"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert message in refusal(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "is not a checkpoint, or damaged" in refusal(tmp_path / "zip.pth")
    torch.save({"weight": torch.zeros(9999)}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-2000])
    assert "is not a checkpoint, or damaged" in refusal(tmp_path / "cut.pth")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "jit.pt")
    assert "is a TorchScript archive" in refusal(tmp_path / "jit.pt")


def test_content_that_is_no_dsanet(tmp_path):
    assert "holds Python objects, which can run code" in refusal_of(tmp_path, {"a": NotATensor()})
    assert "holds no state dict" in refusal_of(tmp_path, {"epoch": 3})
    assert "holds no state dict" in refusal_of(tmp_path, [torch.zeros(2)])
    assert "holds no state dict" in refusal_of(tmp_path, {})
    resnet = {"conv1.weight": torch.zeros(2), "bn1.weight": torch.zeros(2), "fc.weight": torch.zeros(2)}
    torch.save(resnet, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert "another network" in refusal(tmp_path / "old.pth"), "files older than torch 1.6 are read"
    message = refusal_of(tmp_path, {"state_dict": resnet})
    assert "is a checkpoint of another network (conv1.weight, bn1.weight, fc.weight, ...)" in message
    assert "is no complete VadCLIP checkpoint" in refusal_of(
        tmp_path, {"text_prompt_embeddings.weight": torch.zeros(2)}
    )
    for name, method in (("Amemory.memory_block", "UR-DMU"), ("Aggregate.conv_1.0.weight", "RTFM")):
        assert f"is a checkpoint of {method}, which" in refusal_of(tmp_path, {name: torch.zeros(2)})
    assert "of AnomalyCLIP, which" in refusal_of(tmp_path, {"net.prompt_learner.ctx": torch.zeros(2)})
    assert "holds CLIP weights and no DSANet" in refusal_of(
        tmp_path, {"vision_model.post_layernorm.bias": torch.zeros(2)}
    )
    save_file({"visual.proj": torch.zeros(2)}, tmp_path / "clip.safetensors")
    assert "holds CLIP weights and no DSANet, they go to --pretrained" in refusal(tmp_path / "clip.safetensors")


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model."])
def test_missing_unknown_and_misshapen_names_are_listed(tmp_path, published_names, wrapper, prefix):
    state = dict(published_names)
    del state["gc1.weight"], state["video_anomaly_refiner.video_prototypes"]
    state["gc9.weight"] = torch.zeros(1)
    state["linear.bias"] = torch.zeros(513)
    state = {prefix + name: tensor for name, tensor in state.items()}
    message = refusal_of(tmp_path, {wrapper: state} if wrapper else state)
    assert "is no complete DSANet checkpoint: " in message
    assert "lacks 2 tensors (gc1.weight, video_anomaly_refiner.video_prototypes)" in message
    assert "has unknown 1 tensor (gc9.weight)" in message
    assert "has misshapen 1 tensor (linear.bias (513,) instead of (512,))" in message


def test_long_lists_are_cut(tmp_path, published_names):
    scoring = set(model_names(PRESETS["ucf-crime"]).values())
    message = refusal_of(tmp_path, {name: value for name, value in published_names.items() if name in scoring})
    assert f"lacks {len(published_names) - len(scoring)} tensors (" in message
    assert message.split("(")[1].count(", ") == tensorfile.LISTED - 1 and " more)" in message


@pytest.mark.parametrize(("preset", "other"), [("ucf-crime", "xd-violence"), ("xd-violence", "ucf-crime")])
def test_shapes_tell_presets_apart(tmp_path, preset, other):
    here, there = published_shapes(PRESETS[preset]), published_shapes(PRESETS[other])
    state = {name: torch.zeros(1).expand(shape) if shape else torch.zeros(()) for name, shape in here.items()}
    check_shapes(tmp_path, state, here, title="DSANet")
    with pytest.raises(CheckpointError, match="temporal.resblocks.1.attn|text_adapter.2"):
        check_shapes(tmp_path, state, there, title="DSANet")


def test_damage_to_our_own_format(seeded_path, tmp_path):
    with safe_open(seeded_path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    path = tmp_path / "a.safetensors"

    def refused(*, without=(), tensor_changes=None, **changes) -> str:
        kept = {name: value for name, value in {**tensors, **(tensor_changes or {})}.items() if name not in without}
        save_file(kept, path, {name: v for name, v in {**metadata, **changes}.items() if name not in without})
        return refusal(path)

    assert "lacks 1 tensor (merge.weight)" in refused(without=["merge.weight"])
    assert "lacks 'text_features'; convert it again" in refused(without=["text_features"])
    assert "lacks 'recipe'; convert" in refused(without=["recipe"])
    assert "has unknown 1 tensor (extra)" in refused(tensor_changes={"extra": torch.zeros(1)})
    nan = {"merge.bias": torch.full((512,), float("nan"))}
    assert "values that are not finite in 1 tensor (merge.bias)" in refused(tensor_changes=nan)
    short = {"text_features": torch.zeros(3, 512)}
    assert "expected text_features of shape (14, 512), got (3, 512)" in refused(tensor_changes=short)
    assert "has format 99, this version knows 1; upgrade" in refused(format_version="99")
    assert "its metadata cannot be used (expected a crop of 0 to 9, got 12)" in refused(crop="12")
    assert "its metadata cannot be used" in refused(config="{")
    network = SimpleNamespace(scoring=SimpleNamespace(config=PRESETS["ucf-crime"]))
    for changes, words in (({"format_version": "99"}, "has format 99"), ({"config": "{"}, "cannot be used")):
        save_file(tensors, path, {**metadata, **changes})
        with pytest.raises(CheckpointError, match=words):  # nor is it a start for training
            load_initial(network, path)
    assert "its metadata cannot be used" in refused(threshold='"high"')


def test_convert_refuses_what_it_would_destroy(seeded_path, tmp_path):
    with pytest.raises(CheckpointError, match="would be overwritten or written twice"):
        convert(seeded_path, seeded_path)
    with pytest.raises(CheckpointError, match="would be overwritten or written twice"):
        convert(seeded_path, tmp_path / "a.safetensors", clip_out=tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="is in our format already"):
        convert(seeded_path, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_what_was_there(seeded, tmp_path, monkeypatch):
    target = tmp_path / "a.safetensors"
    target.write_bytes(b"before")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="cannot be written .*No space left"):
        seeded_checkpoint(target, preset="xd-violence", recipe=seeded.recipe, crop=0, seed=0)
    assert target.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1
    blocked = tmp_path / "a.safetensors" / "b.safetensors"
    with pytest.raises(ConfigError, match="a.safetensors: is a file, where a folder is to be"):
        seeded_checkpoint(blocked, preset="xd-violence", recipe=seeded.recipe, crop=0, seed=0)
