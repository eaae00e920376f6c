"""Ids and the one rule for names in lists."""

import pickle
import unicodedata

import pytest

from vad_pipeline.extract.errors import (
    ConfigError,
    StoreError,
    VideoDecodeError,
    VideoError,
    VideoOpenError,
)
from vad_pipeline.extract.files import existing
from vad_pipeline.extract.names import NameIndex, plural, strip_suffix
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


TYPED = unicodedata.normalize("NFC", "Zug_Zürich_ö/कैमरा_5/Ångström")
ON_MACOS = unicodedata.normalize("NFD", TYPED)


def test_a_name_typed_otherwise_than_macos_writes_it_means_the_same():
    assert TYPED != ON_MACOS
    assert NameIndex([ON_MACOS, "b"]).find(TYPED + ".MOV") == ON_MACOS
    assert NameIndex([TYPED]).find(ON_MACOS) == TYPED and NameIndex([ON_MACOS]).find("Ångström") == ON_MACOS
    both = NameIndex([ON_MACOS, TYPED])
    assert both.find(TYPED) == TYPED and both.find(ON_MACOS) == ON_MACOS, "as written comes first"
    with pytest.raises(ConfigError, match="matches 2 videos"):
        NameIndex([f"x/{TYPED}", f"y/{ON_MACOS}"]).find("\u212bngström")  # the sign for the unit


def test_blanks_at_the_ends_are_part_of_a_name():
    index = NameIndex(["a", "a ", " b", "c/ d "])
    assert index.find("a") == "a" and index.find("a ") == "a " and index.find("a .mp4") == "a "
    assert index.find("b") == " b" and index.find("d.mp4") == "c/ d ", "a spreadsheet has dropped them"
    assert index.find("./c/d") == "c/ d " and index.find("c\\d.avi") == "c/ d "


def test_a_list_with_more_folders_than_the_ids(caplog):
    index = NameIndex(["riot007", "gate/1", "yard/1", "2024.v1"])
    names = ["/data/riot/riot007.mp4", "D:\\cams\\gate\\1.avi", "x/1", "old/2024.v1", "old/3"]
    for _ in range(2):
        assert list(index.find_all(names).values()) == ["riot007", "gate/1", None, "2024.v1", None]
    (record,) = caplog.records
    assert "3 of 5 names match without their first folders" in record.message, "said once"
    assert "'/data/riot/riot007.mp4' in the list, 'riot007' here" in record.message
    # one that fits as it is: the others are other videos
    assert index.find_all(["gate/1", "elsewhere/riot007"]) == {"gate/1": "gate/1", "elsewhere/riot007": None}


def test_a_list_that_fits_nothing_is_told_what_helps(caplog):
    assert NameIndex(["007"]).find_all(["riot/007", "fire/007"]) == {"riot/007": None, "fire/007": None}, "whose?"
    assert NameIndex(["yard/2"]).find_all(["gate/2"]) == {"gate/2": None}, "another camera's"
    first, second = (record.message for record in caplog.records)
    assert "none of 2 names matches, such as 'riot/007' in the list, '007' here" in first
    assert "--keep-folder" in first and "--id-root" in first and "'gate/2' in the list, 'yard/2' here" in second
    assert NameIndex([]).find_all(["a"]) == {"a": None} and NameIndex(["a"]).find_all([]) == {}
    assert len(caplog.records) == 2


def test_a_path_is_found_as_it_reads(tmp_path):
    (tmp_path / "e\u0301" / "x ").mkdir(parents=True)
    file = tmp_path / "e\u0301" / "x " / "o\u0308.mp4"
    file.write_bytes(b"x")
    assert existing(str(file)) == str(file)
    assert existing(str(tmp_path / "\u00e9" / "x" / "\u00f6.mp4")) == str(file)
    assert existing(str(tmp_path / "\u00e9" / "y")) is None and existing(str(file / "z")) is None
    (tmp_path / "e\u0301 ").mkdir()
    assert existing(str(tmp_path / "\u00e9")) is None, "two read like it"


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
    assert len(ids) == len(NAMED_RECIPES) + 3
    assert Recipe.from_json(Recipe(tail="keep").to_json()) == Recipe(tail="keep")
    with pytest.raises(ConfigError, match="newer"):
        Recipe.from_json('{"interpolation": "lanczos"}')
    for wrong in ({"frames_per_snippet": 17}, {"frames_per_snippet": 0}, {"tail": "wag"}, {"decoder": "gstreamer"}):
        with pytest.raises(ConfigError):
            Recipe(**wrong)


def test_one_is_not_many():
    assert [plural(n, "video") for n in (0, 1, 2)] == ["0 videos", "1 video", "2 videos"]
    assert [plural(n, "name matches", "names match") for n in (1, 3)] == ["1 name matches", "3 names match"]
