"""What reviewing found once: ways to lose crops, twins, imports or other runs' work, and to trust what is stale."""

import json
import multiprocessing
import os
import signal
import threading

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.catalogue import Catalogue
from vad_pipeline.extract.store.embedding_store import EmbeddingStore


@pytest.fixture
def extract(run_cli, tmp_path, toy_model):
    """extract(*arguments): into tmp_path/S with the toy tower."""

    def run(*arguments):
        fixed = ("--store", tmp_path / "S", "--like", "quick", "--pretrained", "random:0", "--model", toy_model)
        return run_cli("extract", *arguments, *fixed, "--device", "cpu")

    return run


def held_crops(store_path) -> dict[str, tuple]:
    with EmbeddingStore(store_path) as store:
        return {entry.video: entry.crop_numbers for entry in store.entries()}


def test_crops_are_kept_by_force_and_across_thread_counts(tmp_path, make_video, extract):
    import torch

    make_video(tmp_path / "raw" / "a.mp4")
    extract(tmp_path / "raw", "--crops", "0,5")
    extract(tmp_path / "raw", "--crops", "1", "--force")
    assert held_crops(tmp_path / "S") == {"a": (0, 1, 5)}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)  # recorded in `runtime`: the rows held were made another way
        extract(tmp_path / "raw", "--crops", "2")
    finally:
        torch.set_num_threads(threads)
    assert held_crops(tmp_path / "S") == {"a": (0, 1, 2, 5)}


def test_a_twin_does_not_replace_crops(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "raw" / "b.mp4").write_bytes((tmp_path / "raw" / "a.mp4").read_bytes())
    extract(tmp_path / "raw" / "a.mp4", "--crops", "0")
    extract(tmp_path / "raw" / "b.mp4", "--crops", "5")
    extract(tmp_path / "raw" / "a.mp4", "--crops", "5")
    assert held_crops(tmp_path / "S")["a"] == (0, 5)


def test_imported_features_are_not_replaced_silently(tmp_path, make_video, run_cli, toy_model):
    make_video(tmp_path / "raw" / "a.mp4")
    np.save(tmp_path / "a__0.npy", np.ones((2, 512), np.float16))
    (tmp_path / "list.csv").write_text("a__0.npy,Abuse\n")
    store = ("--store", tmp_path / "S")
    arguments = (*store, "--like", "vadclip", "--pretrained", "random:0")
    run_cli("store", "import", tmp_path / "list.csv", *arguments)
    with EmbeddingStore(tmp_path / "S") as opened:
        recipe = opened.entries()[0].recipe_id
    from dataclasses import replace

    from vad_pipeline.extract.embed.encoder_config import model_identity
    from vad_pipeline.extract.recipe import Recipe
    from vad_pipeline.extract.store.exchange import ImportConfig, import_list

    toy = replace(Recipe(weights="random:0"), model=model_identity(toy_model))
    with EmbeddingStore(tmp_path / "S") as opened:
        import_list(tmp_path / "list.csv", opened, ImportConfig(recipe=toy, fps=30))
    footage = ("extract", tmp_path / "raw", *arguments, "--model", toy_model, "--device", "cpu")
    code, _, err = run_cli(*footage)
    assert code == 1 and "[id_clash]" in err and "imported from" in err and "--force" in err
    assert run_cli(*footage, "--force")[0] == 0
    with EmbeddingStore(tmp_path / "S") as opened:
        assert {entry.recipe_id for entry in opened.entries()} == {recipe, toy.recipe_id}


def test_a_success_clears_a_remembered_failure(tmp_path, make_video, extract):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_text("text")
    extract(tmp_path / "raw")
    good = make_video(tmp_path / "good.mp4").read_bytes()
    line = json.loads(next((tmp_path / "S" / "outcomes").glob("*.jsonl")).read_text())
    (tmp_path / "raw" / "a.mp4").write_bytes(good)
    os.utime(tmp_path / "raw" / "a.mp4", ns=(line["mtime_ns"],) * 2)
    line |= {"size": len(good)}  # as if this very file had failed once
    next((tmp_path / "S" / "outcomes").glob("*.jsonl")).write_text(json.dumps(line) + "\n")
    assert "failed before" in extract(tmp_path / "raw")[2]
    assert extract(tmp_path / "raw", "--retry-failed")[0] == 0
    assert extract(tmp_path / "raw", "--crops", "1")[0] == 0


