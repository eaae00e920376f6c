"""`adapt`: a head that learns from marks, judged before it is written; and marks that must not be learned."""

import json
import shlex
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from vad_pipeline.extract.embed.sampling import snippet_seconds
from vad_pipeline.extract.files import SourceFile
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.embedding_store import IMPORTED_SIZE, EmbeddingStore
from vad_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from vad_pipeline.model.heads.known import HEADS, result_categories
from vad_pipeline.model.heads.mil import MIL_PRESETS
from vad_pipeline.pipeline.adapt.finetune import TuneRecipe
from vad_pipeline.pipeline.results.event_rows import read_events
from vad_pipeline.pipeline.results.verdict_rows import as_json
from vad_pipeline.pipeline.results.verdicts import Verdict

RECIPE = NAMED_RECIPES["quick"].recipe
N_SNIPPETS, EVENT = 12, slice(4, 7)
OF_REAL, OF_NUISANCE = slice(0, 64), slice(300, 364)  # the dimensions in which something happens


def features_of(index: int, where: slice | None, *, extra: float = 0) -> np.ndarray:
    """(12, 512): scenes, in three of which something happens."""
    rows = 0.1 * np.random.default_rng(index).standard_normal((N_SNIPPETS, 512))
    if where:
        rows[EVENT, where] += 1
    return rows + extra


def put(store: EmbeddingStore, video: str, features: np.ndarray) -> None:
    seconds = np.arange(16 * len(features)) / 8
    found = VideoEmbeddings(
        video_id=video, embeddings=features[None].astype(np.float16), crops=(0,),
        snippet_seconds=snippet_seconds(seconds, 8.0, RECIPE), frame_seconds=seconds, fps=8, recipe=RECIPE, info=None,
    )  # fmt: skip
    store.put(found, source=SourceFile("v.mp4", IMPORTED_SIZE, 0), content=video, precision="fp32", runtime="test")


def blunt_model(path):
    """A checkpoint of the baseline that takes whatever happens for an anomaly."""
    config = replace(MIL_PRESETS["ucf-crime"], window_len=16)
    model = HEADS["mil"].network(config)
    with torch.no_grad():
        for layer in model.layers:
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.weight, std=0.02, generator=torch.Generator().manual_seed(0))
                layer.bias.zero_()
        first, second, last = (layer for layer in model.layers if isinstance(layer, torch.nn.Linear))
        for row, where in enumerate((OF_REAL, OF_NUISANCE)):
            first.weight[row] = 0
            first.weight[row, where] = 1 / 64
            second.weight[row] = 0
            second.weight[row, row] = 1
            last.weight[0, row] = 6
        last.bias.fill_(-3)
    Checkpoint(
        preset="ucf-crime", config=config, model=model, text_features=None, categories=result_categories(config),
        recipe=RECIPE, clip_sha256=None, crop=0, threshold=0.5, sha256="", path=path,
        descriptions=tuple((name,) for name in config.categories),
    ).save(path)  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """(store, checkpoint, LABELS): eight videos with a real event, eight with a nuisance, eight without either."""
    folder = tmp_path_factory.mktemp("adapt")
    with EmbeddingStore(folder / "store", create=True) as store:
        for index in range(24):
            kind, where = (("real", OF_REAL), ("lorry", OF_NUISANCE), ("calm", None))[index % 3]
            put(store, f"{kind}{index}", features_of(index, where))
    blunt_model(folder / "blunt.safetensors")
    labels = folder / "labels.csv"
    rows = [
        f"{kind}{i},{'Arson' if kind == 'real' else 'Normal'}" for kind, i in (("real", 18), ("real", 21), ("calm", 20))
    ]
    labels.write_text("\n".join(["video,label", *rows, "calm23,Normal", "calm2,Normal"]))
    return folder / "store", folder / "blunt.safetensors", labels


@pytest.fixture
def results(archive, run_cli, tmp_path):
    store, checkpoint, _ = archive
    out = tmp_path / "results"
    assert run_cli("detect", "--store", store, "--checkpoint", checkpoint, "--out", out, "--quiet")[0] == 0
    assert len(list(read_events(out))) == 16
    return out


def marked(results, said=lambda video: "real" if "real" in video else "false_alarm") -> list[Verdict]:
    return [
        Verdict(
            h.video,
            h.event.start_frame,
            h.event.end_frame,
            h.event_id,
            said(h.video),
            "Arson",
            "Ann",
            "",
            "2026-11-28T10:00:00Z",
        )
        for h in read_events(results)
        if int(h.video.lstrip("realoy")) < 18
    ]


