"""Which videos a command works on, and under which ids."""

import io
import os
import sys
import unicodedata

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.archive.selection import SelectionConfig, find_sources, select_held


@pytest.fixture
def archive(tmp_path):
    """Six files in three folders; only their names matter."""
    for name in (
        "cam1/a.mp4",
        "cam1/b.avi",
        "cam2/a.mp4",
        "cam2/deep/c.v1.0.mkv",
        "top.mov",
        "notes.txt",
        ".hidden.mp4",
    ):
        path = tmp_path / "archive" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "archive"


def ids(paths, config=None, **kwargs) -> list[str]:
    return [s.video_id for s in find_sources([str(p) for p in paths], config or SelectionConfig(), **kwargs).sources]


def test_ids_are_paths_below_the_folder_without_known_suffixes(archive):
    assert ids([archive]) == ["top", "cam1/a", "cam1/b", "cam2/a", "cam2/deep/c.v1.0"]
    assert ids([archive / "cam1"]) == ["a", "b"]
    assert ids([archive / "cam1" / "a.mp4"]) == ["a"]
    assert ids([archive / "cam1"], id_root=str(archive)) == ["cam1/a", "cam1/b"]
    assert ids([archive / "cam1" / "a.mp4"], id_root=str(archive)) == ["cam1/a"]
    assert ids([archive / "notes.txt"]) == ["notes.txt"]  # named outright, it counts
    with pytest.raises(ConfigError, match="does not lie below"):
        ids([archive / "cam1"], id_root=str(archive / "cam2"))


def test_files_with_one_id_fail_together_and_the_others_go_on(archive):
    (archive / "cam1" / "a.avi").write_bytes(b"x")
    found = find_sources([str(archive)], SelectionConfig())
    assert "cam1/a" not in [s.video_id for s in found.sources] and len(found.sources) == 4
    assert [error.code for _, error in found.failures] == ["id_clash"] * 2
    for _, error in found.failures:
        assert "a.mp4" in str(error) and "a.avi" in str(error)


def test_the_same_file_twice_is_one(archive):
    assert ids([archive / "cam1", archive / "cam1" / "a.mp4"]) == ["a", "b"]


def test_globs(archive):
    assert ids([archive], SelectionConfig(match=("cam1/*",))) == ["cam1/a", "cam1/b"]
    assert ids([archive], SelectionConfig(match=("cam*",), exclude=("*/a",))) == ["cam1/b", "cam2/deep/c.v1.0"]