def test_damaged_outcome_lines_are_passed_over(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "raw" / "b.mp4").write_text("text")
    extract(tmp_path / "raw")
    bad = b'[1]\nnull\n"x"\n{"status": "failed"}\n\xff\xfe\n{"status": "failed", "video": 1, "path": 2'
    (tmp_path / "S" / "outcomes" / "0.jsonl").write_bytes(bad)
    code, out, err = extract(tmp_path / "raw")
    assert code == 0 and "1 cached, 1 failed (1 before)" in out and "failed before" in err


def test_a_pipe_is_refused_and_costs_nothing_else(tmp_path, make_video, extract):
    make_video(tmp_path / "raw" / "b.mp4")
    os.mkfifo(tmp_path / "raw" / "a.mp4")
    code, out, err = extract(tmp_path / "raw")
    assert code == 1 and "1 ok" in out and "not a regular file" in err


def test_names_that_are_no_utf8_are_stored(tmp_path, make_video, extract):
    video = make_video(tmp_path / "a.mp4")
    (tmp_path / "raw").mkdir()
    os.rename(video, os.path.join(os.fsencode(tmp_path / "raw"), b"caf\xe9.mp4"))
    code, out, err = extract(tmp_path / "raw")
    assert code == 0 and held_crops(tmp_path / "S") == {"caf\\xe9": (0,)}


def test_a_shard_damaged_after_it_was_indexed_is_not_trusted(tmp_path, make_video, extract):
    for name in "ab":
        make_video(tmp_path / "raw" / f"{name}.mp4", seed=ord(name))
    extract(tmp_path / "raw")
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    shard.write_bytes(shard.read_bytes()[:3000])
    code, out, err = extract(tmp_path / "raw")
    assert code == 0 and "2 ok, 0 cached" in out and shard.name in err


@pytest.mark.parametrize(
    "harm",
    [
        lambda node: node.attrs.__setitem__("crops", "abc"),
        lambda node: node.attrs.__setitem__("n_frames", 2**63),
        lambda node: node.attrs.__setitem__("recipe", "{"),
        lambda node: node.attrs.__setitem__("video", "../../x"),
        lambda node: node.attrs.__delitem__("fingerprint"),
        lambda node: node.__delitem__("features"),
        lambda node: node.attrs.__setitem__("crops", [0, 1, 2]),
    ],
)
def test_one_damaged_group_costs_only_its_video(tmp_path, make_video, extract, run_cli, harm):
    for name in "ab":
        make_video(tmp_path / "raw" / f"{name}.mp4", seed=ord(name))
    extract(tmp_path / "raw")
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        harm(next(node for node in file["videos"].values() if node.attrs["video"] == "a"))
    code, out, err = run_cli("store", "ls", "--store", tmp_path / "S")
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == ["b"] and "damaged" in err
    assert run_cli("store", "verify", "--store", tmp_path / "S")[0] == 1
    code, out, err = extract(tmp_path / "raw")
    assert code == 0 and "1 ok, 1 cached" in out and "Traceback" not in err
    assert shard.exists()  # what is damaged is never merged away


def test_a_locked_catalogue_is_not_taken_for_damage(tmp_path, monkeypatch):
    import sqlite3

    from vad_pipeline.extract.store import catalogue_file

    monkeypatch.setattr(catalogue_file, "LOCK_SECONDS", 0.1)
    EmbeddingStore(tmp_path / "S", create=True).close()
    path = tmp_path / "S" / "catalogue.sqlite"
    before = path.stat().st_ino
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            Catalogue(path, tmp_path / "S" / "shards")
    assert path.stat().st_ino == before


def _open_new(path, barrier, failures) -> None:
    barrier.wait()
    try:
        EmbeddingStore(path, create=True).close()
    except StoreError as error:
        failures.put(str(error))


