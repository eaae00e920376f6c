"""Decides whether a video has to be extracted, from what the store holds and what the file is now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import VideoOpenError
from .extractor import Extractor
from .files import Source, SourceFile, absolute
from .store.embedding_store import IMPORTED_SIZE, EmbeddingStore
from .store.entry import Entry


@dataclass(frozen=True, slots=True)
class ExtractTask:
    """A video to extract, and the stored features that may turn out to be the same."""

    source: Source
    file: SourceFile
    """The file's size and time when the task was made."""
    own: Entry | None = None
    """Stored features of this id and recipe, made from a file of the same size; None where there are none."""
    twins: tuple[Entry, ...] = ()
    """Stored features of other ids from files of the same size, perhaps copies; each has all the crops asked for."""
    later_than: int = 0
    """`written_ns` of the stored features of this id and recipe, which the new ones replace; 0: there are none."""

    def embeds(self, extractor: Extractor) -> bool:
        """Whether frames will be embedded, as far as can be told: not so where times alone are brought up to date."""
        own = self.own
        stay = own and not own.is_timed and own.has_crops(extractor.crops) and extractor.answers(own.precision)
        return not stay or extractor.config.force


def is_held(entry: Entry, source: Source, file: SourceFile, extractor: Extractor) -> bool:
    """Whether stored features can stay: same stream, size and time of the file, all crops there, and no --force."""
    unchanged = (entry.size, entry.mtime_ns, entry.stream) == (file.size, file.mtime_ns, source.stream or 1)
    return (
        unchanged
        and extractor.answers(entry.precision)
        and entry.is_timed
        and entry.has_crops(extractor.crops)
        and not extractor.config.force
    )


def task_for(source: Source, file: SourceFile, extractor: Extractor, store: EmbeddingStore) -> Entry | ExtractTask:
    """Look a video up in the store.

    Returns:
        The stored features if they can stay, otherwise the task of extracting the video.

    Raises:
        VideoOpenError: features imported under its id would be replaced, and --force is not given.
    """
    recipe_id, force = extractor.recipe.recipe_id, extractor.config.force
    entry = store.entry(source.video_id, recipe_id)
    if entry and is_held(entry, source, file, extractor):
        return entry
    if entry and entry.size == IMPORTED_SIZE and not force:
        reason = f"its id holds features imported from {entry.source}; --force replaces them, or give another --store"
        raise VideoOpenError(source.path, "id_clash", reason)
    stream = source.stream or 1
    own = entry if entry and (entry.size, entry.stream) == (file.size, stream) else None
    same_size = () if force else store.of_size(file.size, recipe_id)
    twins = (each for each in same_size if each.stream == stream and each.video != source.video_id)
    twins = (each for each in twins if extractor.answers(each.precision))
    zones_of = extractor.recipe.zones_of
    twins = (each for each in twins if zones_of(each.video) == zones_of(source.video_id))
    twins = tuple(each for each in twins if each.has_crops(extractor.crops))
    later_than = entry.written_ns if entry else 0
    return ExtractTask(replace(source, path=absolute(source.path)), file, own, twins, later_than)
