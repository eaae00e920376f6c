"""Imports and exports features in the published layout: `.npy` files (snippets, D) and a `path,label` list."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import ConfigError, DamagedShard, quoted
from ..files import SourceFile, existing, write_bytes
from ..lists import FEATURE_SUFFIXES, guarded, read_named, unguarded
from ..names import is_plain_id, plural, slashed, strip_suffix
from ..recipe import IMPORTED_WEIGHTS, Recipe
from ..records import VideoEmbeddings
from .arrays import read_crops
from .embedding_store import IMPORTED_SIZE, EmbeddingStore
from .entry import Entry

CROP_SUFFIX = re.compile(r"__(\d)$")
LIST_NAME = "list.csv"


@dataclass(slots=True)
class ImportReport:
    """What became of each row of an imported list."""

    recipe: Recipe
    """The recipe of what was stored."""
    width_of: str = ""
    """The file that said how wide features of an unknown encoder are; empty where the recipe knows it."""
    imported: list[str] = field(default_factory=list)
    """Ids of videos whose features were stored."""
    cached: list[str] = field(default_factory=list)
    """Ids of videos that the store had already, with the same values."""
    missing: list[str] = field(default_factory=list)
    """Listed paths at which no file was found."""
    refused: list[str] = field(default_factory=list)
    """Why other files were not imported, one sentence each."""


@dataclass(slots=True)
class _Listed:
    label: str
    crops: dict[int, Path] = field(default_factory=dict)
    folders: set[Path] = field(default_factory=set)
    """Where its files lie."""
    contradiction: str = ""
    """A sentence on another crop's row that has another label; empty where there is none."""


@dataclass(frozen=True, slots=True)
class ImportConfig:
    """How a list of published features is imported."""

    recipe: Recipe
    """The recipe by which the features are believed to have been made. Where its weights are `imported`, nobody knows
    how wide they are: the first video's array says it."""
    fps: Fraction
    """Frame rate, frames/s, from which times are computed, as the list has none."""
    root: Path | None = None
    """Folder in which to look for files that are not at their listed path; None: the list's folder."""
    keep_folder: bool = False
    """Whether a video's id includes the last folder of the listed path."""
    force: bool = False
    """Whether to replace features that were extracted from footage, or imported with other values."""
    axes: str | None = None
    """The first two axes of arrays with crops, one of AXES; None: their lengths tell."""


def read_list(path: Path) -> list[tuple[str, str]]:
    """Read the rows (path, label) of a published list.

    Raises:
        ConfigError: the file cannot be read, or has no such rows.
    """
    return [(each.name.strip(), unguarded(each.label)) for each in read_named(path)]


def find_file(name: str, root: Path) -> Path | None:
    """Find a listed file: at its path, or else below `root` at the longest end of the path that is there."""
    parts = [part for part in PurePosixPath(slashed(name)).parts if part not in ("/", "..")]
    tails = [Path(name), *(root.joinpath(*parts[start:]) for start in range(len(parts)))]
    found = next((path for path in tails if os.path.isfile(path)), None)
    if found is None:  # the same in another Unicode form, or with blanks that a spreadsheet has dropped
        alike = (existing(str(path)) for path in tails)
        found = next((Path(path) for path in alike if path and os.path.isfile(path)), None)
    return found


def split_name(name: str, *, keep_folder: bool) -> tuple[str, int]:
    """Video id and crop of a listed feature file: `.../Abuse/Abuse028_x264__5.npy` is `Abuse028_x264`, crop 5."""
    path = PurePosixPath(slashed(name))
    stem, suffix = os.path.splitext(path.name)
    if suffix not in FEATURE_SUFFIXES:
        stem = path.name
    match = CROP_SUFFIX.search(stem)
    stem = strip_suffix(stem[: match.start()] if match else stem)
    folder = path.parent.name
    video_id = f"{folder}/{stem}" if keep_folder and folder not in ("", "..", "/") else stem
    return video_id, int(match.group(1)) if match else 0


