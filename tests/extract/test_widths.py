"""Towers that are not CLIP ViT-B/16: other widths, other sizes of pictures, other normalisation."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vad_pipeline.extract.command_line import command_for
from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.embed.geometry import crop_frames, resized_size
from vad_pipeline.extract.embed.model_config import CLIP_TOWER, ImageTower, image_tower, imported_recipe, resizing_note
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.extraction import extract_video
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

HALF = (0.5, 0.5, 0.5)


def test_a_recipe_says_only_what_is_not_as_ever():
    assert set(json.loads(Recipe().to_json())) == {
        "model", "weights", "geometry", "frames_per_snippet", "tail", "decoder", "snippet_len", "schema",
    }  # fmt: skip
    other = Recipe(width=768, image_px=336, mean=[0, 0, 0], std=HALF)
    assert Recipe.from_json(other.to_json()) == other and hash(other) and other.mean == (0.0, 0.0, 0.0)
    assert (
        len({each.recipe_id for each in (Recipe(), other, replace(other, width=512), replace(other, mean=None))}) == 4
    )
    assert Recipe().differences(replace(Recipe(), width=768)) == "width 512 != 768"
    for wrong in ({"width": 0}, {"width": "8"}, {"width": True}, {"image_px": 10**6}, {"std": (1, 1, 0)}, {"mean": [1]},
                  {"mean": "abc"}, {"std": (1, 1, float("nan"))}):  # fmt: skip
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Recipe.from_json(json.dumps({**json.loads(Recipe().to_json()), **wrong}))


@pytest.mark.parametrize(
    ("model", "pretrained", "tower"),
    [
        ("ViT-B-32-quickgelu", "openai", CLIP_TOWER),
        ("ViT-L-14", "openai", ImageTower(width=768)),
        ("ViT-L-14", "laion2b_s32b_b82k", ImageTower(width=768, mean=HALF, std=HALF)),
        ("ViT-L-14", "random:0", ImageTower(width=768)),  # its tags do not agree
        ("ViT-L-14-336", "openai", ImageTower(width=768, image_px=336)),
        ("ViT-B-16-SigLIP", "a file", ImageTower(width=768, mean=HALF, std=HALF)),  # they do
        ("RN50", "openai", ImageTower(width=1024)),
    ],
)
def test_what_open_clip_says_of_its_towers(model, pretrained, tower):
    assert image_tower(model, pretrained) == tower
    resized = "SigLIP was trained on frames resized otherwise (squash); geometry clip is used"
    assert "".join(resizing_note(model, pretrained)).endswith(resized if "SigLIP" in model else "")
    assert bool(resizing_note(model, pretrained)) == ("SigLIP" in model)


def test_named_models_are_as_open_clip_has_them():
    import open_clip

    for named in NAMED_RECIPES.values():
        about = open_clip.get_model_config(named.recipe.model)
        assert (about["embed_dim"], about["vision_cfg"]["image_size"]) == (512, 224)


def test_folders_that_are_no_model_are_refused(tmp_path):
    for text, says in (
        ("{", "damaged"), ("[]", "no configuration"), ('{"model_cfg": {}}', "cannot be used"),
        ('{"model_cfg": {"embed_dim": 512, "vision_cfg": {"image_size": [224, 112]}}}', "only square ones"),
    ):  # fmt: skip
        (tmp_path / "open_clip_config.json").write_text(text)
        with pytest.raises(ConfigError, match=says):
            image_tower(f"local-dir:{tmp_path}", "random:0")


def test_a_model_sees_what_open_clip_shows_it(narrow_model, tmp_path, make_video):
    """The whole way, against open_clip's own preprocessing and encode_image."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    path = make_video(tmp_path / "a.mp4", n_frames=20)
    config = ExtractConfig(like="quick", model=narrow_model, pretrained="random:3", device="cpu", precision="fp32")
    extractor = Extractor(config)
    with EmbeddingStore(tmp_path / "S", create=True) as store:
        entry = extract_video(path, extractor, store)
        features = store.get(entry).features
    assert features.shape == (1, 2, 128)
    said = json.loads(entry.recipe)
    assert (said["width"], said["image_px"], said["mean"], said["std"]) == (128, 64, [0.5, 0.4, 0.3], [0.5, 0.5, 0.25])
    with torch.random.fork_rng():
        torch.manual_seed(3)
        clip = open_clip.create_model(narrow_model, load_weights=False).eval()
    see = image_transform_v2(PreprocessCfg(**clip.visual.preprocess_cfg), is_train=False)
    reader = PyavReader(path)
    pictures = torch.stack([see(Image.fromarray(frame.rgb())) for frame in list(reader)[8:19:10]])
    with torch.no_grad():
        expected = clip.encode_image(pictures).numpy()
    np.testing.assert_allclose(features[0], expected, atol=2e-3 * np.abs(expected).max())


def test_openvino_gives_the_same(narrow_model, tmp_path):
    config = EncoderConfig(narrow_model, "random:0", device="cpu", precision="fp32", runtime="openvino")
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), np.uint8))
    ours = ClipEncoder(config, compiled=tmp_path)
    plain = ClipEncoder(replace(config, runtime="torch"))
    np.testing.assert_allclose(ours.encode(crops), plain.encode(crops), atol=1e-4)
    assert ours.measure_rate() > 0


def test_crops_are_the_same_part_of_a_frame_in_every_size():
    assert resized_size("vadclip", 720, 1280, px=336) == (384, 510)
    assert resized_size("clip", 720, 1280, px=336) == (336, 597)
    frame = np.zeros((256, 340, 3), np.uint8)
    frame[16:240, 58:282] = 200  # what crop 0 sees of 340 x 256
    for px in (112, 224, 336):
        (crop,) = crop_frames([frame], "vadclip", (0,), px=px)[0]
        assert crop.shape == (3, px, px) and crop.float().mean() > 197


def test_what_made_imported_features_is_part_of_their_recipe():
    quick = NAMED_RECIPES["quick"].recipe
    assert imported_recipe(quick, None, None) == quick
    assert imported_recipe(quick, "ViT-L-14", None) == replace(quick, model="ViT-L-14", width=768)
    other = imported_recipe(quick, "i3d rgb", None)
    assert (other.model, other.weights) == ("i3d rgb", "imported")
    assert command_for("S", other, 0) == "vad-pipeline store import LIST.csv --store S --encoder 'i3d rgb'"
    for name in ("", " i3d", "i3d\n", "x" * 101):
        with pytest.raises(ConfigError, match="must be a name of up to 100 characters"):
            imported_recipe(quick, name, None)
    with pytest.raises(ConfigError, match="i3d is no model of open_clip's; leave --pretrained out"):
        imported_recipe(quick, "i3d", "openai")


def test_fast_is_named_where_it_is_what_is_wanted():
    assert " --like fast --crops 0" in command_for("S", NAMED_RECIPES["fast"].recipe, 0)
    other = replace(NAMED_RECIPES["quick"].recipe, model="RN50", width=1024)
    assert command_for("S", other, 0).endswith("--like quick --crops 0 --model RN50")