def test_lists_name_paths_or_ids(archive, tmp_path, monkeypatch):
    lines = f"{archive}/cam2/a.mp4\nb\ntop.mov\nnothing\n"
    (tmp_path / "list.txt").write_text(lines)
    found = find_sources([str(archive)], SelectionConfig(list_file=str(tmp_path / "list.txt")))
    assert [s.video_id for s in found.sources] == ["top", "cam1/b", "cam2/a"] and found.missing == ["nothing"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert ids([archive], SelectionConfig(list_file="-")) == ["top", "cam1/b", "cam2/a"]


def test_names_and_globs_typed_for_files_from_macos(tmp_path):
    folder = tmp_path / "footage"
    folder.mkdir()
    on_macos = unicodedata.normalize("NFD", "Tür_Süd")
    for name in (on_macos, "yard "):
        (folder / f"{name}.mp4").write_bytes(b"x")
    lists = {
        "by name": ("Tür_Süd.mp4\nyard .mp4\n", [on_macos, "yard "]),
        "by path": (f"\ufeff{folder}/Tür_Süd.mp4\r\n\r\n", [on_macos]),
        "trimmed": ("yard\n", ["yard "]),
        "from Windows": ("F:\\export\\Tür_Süd.mp4\n", [on_macos]),
    }
    for text, expected in lists.values():
        (tmp_path / "list.txt").write_text(text, encoding="utf-8")
        assert ids([folder], SelectionConfig(list_file=str(tmp_path / "list.txt"))) == expected
    (tmp_path / "list.txt").write_text(f"{folder}/Tür_Süd.mp4\n{folder}/yard .mp4\n", encoding="utf-8")
    assert ids([], SelectionConfig(list_file=str(tmp_path / "list.txt"))) == [on_macos, "yard "]
    assert ids([folder / "Tür_Süd.mp4"]) == [on_macos]
    assert ids([folder], SelectionConfig(match=("T[ü]r*",))) == [on_macos]
    assert ids([folder], SelectionConfig(exclude=("T?r_*",))) == ["yard "]


def test_paths_of_a_list_that_fit_leave_no_other_name_to_guesses(archive, tmp_path):
    (tmp_path / "list.txt").write_text(f"{archive}/cam2/a.mp4\nold/top.mov\n")
    found = find_sources([str(archive)], SelectionConfig(list_file=str(tmp_path / "list.txt")))
    assert [s.video_id for s in found.sources] == ["cam2/a"] and found.missing == ["old/top.mov"]


def test_a_list_alone_is_of_paths(archive, tmp_path):
    (tmp_path / "list.txt").write_text(f"{archive}/cam2/a.mp4\n{archive}/gone.mp4\n")
    found = find_sources([], SelectionConfig(list_file=str(tmp_path / "list.txt")))
    assert [s.video_id for s in found.sources] == ["a"] and found.failures[0][1].code == "unreadable"


def test_an_ambiguous_name_is_refused(archive, tmp_path):
    (tmp_path / "list.txt").write_text("a\n")
    with pytest.raises(ConfigError, match="'a' matches 2 videos"):
        ids([archive], SelectionConfig(list_file=str(tmp_path / "list.txt")))


def test_labels(archive, tmp_path):
    (tmp_path / "labels.csv").write_text("video;label;split\ncam1/a.mp4;Abuse;train\nb;Normal;test\ntop;Normal;Train\n")
    labels = str(tmp_path / "labels.csv")
    assert ids([archive], SelectionConfig(only=labels)) == ["top", "cam1/a", "cam1/b"]
    assert ids([archive], SelectionConfig(only=labels, split="train")) == ["top", "cam1/a"]
    with pytest.raises(ConfigError, match="needs --only"):
        SelectionConfig(split="train")
    (tmp_path / "bad.csv").write_text("name,label\na,Abuse\n")
    with pytest.raises(ConfigError, match="needs a column `video` or `path`"):
        ids([archive], SelectionConfig(only=str(tmp_path / "bad.csv")))


def test_nothing_to_do_is_an_error_with_its_reason(archive, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no videos in this folder"):
        ids([tmp_path / "empty"])
    with pytest.raises(ConfigError, match="no such file or folder"):
        ids([tmp_path / "missing"])
    with pytest.raises(ConfigError, match="no video is left"):
        ids([archive], SelectionConfig(match=("nothing",)))


def test_a_missing_path_beside_others_costs_nothing_else(archive, tmp_path):
    found = find_sources([str(archive / "cam1"), str(tmp_path / "missing.mp4")], SelectionConfig())
    assert len(found.sources) == 2 and found.failures[0][1].code == "unreadable"


def test_links_in_a_circle_end(archive):
    (archive / "cam1" / "again").symlink_to(archive)
    assert len(ids([archive])) == 5


def test_names_that_are_not_utf8_become_text(tmp_path):
    os.makedirs(tmp_path / "odd")
    raw = os.path.join(os.fsencode(tmp_path / "odd"), b"caf\xe9.mp4")
    with open(raw, "wb") as file:
        file.write(b"x")
    (source,) = find_sources([str(tmp_path / "odd")], SelectionConfig()).sources
    assert source.video_id == "caf\\xe9" and os.path.exists(source.path)


def test_a_list_that_is_no_utf8_says_so(tmp_path):
    path = tmp_path / "names.csv"
    path.write_bytes("video,label\nT\u00fcr,Normal\n".encode("latin-1"))
    for config in (SelectionConfig(list_file=str(path)), SelectionConfig(only=str(path))):
        with pytest.raises(ConfigError, match="no UTF-8 text; save it as UTF-8"):
            select_held(["a"], config, str)


def test_held_items(tmp_path):
    (tmp_path / "list.txt").write_text("b\nz\n")
    items, missing = select_held(["cam/a", "cam/b"], SelectionConfig(list_file=str(tmp_path / "list.txt")), str)
    assert list(items) == ["cam/b"] and missing == ["z"]