def import_list(
    path: Path,
    store: EmbeddingStore,
    config: ImportConfig,
    *,
    on_video: Callable[[str], None] = lambda video_id: None,
) -> ImportReport:
    """Import published features into a store.

    Args:
        path: the list.
        store: the store that they go to.
        config: how to import them.
        on_video: called with the id of each video.

    Raises:
        ConfigError: the list cannot be read.
        StoreError: the store cannot be read or written.
    """
    report = ImportReport(config.recipe)
    listed: dict[str, _Listed] = {}
    for name, label in read_list(path):
        file = find_file(name, config.root or path.parent)
        if file is None:
            report.missing.append(name)
            continue
        video_id, crop = split_name(name, keep_folder=config.keep_folder)
        if not is_plain_id(video_id) or "\0" in label:
            report.refused.append(f"{quoted(name)}: cannot be a video's id; rename the file")
            continue
        video = listed.setdefault(video_id, _Listed(label))
        video.folders.add(file.parent)
        if label.casefold() != video.label.casefold():
            video.contradiction = (
                f"{quoted(name)} is labelled {quoted(label)}, another row of {video_id} {quoted(video.label)}; "
                f"{_advice(video, config)}"
            )
        if video.crops.setdefault(crop, file) != file:
            report.refused.append(f"{file}: a second file for {video_id} crop {crop}; {_advice(video, config)}")
    for video_id, video in listed.items():
        on_video(video_id)
        if video.contradiction:
            report.refused.append(f"{path}: {video.contradiction}")
            continue
        try:
            arrays = _arrays(video_id, video, config, report)
            imported = _import_video(store, video_id, video, arrays, replace(config, recipe=report.recipe))
            (report.imported if imported else report.cached).append(video_id)
        except ConfigError as error:
            report.refused.append(str(error))
    return report


def _advice(video: _Listed, config: ImportConfig) -> str:
    if len(video.folders) > 1 and not config.keep_folder:
        return "its files lie in several folders: --keep-folder makes a video of each"
    return "keep one"


def _arrays(video_id: str, video: _Listed, config: ImportConfig, report: ImportReport) -> dict[int, np.ndarray]:
    """Read the features of a video's crops, (n, D) float16 by the crop's number.

    Raises:
        ConfigError: they cannot be read, or do not fit together or with the recipe.
    """
    arrays: dict[int, np.ndarray] = {}
    for crop, file in sorted(video.crops.items()):
        rows = read_crops(file, config.axes).astype(np.float16)
        if len(rows) > 1 and (crop or len(video.crops) > 1):
            raise ConfigError(
                f"{file}: holds {len(rows)} crops, and its name or another file of {video_id} says it is one of "
                "several; keep one file with all crops, or one for each"
            )
        _check_width(file, rows.shape[-1], report)
        arrays |= {crop + index: values for index, values in enumerate(rows)}
    lengths = {len(values) for values in arrays.values()}
    if len(lengths) > 1:
        counts = f"its crops have different numbers of snippets ({sorted(lengths)})"
        raise ConfigError(f"{video_id}: {counts}; {_advice(video, config)}")
    return arrays


def _check_width(file: Path, width: int, report: ImportReport) -> None:
    """See that features are as wide as the recipe says; an unknown encoder's are as wide as its first ones."""
    recipe = report.recipe
    if recipe.weights == IMPORTED_WEIGHTS and not report.width_of:
        report.recipe, report.width_of = replace(recipe, width=width), str(file)
    elif width != recipe.width:
        known = f"{report.width_of} has" if report.width_of else f"{recipe.model} gives"
        raise ConfigError(
            f"{file}: {plural(width, 'value')} a snippet where {known} {recipe.width}; name what made them with "
            "--encoder NAME"
        )


