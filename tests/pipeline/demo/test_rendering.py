import csv
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.pipeline.demo.archive_plan import CATEGORIES, NORMAL, ArchiveConfig, plan_archive
from vad_pipeline.pipeline.demo.rendering import render_archive
from vad_pipeline.pipeline.demo.shot import Shot

TINY = ArchiveConfig(n_videos=8, seconds=2, fps=Fraction(8), width=96, height=72, seed=3, anomalous_share=0.75)


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == TINY.fps
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder, seen = tmp_path_factory.mktemp("archive"), []
    videos = render_archive(folder, TINY, on_video=seen.append)
    assert seen == videos
    return folder, videos


def test_videos_decode_to_what_the_records_say(archive):
    folder, videos = archive
    assert len({video.video_id for video in videos}) == TINY.n_videos
    for video in videos:
        assert video.path.relative_to(folder / "videos").with_suffix("").as_posix() == video.video_id
        assert decode(video.path).shape == (16, 72, 96, 3) == (video.n_frames, TINY.height, TINY.width, 3)
    left = {path for path in folder.rglob("*") if path.is_file()} - {video.path for video in videos}
    assert left == {folder / "labels.csv", folder / "annotations.csv"}


def test_tables_agree_with_the_records(archive):
    folder, videos = archive
    assert rows(folder / "labels.csv") == [
        {"video": video.video_id, "label": video.category, "split": video.split} for video in videos
    ]
    truth = [(video.video_id, *part, video.category) for video in videos for part in video.segments or [("", "")]]
    columns = ("video", "start_frame", "end_frame", "category")
    found = [tuple(row[column] for column in columns) for row in rows(folder / "annotations.csv")]
    assert found == [tuple(map(str, row)) for row in truth]


@pytest.mark.parametrize("config", [TINY, ArchiveConfig(), ArchiveConfig(n_videos=1000, seed=9, test_share=0)])
def test_both_splits_hold_every_category_and_segments_lie_inside(tmp_path, config):
    plan = plan_archive(config, tmp_path)
    assert len({video.video_id for video in plan}) == config.n_videos
    for split in ("train", "test"):
        assert {video.category for video in plan if video.split == split} == {NORMAL, *CATEGORIES}
    for video in plan:
        assert len(video.segments) == (video.category != NORMAL)
        for start, end in video.segments:
            assert 0 < start < end < config.n_frames
            assert 0.15 < (end - start) / config.n_frames < 0.55


def test_the_same_configuration_gives_the_same_pixels_and_another_seed_others(archive, tmp_path):
    _, videos = archive
    again = render_archive(tmp_path, TINY)
    for one, two in zip(videos, again, strict=True):
        assert (one.video_id, one.segments) == (two.video_id, two.segments)
        np.testing.assert_array_equal(decode(one.path), decode(two.path))
    assert plan_archive(ArchiveConfig(seed=1), tmp_path) != plan_archive(ArchiveConfig(seed=2), tmp_path)


def test_anomalies_stand_out_from_the_same_video_before_and_after(archive):
    for video in archive[1]:
        if not video.segments:
            continue
        ((start, end),) = video.segments
        frames = decode(video.path).astype(float)
        anomalous = np.zeros(len(frames), bool)
        anomalous[start:end] = True
        usual = np.median(frames[~anomalous], axis=0)
        far = np.abs(frames - usual).mean(axis=(1, 2, 3))
        assert far[anomalous].mean() > 1.5 * far[~anomalous].mean() + 3, video.video_id


def test_a_stopped_render_leaves_no_half_video_and_no_tables(tmp_path, monkeypatch):
    for name in ("labels.csv", "annotations.csv"):
        (tmp_path / name).write_text("of an earlier render")
    whole, drawn = Shot.frames, []

    def stops_in_the_second_video(*args):
        for pixels in whole(*args):
            drawn.append(pixels)
            if len(drawn) > TINY.n_frames + 5:
                raise KeyboardInterrupt
            yield pixels

    monkeypatch.setattr(Shot, "frames", stops_in_the_second_video)
    with pytest.raises(KeyboardInterrupt):
        render_archive(tmp_path, TINY)
    (only,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(decode(only)) == TINY.n_frames


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_videos": 7},
        {"n_videos": 8, "anomalous_share": 0.5},
        {"anomalous_share": 1.0},
        {"seconds": float("nan")},
        {"fps": Fraction(1)},
        {"width": 321},
        {"height": 2000},
        {"seed": -1},
        {"test_share": 1.5},
    ],
)
def test_configurations_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        ArchiveConfig(**wrong)


def test_a_nuisance_keeps_clear_of_the_anomaly_and_changes_nothing_else(tmp_path):
    config = ArchiveConfig(n_videos=16, seconds=8, width=96, height=72, seed=3, hours=(6, 23))
    plain = plan_archive(config, tmp_path)
    plan = plan_archive(replace(config, nuisance_share=0.5), tmp_path)
    assert [replace(video, nuisance=None) for video in plan] == plain
    given = [video for video in plan if video.nuisance]
    assert 4 <= len(given) <= 8  # fewer where an anomaly leaves no room
    noise, clouds = np.zeros((1, 72, 96, 3), np.float32), (np.zeros((256, 256)), np.zeros((256, 256), np.int32))
    for video in given:
        start, end = video.nuisance
        assert 0 <= start < end <= video.n_frames
        assert all(end < first or start > last for first, last in video.segments)
        shots = [
            Shot(config, each, noise, clouds, np.random.default_rng(0))
            for each in (video, replace(video, nuisance=None))
        ]
        lit = start + (end - start) // 3
        for frame, changes in ((lit, True), (end, False)):
            with_it, without = (shot.frame(min(frame, video.n_frames - 1)).astype(int) for shot in shots)
            assert (np.abs(with_it - without).max() > 50) == changes or frame == video.n_frames
