"""Links that a browser understands, whatever a file is called and wherever it moved."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from vad_pipeline.extract.errors import readable
from vad_pipeline.pipeline.media.links import as_bytes, link, may_link, moved
from vad_pipeline.pipeline.media.roots import MediaRoots
from vad_pipeline.pipeline.review.playback import Playback

PAGE = Path("/data/results/report")
NAMES = [
    "plain.mp4",
    "a #1?.mp4",
    "100%.mp4",
    'it\'s "<b>".mp4',
    "grün 夜.mp4",
    os.fsdecode(b"caf\xe9.mp4"),
    "a\nb.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_link_is_the_files_bytes(name):
    relative = link(f"/data/raw/{name}", PAGE, home=Path("/data"))
    absolute = link(f"/elsewhere/{name}", PAGE, home=Path("/data"))
    assert relative.startswith("../../raw/") and absolute.startswith("file:///elsewhere/")
    for address in (relative, absolute):
        assert unquote_to_bytes(address.rsplit("/", 1)[1]) == os.fsencode(name)
        assert address.isascii() and not set(address) & set(" \"'<>#?\n")


def test_what_lies_beside_the_results_is_linked_relative_and_the_rest_is_not():
    assert link("/data/results/a.mp4", PAGE, home=Path("/data")) == "../a.mp4"
    assert link("/database/a.mp4", PAGE, home=Path("/data")) == "file:///database/a.mp4"
    assert link("Z:\\raw\\a b.mp4", PAGE, home=Path("/data")) == "file:///Z:/raw/a%20b.mp4"
    assert link("\\\\nas\\raw\\a.mp4", PAGE, home=Path("/data")) == "file://nas/raw/a.mp4"


def test_a_moved_folder_is_known_however_its_accent_is_written():
    stored, typed = (unicodedata.normalize(form, "/archiv/süd") for form in ("NFD", "NFC"))
    roots = MediaRoots.parse([f"{typed}=/new"])
    assert (
        moved(f"{stored}/a.mp4", roots) == "/new/a.mp4" and moved(stored, MediaRoots.parse([f"{stored}=/n"])) == "/n/"
    )


STRANGE = [r"\\host\share\a.mp4", "//host/share/a.mp4", "http://host/a.mp4", "file://host/a.mp4", "Z:\\a.mp4", "a.mp4"]


@pytest.mark.parametrize("source", [*STRANGE, "/data/../../host/a.mp4", "/elsewhere/a.mp4"])
def test_no_page_sends_a_request_to_a_host_that_a_curve_names(source):
    found = Playback.of(source, MediaRoots())
    assert found.address(PAGE, "key", previews=True, n_frames=1) is None
    with_root = Playback.of(f"/raw/../{source}", MediaRoots.parse([r"/raw=\\nas\raw"]))
    assert with_root.address(PAGE, "key", previews=True, n_frames=1) is None


def test_what_a_page_may_link_to():
    roots = MediaRoots.parse([r"/raw=\\nas\raw", "/old=Z:/all", "/older=/mnt"])
    for path in (r"\\nas\raw/a.mp4", "Z:/all/b/a.mp4", "/mnt/a.mp4", "/data/raw/a.mp4"):
        assert may_link(path, roots, home=Path("/data"), is_here=False)
    for path in (r"\\nas\rawer/a.mp4", "Z:/a.mp4", "/mnt/../a.mp4", "/database/a.mp4"):
        assert not may_link(path, roots, home=Path("/data"), is_here=False)
    assert may_link("/database/a.mp4", roots, home=Path("/data"), is_here=True)


def test_footage_moves_by_whole_folders():
    roots = MediaRoots.parse(["/data/raw=/mnt/nas", "/data=Z:\\all"])
    assert moved("/data/raw/a/b.mp4", roots) == "/mnt/nas/a/b.mp4"
    assert moved("/data/rawest/b.mp4", roots) == "Z:\\all/rawest/b.mp4"
    assert moved("/database/b.mp4", roots) == "/database/b.mp4"
    assert moved("/raw/b.mp4", MediaRoots.parse(["/=/mnt"])) == "/mnt/raw/b.mp4"


def test_footage_from_macos_is_found_on_a_disk_that_composes_names(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Süd/Tür.mp4")
    (tmp_path / "Süd").mkdir()
    (tmp_path / "Süd" / "Tür.mp4").write_bytes(b"x")
    roots = MediaRoots.parse([f"/Volumes/{unicodedata.normalize('NFC', 'é')}={tmp_path}"])
    assert roots.find(f"/Volumes/{unicodedata.normalize('NFD', 'é')}/{decomposed}") == f"{tmp_path}/Süd/Tür.mp4"


@pytest.mark.parametrize("name", NAMES)
def test_stored_names_are_files_again(tmp_path, name, make_video):
    made = make_video(tmp_path / "made.mp4", n_frames=2).rename(tmp_path / name)
    stored = readable(made)
    found = Playback.of(stored, MediaRoots())
    assert found.here == os.fspath(made) and found.playable
    made.unlink()
    gone = Playback.of(stored, MediaRoots())
    assert gone.here is None and os.fsencode(as_bytes(stored)) == os.fsencode(made)


def test_imported_features_are_no_footage(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"x")
    found = Playback.of(str(tmp_path / "a.npy"), MediaRoots())
    assert not found.is_video and found.here is None and found.address(PAGE, "key", previews=True, n_frames=1) is None