def export(path, verdicts):
    path.write_text(as_json(verdicts))
    return path


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(
        "vad_pipeline.pipeline.adapt.finetune.TuneRecipe", partial(TuneRecipe, steps=12, learning_rate=2e-3)
    )


def test_marks_make_a_checkpoint_that_raises_fewer_false_alarms(archive, results, run_cli, tmp_path):
    store, base, labels = archive
    marks = export(tmp_path / "marks.json", marked(results))
    words = ("adapt", results, "--store", store, "--verdicts", marks, "--labels", labels, "--out")
    code, out, err = run_cli(*words, tmp_path / "a.safetensors")
    assert code == 0, out + err
    assert "6 real, 6 false alarm in 12 videos" in out and "it is better" in out
    adapted = tmp_path / "a_results"
    (line,) = [line for line in out.splitlines() if line.startswith("next: vad-pipeline ")]
    assert run_cli(*shlex.split(line.removeprefix("next: vad-pipeline ")))[0] == 0
    assert {held.video[:4] for held in read_events(adapted)} == {"real"} and len(list(read_events(adapted))) == 8
    from safetensors import safe_open

    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        made_of = json.loads(file.metadata()["made_of"])
    assert made_of["marks"] == {"real": 6, "false_alarm": 6, "normal": 0}
    assert made_of["adapted_from"] == load_checkpoint(base).sha256


@pytest.mark.long
def test_the_same_marks_give_the_same_bytes_and_a_write_that_fails_leaves_nothing(
    archive, results, run_cli, tmp_path, monkeypatch
):
    store, _, labels = archive
    marks = export(tmp_path / "marks.json", marked(results))
    words = ("adapt", results, "--store", store, "--verdicts", marks, "--labels", labels, "--quiet", "--out")
    with monkeypatch.context() as patched:
        patched.setattr("vad_pipeline.pipeline.adapt.adapting.save", lambda *args, **values: 1 / 0)
        assert run_cli(*words, tmp_path / "a.safetensors")[0] == 70
    assert not list(tmp_path.glob("*safetensors*"))
    assert [run_cli(*words, tmp_path / f"{name}.safetensors")[0] for name in "ab"] == [0, 0]
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_marks_that_say_nothing_are_told_and_nothing_is_written(archive, results, run_cli, tmp_path):
    store, _, labels = archive
    out = tmp_path / "a.safetensors"

    def adapt(verdicts, *more):
        marks = export(tmp_path / "marks.json", verdicts)
        return run_cli("adapt", results, "--store", store, "--verdicts", marks, "--out", out, *more)

    code, _, err = adapt(marked(results)[:3])
    assert code == 1 and "too few marks to tell" in err, err
    blind = iter(("real", "false_alarm") * 8)
    code, printed, err = adapt(marked(results, lambda video: next(blind)))
    assert code == 1 and "nothing is written" in err, printed
    turned = marked(results, lambda video: "false_alarm" if "real" in video else "real")
    code, printed, err = adapt(turned, "--labels", labels)
    assert code == 1 and "nothing is written" in err, printed
    both = [*marked(results), *(replace(each, reviewer="Bo") for each in marked(results, lambda video: "false_alarm"))]
    code, _, err = adapt([each for each in both if "real" in each.video])
    assert code == 2 and "contradict each other" in err
    assert not out.exists()


def test_marks_of_other_footage_are_refused(archive, results, run_cli, tmp_path):
    store, base, _ = archive
    first = marked(results)[0]
    others = [
        replace(first, video="elsewhere", event_id="elsewhere@0-16"),
        replace(first, start_frame=160, end_frame=400, event_id=f"{first.video}@160-400"),
    ]
    marks = export(tmp_path / "marks.json", others)
    words = ("adapt", results, "--verdicts", marks, "--out", tmp_path / "a.safetensors", "--store")
    code, _, err = run_cli(*words, store)
    assert code == 2 and "do not hold" in err and "other footage" in err and err.count("\n") == 1
    with EmbeddingStore(tmp_path / "store", create=True) as other:
        put(other, first.video, features_of(99, OF_REAL))
    export(marks, [first])
    code, _, err = run_cli(*words, tmp_path / "store")
    assert code == 2 and "other features than the store holds now" in err
    code, _, err = run_cli(*words, store, "--checkpoint", marks)
    assert code == 2 and "is not the checkpoint" in err
    code, _, err = run_cli("adapt", results, "--store", store, "--out", tmp_path / "a.safetensors")
    assert code == 2 and "nobody has marked anything yet" in err
    code, _, err = run_cli("adapt", results, "--store", store, "--out", base)
    assert code == 2 and "give --out another name" in err
