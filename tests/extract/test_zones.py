"""Zones that are hidden before embedding: what happens in one leaves no trace, what happens beside one does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from memory_footage import Footage, scene, with_square

from vad_pipeline.extract.embed.embed_video import embed_video
from vad_pipeline.extract.embed.zones import GREY, hidden
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.archive.ignore_file import read_zones

QUICK = NAMED_RECIPES["quick"].recipe
SQUARE = ((0.3, 0.4), (0.4, 0.4), (0.4, 0.5), (0.3, 0.5))  # covers the planted square: 100 to 116 of 240, 110 of 320
BESIDE = tuple((x + 0.3, y) for x, y in SQUARE)


@pytest.mark.parametrize(("zones", "is_seen"), [(None, True), (SQUARE, False), (BESIDE, True)])
def test_a_planted_anomaly_is_gone_where_a_zone_covers_it(toy_encoder, zones, is_seen):
    """It lasts from frame 32 to 48, the third of five snippets; scores are the distance to an empty scene."""
    recipe = replace(QUICK, zones=zones and (("gate", (zones,)),))
    frames = [with_square(scene(), left=104) if 32 <= n < 48 else scene() for n in range(80)]

    def rows(pictures):
        how = {"recipe": recipe, "crops": (0,), "load_encoder": lambda: toy_encoder}
        return embed_video(Footage(pictures), video_id="gate/a", **how).embeddings[0].astype(np.float32)

    distances = np.abs(rows(frames) - rows([scene()] * 80)).max(axis=1)
    assert (distances > 0).tolist() == [False, False, is_seen, False, False]


def test_only_the_zones_of_its_own_camera_are_hidden():
    recipe = Recipe(zones=[["yard", [BESIDE]], ["*", [[[0, 0], [1, 0], [1, 0.1]]]], ["gate", [list(SQUARE)]]])
    everywhere = ((0, 0), (1, 0), (1, 0.1))
    assert recipe.zones_of("gate/a/b") == (everywhere, SQUARE) and recipe.zones_of("gate") == (everywhere,)
    assert Recipe().zones_of("gate/a") == ()


def test_a_recipe_with_zones_is_another_and_one_without_is_what_it_was():
    masked = Recipe(zones=(("gate", (SQUARE,)),))
    assert Recipe.from_json(masked.to_json()) == masked
    assert len({Recipe().recipe_id, masked.recipe_id, Recipe(zones=(("gate", (BESIDE,)),)).recipe_id}) == 3
    assert "zones" not in Recipe().to_json()


def test_arrays_and_tensors_are_hidden_alike_and_stay_as_they_were():
    pixels = scene()
    pixels.setflags(write=False)
    found = hidden(pixels, [SQUARE])
    assert (found[96:120, 96:128] == GREY).all() and (found[:95] == pixels[:95]).all() and found.dtype == np.uint8
    assert (found[:, 130:] == pixels[:, 130:]).all() and hidden(pixels, []) is pixels
    assert np.array_equal(hidden(torch.tensor(pixels), [SQUARE]).numpy(), found)


def test_footage_that_two_cameras_share_is_not_copied_from_one_to_the_other(run_cli, tmp_path, make_video, toy_model):
    for camera in ("gate", "yard"):
        make_video(tmp_path / "raw" / camera / "a.mp4", n_frames=20)
    (tmp_path / "zones.yaml").write_text("{gate: {zones: [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, port: {zones: []}}\n")
    given = ("--store", tmp_path / "S", "--like", "quick", "--model", toy_model, "--pretrained", "random:0")
    assert run_cli("extract", tmp_path / "raw", *given)[0] == 0
    code, out, err = run_cli("extract", tmp_path / "raw", *given, "--ignore", tmp_path / "zones.yaml")
    assert code == 0 and "note: zones are hidden in 1 of 2 videos" in err and "note: no video is of port" in err
    with EmbeddingStore(tmp_path / "S") as store:
        rows = {("zones" in each.recipe, each.video): store.get(each).crop(0) for each in store.entries()}
    masked, plain = ([rows[has_zones, f"{camera}/a"] for camera in ("gate", "yard")] for has_zones in (True, False))
    assert not np.array_equal(masked[0], masked[1]) and np.array_equal(masked[1], plain[1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no camera"),
        ("- 1\n", "names no camera"),
        ("gate: []\n", "gate: needs `zones:`, `hours:` or both, and nothing else"),
        ("gate: {zones: [], hour: 1}\n", "gate: needs `zones:`, `hours:`"),
        ("gate: {zones: [[[0, 0], [1, 1]]]}\n", "three corners or more"),
        ("gate: {zones: [[[0, 0], [1, 1], [2, 0]]]}\n", "as shares (0 to 1)"),
        ("gate: {zones: 3}\n", "three corners or more"),
        (f"gate: {{zones: [{[[0, 0]] * 501}]}}\n", "500 are the most"),
    ],
)
def test_what_names_no_zones_is_one_sentence(tmp_path, text, words):
    (tmp_path / "zones.yaml").write_text(text)
    with pytest.raises(ConfigError, match="zones.yaml") as error:
        read_zones(tmp_path / "zones.yaml")
    assert words in str(error.value)
