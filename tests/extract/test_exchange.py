"""Published feature lists in and out."""

import unicodedata
from dataclasses import replace
from fractions import Fraction

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import ImportConfig, export, find_file, import_list, split_name
from vad_pipeline.extract.store.upkeep import verify

OPTIONS = {"recipe": Recipe(), "fps": Fraction(30)}


def save(path, n=3, seed=0, dtype=np.float16):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).standard_normal((n, 512)).astype(dtype)
    np.save(path, values)
    return values


@pytest.fixture
def store(tmp_path):
    with EmbeddingStore(tmp_path / "store", create=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "keep", "video_id", "crop"),
    [
        ("/home/x/Abuse/Abuse028_x264__5.npy", False, "Abuse028_x264", 5),
        ("/home/x/Abuse/Abuse028_x264__5.npy", True, "Abuse/Abuse028_x264", 5),
        ("assault/assault001.npy", True, "assault/assault001", 0),
        ("v=S-7rRLrxnVQ__#1_label_B4-0-0__0.npy", False, "v=S-7rRLrxnVQ__#1_label_B4-0-0", 0),
        (
            "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6__9.npy",
            False,
            "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6",
            9,
        ),
        ("C:\\features\\a.mp4.npy", False, "a", 0),
    ],
)
def test_names(name, keep, video_id, crop):
    assert split_name(name, keep_folder=keep) == (video_id, crop)


def test_files_of_one_video_become_its_crops(store, tmp_path):
    centre, mirrored = save(tmp_path / "Abuse" / "A1__0.npy", seed=1), save(tmp_path / "Abuse" / "A1__5.npy", seed=2)
    (tmp_path / "list.csv").write_text(
        "path,label\n/home/else/Abuse/A1__5.npy,Abuse\n/home/else/Abuse/A1__0.npy,Abuse\n"
    )
    report = import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    assert report.imported == ["A1"] and not report.missing and not report.refused
    (entry,) = store.entries()
    video = store.get(entry)
    assert entry.crop_numbers == (0, 5) and entry.label == "Abuse" and entry.n_frames == 48
    assert np.array_equal(video.features, [centre, mirrored])
    np.testing.assert_allclose(video.frame_seconds, np.arange(48) / 30)
    assert import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS)).cached == ["A1"]


def test_crops_may_come_in_several_lists(store, tmp_path):
    for crop in (0, 5):
        save(tmp_path / f"A1__{crop}.npy", seed=crop)
        (tmp_path / "list.csv").write_text(f"A1__{crop}.npy,Abuse\n")
        import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    assert store.entry("A1", Recipe().recipe_id).crop_numbers == (0, 5)


def test_what_is_missing_or_bad_is_named_and_costs_nothing_else(store, tmp_path):
    save(tmp_path / "good.npy")
    np.save(tmp_path / "wide.npy", np.zeros((3, 1024), np.float32))
    np.save(tmp_path / "nan.npy", np.full((3, 512), np.nan, np.float32))
    (tmp_path / "text.npy").write_text("no array")
    save(tmp_path / "short__1.npy", n=2), save(tmp_path / "short__2.npy", n=3)
    names = ["good", "wide", "nan", "text", "gone", "short__1", "short__2"]
    (tmp_path / "list.csv").write_text("\ufeffpath;label\n" + "".join(f"{name}.npy;Abuse\n" for name in names))
    report = import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    assert report.imported == ["good"] and report.missing == ["gone.npy"]
    text = "\n".join(report.refused)
    for words in (
        "1024 values a snippet where ViT-B-16-quickgelu gives 512",
        "not finite",
        "text.npy: cannot be read",
        "different numbers of snippets",
    ):
        assert words in text
    assert len(report.refused) == 4


def imported(store, folder, arrays, **options):
    """Import `name -> array`, in that order; the report."""
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(values, np.float16))
    (folder / "list.csv").write_text("".join(f"{name}.npy,Abuse\n" for name in arrays))
    return import_list(folder / "list.csv", store, ImportConfig(**OPTIONS | options))


