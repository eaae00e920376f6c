"""What lies in a folder and below: videos, large files of unknown kinds, folders that cannot be listed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePath

from vad_pipeline.extract.names import VIDEO_SUFFIXES, plural, some

LARGE_BYTES = 100_000  # a smaller file of an unknown kind is no footage
# written by file systems, recorders and disk stations; often readable by nobody
SYSTEM_FOLDERS = frozenset(
    {
        "lost+found",
        "system volume information",
        "$recycle.bin",
        "recycler",
        "#recycle",
        "#snapshot",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
    }  # fmt: skip
)
NO_VIDEOS = frozenset(
    # fmt: off
    ".jpg .jpeg .png .bmp .tif .tiff .webp .heic .psd .svg .ico .raw .dng .cr2 .nef "
    ".mp3 .wav .flac .aac .m4a .oga .opus .wma .mid .txt .md .rst .csv .tsv .json .jsonl .xml .html .htm .yaml .yml "
    ".log .ini .conf .cfg .pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .srt .vtt .ass .sub .nfo "
    ".zip .tar .gz .bz2 .xz .zst .7z .rar .tgz .iso .dmg .exe .msi .dll .so .deb .rpm .apk .jar .whl "
    ".py .ipynb .js .c .h .cpp .sh .bat .npy .npz .h5 .hdf5 .pkl .pt .pth .ckpt .safetensors .onnx .pb .tflite "
    ".parquet .arrow .mat .db .sqlite .sqlite3 .sql .bak .tmp .part .torrent".split()
    # fmt: on
)


@dataclass(slots=True)
class Found:
    """What a walk came across."""

    videos: list[str] = field(default_factory=list)
    """Paths, sorted folder by folder."""
    passed_over: list[str] = field(default_factory=list)
    """Large files that may be footage under a name that is not known for it."""
    unlisted: list[OSError] = field(default_factory=list)
    """A folder each that cannot be listed; `filename` is its path."""


def look_through(folder: str, *, any_suffix: bool = False) -> Found:
    """Go through a folder and all below; hidden files and folders, and those of the system, are left out.

    Args:
        folder: its path; links to folders are followed.
        any_suffix: take large files of unknown kinds for videos too.
    """
    found = Found()
    seen: set[str] = set()
    for top, folders, files in os.walk(folder, onerror=found.unlisted.append, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:  # a link to a folder that was walked already
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS)
        for name in sorted(name for name in files if not name.startswith(".")):
            suffix, path = suffix_of(name), os.path.join(top, name)
            if suffix in VIDEO_SUFFIXES:
                found.videos.append(path)
            elif suffix not in NO_VIDEOS and _is_large(path):
                (found.videos if any_suffix else found.passed_over).append(path)
    return found


def suffix_of(name: str) -> str:
    """The end of a file's name by which its kind is known, in lower case; empty where it has none."""
    return os.path.splitext(name)[1].lower()


def told(passed_over: Sequence[str]) -> str:
    """`12 files passed over: .dat (10), .bin (2); --any-suffix tries them`."""
    kinds = Counter(suffix_of(PurePath(path).name) or "no suffix" for path in passed_over).most_common()
    named = some([f"{kind} ({count})" for kind, count in kinds])
    return f"{plural(len(passed_over), 'file')} passed over: {named}; --any-suffix tries them"


def may_hold(folder_id: str, *, match: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a folder may hold a video that globs over ids leave in, as far as can be told without looking.

    Args:
        folder_id: what the ids of its videos begin with, without the `/`.
        match: globs any of which must match.
        exclude: globs none of which may match.
    """
    inside = f"{folder_id}/"
    if any(fnmatchcase(inside, glob) or fnmatchcase(folder_id, glob) for glob in exclude):
        return False
    heads = [_before_wildcards(glob) for glob in match]
    return not heads or any(inside.startswith(head) or head.startswith(inside) for head in heads)


def _before_wildcards(glob: str) -> str:
    return glob[: min((glob.index(mark) for mark in "*?[" if mark in glob), default=len(glob))]


def _is_large(path: str) -> bool:
    try:
        return os.path.getsize(path) >= LARGE_BYTES
    except OSError:  # a link to nowhere
        return False