def export(
    store: EmbeddingStore, entries: list[Entry], out: Path, *, on_video: Callable[[str], None] = lambda video_id: None
) -> tuple[Path, list[str]]:
    """Write features in the published layout: `LABEL/ID__CROP.npy` (float16) and a list.

    Returns:
        The list, and one sentence for each video that could not be written.

    Raises:
        StoreError: `out` cannot be written.
    """
    rows: list[tuple[str, str]] = []
    refused: list[str] = []
    written: dict[str, str] = {}  # path without crop -> the video it holds
    for entry in entries:
        on_video(entry.video)
        stem = _exported_stem(entry)
        if stem in written:
            refused.append(f"{entry.video}: its files would be those of {written[stem]}; export them one by one")
            continue
        written[stem] = entry.video
        try:
            for crop, features in zip(entry.crop_numbers, store.get(entry).features, strict=True):
                buffer = io.BytesIO()
                np.save(buffer, features)
                write_bytes(out / f"{stem}__{crop}.npy", buffer.getvalue())
                rows.append((_unmistakable(f"{stem}__{crop}.npy"), guarded(entry.label)))
        except (ConfigError, DamagedShard) as error:
            refused.append(str(error))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "label"), *rows])
    write_bytes(out / LIST_NAME, text.getvalue().encode())
    return out / LIST_NAME, refused


def _unmistakable(path: str) -> str:
    """A path as the list has it: with `./` before it where a spreadsheet would take it for a formula, or we for a
    Windows path."""
    return f"./{path}" if path.startswith(("=", "+", "-", "@")) or "\\" in path else path


def _exported_stem(entry: Entry) -> str:
    """Path of a video's exported files below the export folder, without crop and suffix."""
    folder = entry.label.replace("/", "_").replace("\0", "_")
    return entry.video if "/" in entry.video or folder in ("", ".", "..") else f"{folder}/{entry.video}"


def _import_video(
    store: EmbeddingStore,
    video_id: str,
    video: _Listed,
    arrays: dict[int, np.ndarray],
    config: ImportConfig,
) -> bool:
    """Store the features of one video unless they are stored already; say whether anything was written."""
    recipe, fps = config.recipe, config.fps
    n_snippets = len(next(iter(arrays.values())))
    held = store.entry(video_id, recipe.recipe_id)
    if held and not config.force:
        if held.size != IMPORTED_SIZE:
            raise ConfigError(f"{video_id}: already extracted from {held.source}; --force replaces it")
        if held.n_snippets != n_snippets:
            raise ConfigError(
                f"{video_id}: already imported with {plural(held.n_snippets, 'snippet')}; --force replaces it"
            )
        old = dict(zip(held.crop_numbers, store.get(held).features, strict=True))
        changed = [crop for crop, values in arrays.items() if crop in old and not np.array_equal(old[crop], values)]
        if changed:
            raise ConfigError(f"{video_id}: crop {changed[0]} already imported with other values; --force replaces it")
        if arrays.keys() <= old.keys() and held.label == video.label:
            return False
        arrays = {**old, **arrays}
    n_frames = n_snippets * recipe.snippet_len
    frame_seconds = np.arange(n_frames + 1) / float(fps)
    edges = frame_seconds[:: recipe.snippet_len]
    crops = tuple(sorted(arrays))
    features = np.stack([arrays[crop] for crop in crops])
    embeddings = VideoEmbeddings(
        video_id=video_id,
        embeddings=features,
        crops=crops,
        snippet_seconds=np.stack([edges[:-1], edges[1:]], axis=1),
        frame_seconds=frame_seconds[:-1],
        fps=fps,
        recipe=recipe,
        info=None,
    )
    source = SourceFile(str(next(iter(video.crops.values()))), IMPORTED_SIZE, 0)
    content = hashlib.sha256(features.tobytes()).hexdigest()
    store.put(embeddings, source=source, content=content, precision="imported", runtime="imported", label=video.label)
    return True