def test_arrays_with_crops(store, tmp_path):
    whole = np.random.default_rng(0).standard_normal((12, 5, 512)).astype(np.float16)
    report = imported(store, tmp_path, {"a": whole, "b": whole.swapaxes(0, 1), "c__5": whole[:, :1]})
    assert report.imported == ["a", "b", "c"] and not report.refused
    a, b, c = (store.get(entry) for entry in store.entries())
    assert np.array_equal(a.features, whole.swapaxes(0, 1)) and np.array_equal(a.features, b.features)
    assert a.entry.crop_numbers == (0, 1, 2, 3, 4) and c.entry.crop_numbers == (5,) and a.entry.n_frames == 12 * 16
    both = imported(store, tmp_path, {"d": whole[:7]})
    assert (
        "either of two axes may be crops; say which with --axes crops,snippets or --axes snippets,crops"
        in (both.refused[0])
    )
    assert imported(store, tmp_path, {"d": whole[:7]}, axes="snippets,crops").imported == ["d"]
    assert store.entry("d", Recipe().recipe_id).crop_numbers == (0, 1, 2, 3, 4)
    bad = {"e": whole, "f__1": whole, "g": whole[None], "h": whole[:0], "i": np.zeros((11, 12, 512)), "j__0": whole}
    bad |= {"j__1": whole[:, 0]}
    report = imported(store, tmp_path, bad, axes="crops,snippets")
    assert report.imported == [] and len(report.refused) == 6
    for name, words in {"e.npy": "with 12 crops", "g.npy": "(1, 12, 5, 512); features are", "i.npy": "with 11 crops",
                        "h.npy": "(0, 5, 512); features are"}.items():  # fmt: skip
        assert [line for line in report.refused if name in line and words in line], (name, report.refused)
    report = imported(store, tmp_path, {"f__1": whole, "j__0": whole, "j__1": whole[:, 0]})
    assert all("holds 5 crops, and its name or another file" in line for line in report.refused)


def test_an_unknown_encoders_features_are_as_wide_as_its_first(store, tmp_path):
    recipe = replace(Recipe(), model="i3d", weights="imported")
    arrays = {"a": np.ones((3, 1024)), "b": np.ones((3, 2048)), "c": np.ones((4, 1024))}
    report = imported(store, tmp_path, arrays, recipe=recipe)
    assert report.imported == ["a", "c"] and report.recipe == replace(recipe, width=1024)
    assert f"b.npy: 2048 values a snippet where {tmp_path / 'a.npy'} has 1024" in report.refused[0]
    assert {entry.recipe_id for entry in store.entries()} == {report.recipe.recipe_id}


def test_features_of_another_width_than_their_recipe_says_are_damage(store, tmp_path):
    imported(store, tmp_path, {"a": np.ones((3, 512))})
    (shard,) = store.shards.glob("*.h5")
    with h5py.File(shard, "r+") as file:
        (node,) = file["videos"].values()
        del node["features"]
        node["features"] = np.ones((1, 3, 768), np.float16)
    assert "features 768 wide, the recipe says 512" in [problem for _, problem in verify(store)][0]


def test_other_values_need_force(store, tmp_path):
    save(tmp_path / "a.npy", seed=1)
    (tmp_path / "list.csv").write_text("a.npy,Abuse\n")
    import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    values = save(tmp_path / "a.npy", seed=2)
    assert "--force" in import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS)).refused[0]
    assert import_list(tmp_path / "list.csv", store, ImportConfig(force=True, **OPTIONS)).imported == ["a"]
    assert np.array_equal(store.get(store.entry("a", Recipe().recipe_id)).features[0], values)


def test_export_writes_the_same_layout_back(store, tmp_path):
    for crop in (0, 5):
        save(tmp_path / "Abuse" / f"A1__{crop}.npy", seed=crop)
    save(tmp_path / "N1.npy", seed=9)
    (tmp_path / "list.csv").write_text("Abuse/A1__0.npy,Abuse\nAbuse/A1__5.npy,Abuse\nN1.npy,\n")
    import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    listed, refused = export(store, store.entries(), tmp_path / "out")
    assert refused == []
    assert listed.read_text() == "path,label\nAbuse/A1__0.npy,Abuse\nAbuse/A1__5.npy,Abuse\nN1__0.npy,\n"
    assert (tmp_path / "out" / "Abuse" / "A1__5.npy").read_bytes() == (tmp_path / "Abuse" / "A1__5.npy").read_bytes()
    with EmbeddingStore(tmp_path / "again", create=True) as again:
        import_list(listed, again, ImportConfig(**OPTIONS))
        assert [(e.video, e.crops, e.label, e.checksum) for e in again.entries()] == [
            (e.video, e.crops, e.label, e.checksum) for e in store.entries()
        ]


