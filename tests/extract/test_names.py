"""Ids and the one rule for names in lists."""

import pickle

import pytest

from vad_pipeline.extract.errors import (
    ConfigError,
    StoreError,
    VideoDecodeError,
    VideoError,
    VideoOpenError,
)
from vad_pipeline.extract.lists import read_rows
from vad_pipeline.extract.names import NameIndex, strip_suffix
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe


@pytest.mark.parametrize(
    ("name", "stripped"),
    [
        ("a.mp4", "a"),
        ("cam/b.MKV", "cam/b"),
        ("Bad.Boys.1995__#01-11-55_label_A", "Bad.Boys.1995__#01-11-55_label_A"),
        ("v=abc__#1_label_B4-0-0.mp4", "v=abc__#1_label_B4-0-0"),
        ("archive.tar.gz", "archive.tar.gz"),
        (".mp4", ".mp4"),
    ],
)
def test_only_known_suffixes_are_stripped(name, stripped):
    assert strip_suffix(name) == stripped


def test_a_name_is_an_id_or_its_tail():
    index = NameIndex(["cam1/a", "cam2/a", "cam2/b"])
    assert index.find("cam1/a.mp4") == "cam1/a"
    assert index.find("b") == "cam2/b"
    assert index.find("c") is None and index.find("am2/b") is None
    with pytest.raises(ConfigError, match="'a' matches 2 videos: cam1/a, cam2/a"):
        index.find("a")
    with pytest.raises(ConfigError, match="matches 2 videos"):
        NameIndex(["b", "cam2/b"]).find("b")


def test_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffvideo;label\na ; Abuse\n\nb;Normal\n", encoding="utf-8")
    assert read_rows(path) == [["video", "label"], ["a", "Abuse"], ["b", "Normal"]]


@pytest.mark.parametrize(
    "error",
    [
        VideoError("a.mp4", "no_frames", "empty"),
        VideoOpenError("a.mp4", "unreadable", "gone"),
        VideoDecodeError("a.mp4", "timeout", "hangs"),
        VideoDecodeError("a.mp4", "no_frames", "empty"),
        StoreError("disk full"),
        ConfigError("no such option"),
    ],
)
def test_errors_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and vars(copy) == vars(error)


def test_recipe_ids_follow_what_changes_an_embedding():
    ids = {named.recipe.recipe_id for named in NAMED_RECIPES.values()}
    ids |= {Recipe(**change).recipe_id for change in ({"tail": "keep"}, {"weights": "random:0"}, {"decoder": "decord"})}
    assert len(ids) == 5
    assert Recipe.from_json(Recipe(tail="keep").to_json()) == Recipe(tail="keep")
    with pytest.raises(ConfigError, match="newer"):
        Recipe.from_json('{"interpolation": "lanczos"}')
    for wrong in ({"frames_per_snippet": 17}, {"frames_per_snippet": 0}, {"tail": "wag"}, {"decoder": "gstreamer"}):
        with pytest.raises(ConfigError):
            Recipe(**wrong)
