"""What is trained on, what is held out, and in which order."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.errors import ConfigError, DamagedShard, StoreError
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.initial import ClipText
from vad_pipeline.model.windows import pool
from vad_pipeline.pipeline.train.data import (
    Rows,
    TrainingVideo,
    check_features,
    data_fingerprint,
    hold_out,
    join_labels,
)
from vad_pipeline.pipeline.train.options import TrainOptions
from vad_pipeline.pipeline.train.prepare import prepare
from vad_pipeline.pipeline.train.run_config import rows_of
from vad_pipeline.pipeline.train.setup import TextTower


@pytest.fixture
def store(labelled):
    with EmbeddingStore(labelled[0]) as opened:
        yield opened


@pytest.fixture
def options(labelled, text_tower) -> TrainOptions:
    return TrainOptions(labels=labelled[1], preset="ucf-crime", pretrained=str(text_tower))


def videos_of(store, labels: dict[str, tuple[int, ...]]) -> list[TrainingVideo]:
    return join_labels(store.entries(), labels, known=set()).videos


def test_holding_out_is_stratified_and_does_not_hang_on_order(store):
    labels = {f"n{i}": (0,) for i in range(10)} | {f"a{i}": (6 + i % 2,) for i in range(10)}
    videos = videos_of(store, labels)
    train, held = hold_out(videos, 0.2)
    assert sorted(video.columns for video in held) == [(0,), (0,), (6,), (7,)]
    assert len(train) == 16 and not {v.entry.video for v in train} & {v.entry.video for v in held}
    again = hold_out(videos[::-1], 0.2)[1]
    assert {v.entry.video for v in again} == {v.entry.video for v in held}
    assert hold_out(videos, 0) == (videos, [])


def test_one_video_written_in_two_ways_has_one_label(store):
    found = join_labels(store.entries(), {"n0": (1,), "n0.mp4": (1,), "old/n1": (0,)}, known=set())
    assert [video.columns for video in found.videos] == [(1,)] and found.without_features == ["old/n1"]
    with pytest.raises(ConfigError, match="both of the video n0; keep one"):
        join_labels(store.entries(), {"n0": (1,), "n0.mp4": (2,)}, known=set())


def test_labels_with_more_folders_than_features_imported_without(store, options, tmp_path):
    rows = [row.split(",") for row in options.labels.read_text().split()[1:]]
    for prefix in ("/data/set/", "D:\\set\\"):
        text = "".join(f"{prefix}{label}{prefix[-1]}{video}.mp4,{label}\n" for video, label in rows)
        (tmp_path / "labels.csv").write_text(f"path,label\n{text}")
        prepared = prepare(replace(options, labels=tmp_path / "labels.csv"), store)
        assert len(prepared.setup.train) + len(prepared.setup.held_out) == len(rows)
        assert not prepared.missing.without_features


def test_a_video_in_two_splits_is_refused(store, options, tmp_path):
    text = options.labels.read_text().replace("video,label\n", "").replace("\n", ",train\n")
    (tmp_path / "labels.csv").write_text(f"video,label,split\n{text}n0.mp4,Normal,holiday\n")
    with pytest.raises(ConfigError, match=r"1 video to train on is in another split too \(n0\)"):
        prepare(replace(options, labels=tmp_path / "labels.csv"), store)


def test_a_share_too_small_for_a_label_still_holds_out_both_kinds(store):
    labels = {f"n{i}": (0,) for i in range(10)} | {f"a{i}": (1 + i,) for i in range(4)}
    _, held = hold_out(videos_of(store, labels), 0.1)
    assert sorted(video.normal for video in held) == [False, True]
    few = videos_of(store, {"n0": (0,), **{f"a{i}": (1,) for i in range(9)}})
    assert hold_out(few, 0.1)[1] == [], "the only normal video must stay"


def test_too_few_to_hold_some_out_are_told_by_number_and_label(store, options, tmp_path):
    rows = "".join(f"n{i},Normal\n" for i in range(5)) + "a0,Fighting\na1,Explosion\na3,Explosion\n"
    (tmp_path / "labels.csv").write_text(f"video,label\n{rows}")
    few = replace(options, labels=tmp_path / "labels.csv")
    (note,) = [note for note in prepare(few, store).notes if "kept" in note]
    assert note.startswith(
        "too few videos to hold some out (3 anomalous videos (Explosion 2, Fighting 1) where 4 are needed): the last"
    )
    (note,) = [note for note in prepare(replace(few, val_share=0.0), store).notes if "kept" in note]
    assert note.startswith("--val-share 0 holds no video out: the last weights are kept")


def some_rows(store, *, paired: bool, batch_size: int = 3) -> Rows:
    labels = {f"n{i}": (0,) for i in range(10)} | {f"a{i}": (1,) for i in range(5)}
    rows = [(v.entry, crop, v.columns) for v in videos_of(store, labels) for crop in v.entry.crop_numbers]
    return Rows(store, tuple(rows), 2, 8, 512, batch_size, paired, seed=1)


def drawn(rows: Rows, epoch: int, skip: int = 0) -> list[torch.Tensor]:
    return [batch.features for batch in rows.batches(epoch, skip, torch.device("cpu"))]


def test_paired_batches_are_half_normal_and_end_with_the_shorter_list(store):
    rows = some_rows(store, paired=True)
    assert (rows.steps_per_epoch, rows.loader_lengths) == (10 // 3, 20 // 3 + 10 // 3)
    batches = list(rows.batches(0, 0, torch.device("cpu")))
    assert len(batches) == 3
    assert all(batch.labels.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3 for batch in batches)
    numbers = [number for batch in rows._order(0) for number in batch]
    assert len(set(numbers)) == len(numbers), "a row came twice in an epoch"


def test_mixed_batches_show_every_row_once(store):
    rows = some_rows(store, paired=False, batch_size=7)
    assert rows.steps_per_epoch == rows.loader_lengths == 5
    order = rows._order(0)
    assert [len(batch) for batch in order] == [7, 7, 7, 7, 2]
    assert sorted(number for batch in order for number in batch) == list(range(30))


@pytest.mark.parametrize("paired", [True, False])
def test_order_depends_on_seed_and_epoch_alone(store, paired):
    rows = some_rows(store, paired=paired)
    whole = drawn(rows, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], drawn(rows, 2, skip=1), strict=True))
    assert not torch.equal(whole[0], drawn(rows, 3)[0])
    assert not torch.equal(whole[0], drawn(replace(rows, seed=2), 2)[0])


def test_rows_are_pooled_and_padded(store):
    rows = some_rows(store, paired=False)
    number = next(i for i, (entry, _, _) in enumerate(rows.rows) if entry.n_snippets > 8)
    entry, crop, _ = rows.rows[number]
    batch = rows.load([number, 0])
    assert np.array_equal(batch.features[0], pool(store.crop(entry, crop), window_len=8)) and batch.lengths[0] == 8
    n = rows.rows[0][0].n_snippets
    assert n < 8 and batch.lengths[1] == n and not batch.features[1, n:].any() and batch.features[1, n - 1].any()


def test_the_data_fingerprint_knows_labels_features_and_crops(store):
    labels = {"n0": (0,), "a0": (1,)}
    base = data_fingerprint(videos_of(store, labels), None)
    assert data_fingerprint(videos_of(store, labels)[::-1], None) == base
    assert data_fingerprint(videos_of(store, {**labels, "a0": (2,)}), None) != base
    assert data_fingerprint(videos_of(store, labels), (0,)) != base
    assert data_fingerprint(videos_of(store, {"n0": (0,), "a1": (1,)}), None) != base


def test_published_lists_name_a_video_once_a_crop(store, options, labelled, tmp_path):
    published = tmp_path / "list.csv"
    published.write_text((labelled[0].parent / "list.csv").read_text().replace("n0__0.npy", "/home/me/n0__0.npy"))
    setup = prepare(replace(options, labels=published), store).setup
    assert len(setup.train) + len(setup.held_out) == 20
    assert len(rows_of(setup, None).rows) == 2 * len(setup.train)


def test_options_reach_the_setup(store, options):
    setup = prepare(options, store).setup
    assert (setup.crop, len(setup.held_out)) == (5, 2)
    assert (setup.config.batch_size, setup.config.epochs, setup.config.learning_rate) == (18, 10, 7e-5)
    chosen = replace(options, crops=(0,), crop=0, batch_size=4, epochs=2, lr=1e-3, val_share=0.3, precision="bf16")
    setup = prepare(replace(chosen, false_alarms_per_hour=3.0, window_len=64), store).setup
    assert setup.crop == 0
    assert setup.options.false_alarms_per_hour == 3.0 and rows_of(setup, None).window_len == 64
    assert {crop for _, crop, _ in rows_of(setup, None).rows} == {0}
    assert (setup.config.batch_size, setup.config.epochs, setup.config.learning_rate) == (4, 2, 1e-3)
    assert setup.config.precision == "bf16" and len(setup.held_out) == 7
    xd = prepare(replace(options, preset="xd-violence"), store).setup
    assert xd.crop == 0 and not xd.config.paired and xd.config.batch_size == 36
    assert xd.categories[0].code == "A"


def test_a_split_column_decides(store, options, tmp_path):
    labels = tmp_path / "labels.csv"
    rows = [f"n{i},Normal,{'val' if i > 7 else 'train'}" for i in range(10)]
    rows += [f"a{i},explosion,{'test' if i > 7 else 'val' if i > 5 else 'train'}" for i in range(10)]
    labels.write_text("\n".join(["video,label,split", *rows]))
    prepared = prepare(replace(options, labels=labels), store)
    assert sorted(v.entry.video for v in prepared.setup.held_out) == ["a6", "a7", "n8", "n9"]
    assert len(prepared.setup.train) == 14 and not prepared.missing.without_label
    labels.write_text(labels.read_text().replace(",train", ",mine"))
    assert len(prepare(replace(options, labels=labels, split="mine"), store).setup.train) == 14
    with pytest.raises(ConfigError, match="no row is of split train; there are mine, test, val"):
        prepare(replace(options, labels=labels), store)


def test_a_val_split_that_lost_a_kind_is_refused(store, options, tmp_path, monkeypatch):
    labels = tmp_path / "labels.csv"
    rows = [f"n{i},Normal,{'val' if i > 8 else 'train'}" for i in range(10)]
    rows += [f"a{i},explosion,{'val' if i > 8 else 'train'}" for i in range(10)]
    labels.write_text("\n".join(["video,label,split", *rows]))
    for lost in (("n9",), ("n9", "a9")):
        not_finite(store, monkeypatch, lost)
        with pytest.raises(ConfigError, match="its val split needs normal and anomalous videos"):
            prepare(replace(options, labels=labels), store)


def not_finite(store, monkeypatch, videos) -> None:
    read = EmbeddingStore.crop

    def values(self, entry, crop):
        return read(self, entry, crop) * (np.nan if entry.video in videos else 1)

    monkeypatch.setattr(EmbeddingStore, "crop", values)


def test_a_video_without_the_crops_asked_for_is_missing(store, options, monkeypatch):
    """Though it holds the one that is scored."""
    held = Entry.crop_numbers.fget
    monkeypatch.setattr(
        Entry, "crop_numbers", property(lambda entry: (5,) if entry.video in ("n0", "a0") else held(entry))
    )
    prepared = prepare(replace(options, crops=(0,), crop=5), store)
    assert [line.partition(":")[0] for line in prepared.missing.unusable] == ["n0", "a0"]
    assert not {"n0", "a0"} & {v.entry.video for v in (*prepared.setup.train, *prepared.setup.held_out)}


def test_a_disk_that_cannot_be_read_costs_no_video(store, monkeypatch):
    """What is damaged is left out and told; a read that fails ends the command, as the next try may succeed."""
    errors = [DamagedShard("x.h5: damaged"), StoreError("x.h5: cannot be read (Input/output error)")]

    def fail(self, entry, crop):
        raise errors[0]

    videos = videos_of(store, {"n0": (0,), "a0": (1,)})
    assert check_features(videos, store, None, 1).unusable[0].endswith("lacks crop 1 (held: (0, 5)); extract it")
    monkeypatch.setattr(EmbeddingStore, "crop", fail)
    assert len(check_features(videos, store, None, 0).unusable) == 2
    del errors[0]
    with pytest.raises(StoreError, match="Input/output error"):
        check_features(videos, store, None, 0)


def test_training_on_the_test_set_is_refused(store, options, tmp_path):
    (tmp_path / "truth.csv").write_text("video,start_frame,end_frame,category\nn0,,,Normal\na0,0,9,Explosion\n")
    with pytest.raises(ConfigError, match=r"2 videos to train on are in the test set too \(a0, n0\)"):
        prepare(replace(options, select="test", annotations=tmp_path / "truth.csv", format="csv"), store)


def test_weights_known_by_their_hash_alone_are_asked_for(store, options, monkeypatch):
    monkeypatch.setattr("vad_pipeline.model.initial.clip_text_tower", lambda pretrained, model: ClipText({}))
    setup = prepare(replace(options, pretrained=None), store).setup
    assert setup.tower == TextTower("openai", "ViT-B-16-quickgelu")


def test_tensorboard_says_what_to_install(options, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[tensorboard\]' in the folder of vad-pipeline"):
        replace(options, tensorboard=True)


def test_a_run_with_tensorboard_goes_on_without_its_package(options, monkeypatch, tmp_path):
    recorded = options.to_json() | {"tensorboard": True}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not TrainOptions.resumed(recorded, {"resume": tmp_path}).tensorboard
    with pytest.raises(ConfigError, match="--tensorboard needs a package"):
        TrainOptions.resumed(recorded, {"resume": tmp_path, "tensorboard": True})