def test_an_archive_of_one_array_is_an_array(tmp_path, store):
    values = save(tmp_path / "a.npy")
    np.savez(tmp_path / "b__0.npz", values)
    np.savez(tmp_path / "c.npz", one=values, two=values)
    (tmp_path / "list.csv").write_text("b__0.npz,Riot\nc.npz,Riot\n")
    report = import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    assert report.imported == ["b"] and "c.npz: holds 2 arrays; expected one" in report.refused[0]
    assert np.array_equal(store.get(store.entries()[0]).features[0], values.astype(np.float16))


def test_crops_that_contradict_each_other_are_refused(tmp_path, store):
    for crop in (0, 5):
        save(tmp_path / f"a__{crop}.npy", seed=crop)
    (tmp_path / "list.csv").write_text("a__0.npy,Riot\na__5.npy,Fire\n")
    report = import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS))
    assert (
        store.entries() == []
        and "'a__5.npy' is labelled 'Fire', another row of a 'Riot'; keep one" in report.refused[0]
    )


def test_where_ids_need_their_folder_it_is_said(tmp_path, store):
    save(tmp_path / "gate" / "v1.npy", seed=0)
    save(tmp_path / "yard" / "v1.npy", seed=1)
    (tmp_path / "list.csv").write_text("gate/v1.npy,Normal\nyard/v1.npy,Fire\n")
    refused = import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS)).refused
    assert len(refused) == 2 and all("--keep-folder makes a video of each" in line for line in refused)
    whole = import_list(tmp_path / "list.csv", store, ImportConfig(keep_folder=True, **OPTIONS))
    assert whole.imported == ["gate/v1", "yard/v1"] and whole.refused == []


def test_files_named_by_macos_are_found(tmp_path, store):
    save(tmp_path / f"{unicodedata.normalize('NFD', 'Höhe')}__0.npy")
    (tmp_path / "list.csv").write_text(f"/old/{unicodedata.normalize('NFC', 'Höhe')}__0.npy,Riot\n", encoding="utf-8")
    assert import_list(tmp_path / "list.csv", store, ImportConfig(**OPTIONS)).imported == [
        unicodedata.normalize("NFC", "Höhe")
    ]


def test_longest_tail_that_exists_wins(tmp_path):
    save(tmp_path / "a.npy")
    save(tmp_path / "x" / "a.npy")
    assert find_file("/gone/x/a.npy", tmp_path) == tmp_path / "x" / "a.npy"
    assert find_file("/gone/y/a.npy", tmp_path) == tmp_path / "a.npy"
    assert find_file("/gone/b.npy", tmp_path) is None


def test_lists_that_are_none(store, tmp_path):
    with pytest.raises(ConfigError, match="none.csv: cannot be read .*check the path"):
        import_list(tmp_path / "none.csv", store, ImportConfig(**OPTIONS))
    (tmp_path / "empty.csv").write_text("\n")
    with pytest.raises(ConfigError, match="no rows"):
        import_list(tmp_path / "empty.csv", store, ImportConfig(**OPTIONS))


def test_real_features(store, shared):
    report = import_list(shared / "features" / "LIST.csv", store, ImportConfig(keep_folder=True, **OPTIONS))
    assert len(report.imported) == 10 and not report.missing and not report.refused
    entry = store.entry("normal/normal001", Recipe().recipe_id)
    assert np.array_equal(store.get(entry).features[0], np.load(shared / "features" / "normal" / "normal001.npy"))


def test_other_recipes_live_side_by_side(store, tmp_path):
    save(tmp_path / "a.npy")
    (tmp_path / "list.csv").write_text("a.npy,Abuse\n")
    for recipe in (Recipe(), replace(Recipe(), weights="laion2b")):
        import_list(tmp_path / "list.csv", store, ImportConfig(recipe=recipe, fps=Fraction(30)))
    assert len(store.entries()) == 2 and len(store.entries(recipe_id=Recipe().recipe_id)) == 1
