"""Writes the picture of an event's peak, in full size."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from vad_pipeline.extract.files import write_bytes

from ..media.failures import as_its_failure
from ..media.footage import find_footage, open_footage
from ..media.roots import MediaRoots
from ..results.event_rows import HeldEvent
from ..results.folder import Results
from ..results.run_settings import curve_behind, held_against, settings_of

SNAPSHOT_SUFFIX = ".jpg"
JPEG_QUALITY = 88


def write_snapshot(path: Path, results: Results, held: HeldEvent) -> None:
    """Write the frame with an event's highest score as a JPEG.

    Raises:
        VideoError: the footage is gone, has changed, or does not give the frame.
        StoreError: the picture cannot be written.
    """
    curve = curve_behind(results, held.video, settings_of(results).recipe_id)
    held_against(curve, held)
    file = find_footage(curve, MediaRoots())
    with as_its_failure(file.path):
        (frame,) = open_footage(curve, file).frames_at([held.event.peak_frame])
        data = io.BytesIO()
        Image.fromarray(frame.rgb()).save(data, "JPEG", quality=JPEG_QUALITY)
    write_bytes(path, data.getvalue())