def test_several_runs_may_start_on_a_new_store(tmp_path):
    context = multiprocessing.get_context("fork")
    for round_number in range(5):
        barrier, failures = context.Barrier(4), context.Queue()
        arguments = (tmp_path / str(round_number), barrier, failures)
        runs = [context.Process(target=_open_new, args=arguments) for _ in range(4)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert failures.empty(), failures.get()


def test_merging_while_another_run_adds(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 512), np.float16))
    from vad_pipeline.extract.recipe import Recipe
    from vad_pipeline.extract.store.exchange import ImportConfig, import_list

    def add(names) -> None:
        for name in names:
            os.link(tmp_path / "x.npy", tmp_path / f"{name}.npy")
            (tmp_path / f"{name}.csv").write_text(f"{name}.npy,Abuse\n")
            with EmbeddingStore(tmp_path / "S", create=True) as store:
                import_list(tmp_path / f"{name}.csv", store, ImportConfig(recipe=Recipe(), fps=30))

    EmbeddingStore(tmp_path / "S", create=True).close()
    names = [f"v{i}" for i in range(40)]
    adding = threading.Thread(target=add, args=(names,))
    adding.start()
    with EmbeddingStore(tmp_path / "S") as store:
        while adding.is_alive():
            upkeep.merge(store)
    adding.join()
    with EmbeddingStore(tmp_path / "S") as store:
        assert [entry.video for entry in store.entries()] == sorted(names) and list(upkeep.verify(store)) == []


def test_a_frame_that_turns_giant_is_refused(tmp_path, make_video, monkeypatch):
    from vad_pipeline.extract.decode import reader
    from vad_pipeline.extract.errors import VideoDecodeError

    small = make_video(tmp_path / "small.h264", n_frames=4)
    large = make_video(tmp_path / "large.h264", n_frames=4, width=96, height=72)
    (tmp_path / "both.h264").write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setattr(reader, "MAX_FRAME_PX", 64 * 48)
    opened = reader.PyavReader(tmp_path / "both.h264")
    with pytest.raises(VideoDecodeError) as caught:
        list(opened)
    assert caught.value.code == "too_large"
    opened.close()


def test_an_export_never_overwrites_or_leaves_its_folder(tmp_path, run_cli):
    for folder, label in (("a", "Abuse"), ("b", "..")):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / f"{folder}__0.npy", np.ones((2, 512), np.float16))
        (tmp_path / f"{folder}.csv").write_text(f"{folder}/{folder}__0.npy,{label}\n")
        run_cli("store", "import", tmp_path / f"{folder}.csv", "--store", tmp_path / "S")
    (tmp_path / "Abuse").mkdir()
    os.rename(tmp_path / "a" / "a__0.npy", tmp_path / "Abuse" / "a__0.npy")
    (tmp_path / "c.csv").write_text("Abuse/a__0.npy,\n")
    run_cli("store", "import", tmp_path / "c.csv", "--store", tmp_path / "S", "--keep-folder")
    code, out, err = run_cli("store", "export", tmp_path / "deep" / "out", "--store", tmp_path / "S")
    assert code == 1 and "would be those of" in err and "2 videos" in out
    written = {str(p.relative_to(tmp_path / "deep")) for p in (tmp_path / "deep").rglob("*.npy")}
    assert written == {"out/Abuse/a__0.npy", "out/b__0.npy"}


def test_interrupts_leave_no_partial_file(tmp_path, monkeypatch):
    from vad_pipeline.extract.store import shards

    def interrupted(descriptor):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(shards.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shards.write_bytes(tmp_path / "a.h5", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("extract", "raw", "--list", ""), "cannot be read"),
        (("extract", "raw", "--store", ""), "is empty"),
        (("extract", "raw", "--device", "meta"), "only cpu and cuda"),
        (("extract", "raw", "--pretrained", "random:99999999999999999999"), "whole number"),
        (("extract", "raw", "--model", ""), "no such model"),
        (("store", "import", "l.csv", "--fps", "1e400"), "not a frame rate"),
        (("events", "out", "--threshold", "0.5", "--merge-gap", "nan"), "negative"),
        (("extract", "raw", "--only", "short.csv"), "lacks its"),
        (("extract", "raw", "--only", "huge.csv"), "no line of a list has over"),
    ],
)
def test_values_that_say_nothing(tmp_path, make_video, run_cli, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "short.csv").write_text("label,video\nA\n")
    (tmp_path / "huge.csv").write_text("video\n" + "x" * 200_000 + "\n")
    extra = ("--pretrained", "random:0") if arguments[0] == "extract" and "--pretrained" not in arguments else ()
    code, _, err = run_cli(*arguments, *extra)
    assert code == 2 and words in err and "Traceback" not in err, err
