"""What must be said beside the figures: ranges past the end, unknown categories, undefined figures."""

from __future__ import annotations

from collections.abc import Sequence

from vad_pipeline.extract.names import plural, some

from .truth import Matched, VideoTruth, names_without_folder


def evaluation_notes(
    videos: Sequence[VideoTruth],
    protocol: str,
    figures: dict[str, float | None],
    lacking: list[str] | None,
    matched: Matched,
) -> list[str]:
    """Write what a reader of the figures must know, one sentence each.

    Args:
        videos: those that were compared.
        protocol: `corrected` or `official`.
        figures: auc, ap, auc_anomalous; None where undefined.
        lacking: true categories that the results do not know; None: the results tell no categories apart.
        matched: which annotation belongs to which video.
    """
    notes = []
    over = [video for video in videos if video.n_past_end]
    if over:
        n_ranges = sum(video.n_past_end for video in over)
        dealt = "clipped" if protocol == "corrected" else "left as they are"
        notes.append(
            f"{plural(n_ranges, 'annotated range ends', 'annotated ranges end')} past the last frame, "
            f"{dealt}: {some([video.annotation.name for video in over])}"
        )
    outside = [v.annotation.name for v in videos if any(start >= v.n_frames for start, _, _ in v.ranges)]
    if outside:
        notes.append(f"ranges that begin past the last frame (another cut of the video?): {some(outside)}")
    if lacking is None:
        notes.append("the results tell no categories apart: mAP and category accuracy are undefined")
    elif lacking:
        scored = "score 0 in mAP" if protocol == "corrected" else "do not count in mAP"
        notes.append(f"the results know no category {some(lacking)}: their frames count in AUC and AP, they {scored}")
    n_unnamed = sum(name is None for video in videos for _, _, name in video.ranges)
    if n_unnamed:
        notes.append(
            f"{plural(n_unnamed, 'range')} left out of mAP: which of the video's categories is not said "
            "(XD-Violence: annotations_multiclasses.txt says it)"
        )
    if figures["auc"] is None:
        what = "normal" if figures["ap"] is None else "anomalous"
        notes.append(f"every frame compared is {what}: AUC is undefined (for XD-Violence, --normals names the others)")
    elif figures["auc_anomalous"] is None:
        notes.append("the anomalous videos are anomalous throughout: their AUC is undefined")
    n_foldered = names_without_folder(matched.without_result, matched.video_ids)
    if n_foldered:
        notes.append(f"{plural(n_foldered, 'name')} would match without their folder: the results' ids have none")
    return notes
