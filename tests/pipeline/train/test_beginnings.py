"""What `train` begins with: what --init brings along, what is left out, what fails before anything is read."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_network import shrink, start

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.categories import Category, names
from vad_pipeline.model.checkpoint import load_checkpoint
from vad_pipeline.pipeline.commands import train
from vad_pipeline.pipeline.train import prepare, split
from vad_pipeline.pipeline.train.options import TrainOptions
from vad_pipeline.pipeline.train.setup import TextTower
from vad_pipeline.pipeline.train.start import Start, begin_with, categories_of, features_for

ROOT = Path(__file__).parents[3]
OWN = "- {name: Normal, descriptions: [an empty yard]}\n- {name: Fighting, descriptions: [a brawl]}\n- Explosion\n"
ONE_STEP = ("--steps", 1, "--batch-size", 2, "--device", "cpu")


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    shrink(monkeypatch.setattr)


@pytest.fixture(scope="module")
def begun(labelled, text_tower, tmp_path_factory):
    """RUN of one step with windows of 16, crop 0 and three categories of its own; what it was asked and printed."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "own.yaml").write_text(OWN)
    store, labels = labelled
    given = ["train", labels, "--store", store, "--out", folder / "run", "--pretrained", text_tower, "--crop", 0]
    given += ["--window-len", 16, "--categories", folder / "own.yaml", *ONE_STEP]
    process = start(given)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return folder / "run", printed


def test_init_brings_window_categories_and_crop(begun, labelled, text_tower, run_cli, tmp_path):
    init = begun[0] / "best.safetensors"
    given = ["train", labelled[1], "--store", labelled[0], "--out", tmp_path / "run", "--pretrained", text_tower]
    given += [*ONE_STEP, "--init", init]
    code, _, errors = run_cli(*given)
    assert code == 0, errors
    before, after = load_checkpoint(init), load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert after.config == before.config and after.config.window_len == 16
    assert (after.categories, after.crop, after.descriptions) == (before.categories, 0, before.descriptions)
    assert f"--init {init} brings preset ucf-crime, 3 categories, windows of 16" in errors and "overrides" not in errors
    start = begin_with(TrainOptions(labels=labelled[1], preset=None, init=init, crop=5))
    assert "--crop overrides it: 5 instead of 0" in start.notes


def test_categories_come_with_their_words_or_are_asked_for(begun):
    checkpoint = load_checkpoint(begun[0] / "best.safetensors")
    assert categories_of(checkpoint)[:2] == (Category("Normal", ("an empty yard",)), Category("Fighting", ("a brawl",)))
    with pytest.raises(ConfigError, match="does not say how its categories .* are described"):
        categories_of(replace(checkpoint, descriptions=None))
    assert names(categories_of(checkpoint)) == checkpoint.categories


def test_the_next_line_runs_as_printed(begun, run_cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (line,) = [line for line in begun[1].splitlines() if line.startswith("next: ")]
    code, out, errors = run_cli(*shlex.split(line.removeprefix("next: vad-pipeline ")))
    assert code == 0 and "20 ok" in out, errors


def test_every_next_line_is_run_by_a_test():
    sources = (path for room in ("extract", "model", "eval", "pipeline") for path in (ROOT / room).rglob("*.py"))
    printing = {path.name for path in sources if '"next: ' in path.read_text()}
    assert printing == {"train.py", "adapt.py"}  # here, and in test_adapt_command.py


def test_time_left_is_told(monkeypatch, capsys):
    monkeypatch.setattr(train, "PLAIN_EVERY_SECONDS", 0)
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(train.time, "monotonic", lambda: next(now))
    with train._progress(quiet=False) as report:
        for step in (1, 2, 3):
            report(SimpleNamespace(epoch=1, step=step, losses={"total": 1.0}, is_best=False), 100, {})
    first, *later = capsys.readouterr().err.splitlines()
    assert "left" not in first and all(line.endswith(" left") for line in later) and "min left" in later[0], later


def test_a_threshold_from_seconds_of_footage_is_not_called_calibrated(begun):
    calibration = load_checkpoint(begun[0] / "best.safetensors").calibration
    assert not calibration.calibrated and 0 < calibration.hours < 0.1
    assert calibration.supported == pytest.approx(2.996 / calibration.hours, rel=1e-3)
    assert "(NOT calibrated: " in begun[1] and "1 were asked for" in begun[1]


def test_a_store_may_hold_more_than_the_labels_name(labelled, text_tower, run_cli, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("".join(labelled[1].read_text().splitlines(keepends=True)[:-2]))
    given = ["train", labels, "--store", labelled[0], "--out", tmp_path / "run", "--pretrained", text_tower]
    code, _, errors = run_cli(*given, "--window-len", 16, *ONE_STEP)
    assert code == 0 and "note: left out: features of 2 videos without label: a8, a9" in errors


def test_what_can_fail_early_fails_before_features_are_read(labelled, run_cli, tmp_path, monkeypatch):
    monkeypatch.setattr(split, "check_features", lambda *values, **more: pytest.fail("features were read"))
    given = ["train", labelled[1], "--store", labelled[0], "--out", tmp_path / "run", "--device", "cpu"]
    code, _, errors = run_cli(*given, "--pretrained", tmp_path / "gone.pt")
    assert code == 2 and "gone.pt" in errors
    for option in (("--device", "cuda:99"), ("--window-len", 12), ("--init", tmp_path / "gone.pth")):
        assert run_cli(*given, *option)[0] == 2
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    code, _, errors = run_cli(*given[:5], tmp_path / "taken")
    assert code == 2 and "is not empty and holds no training run" in errors


def test_recipes_of_the_checkpoint_are_taken(begun, labelled):
    checkpoint = load_checkpoint(begun[0] / "best.safetensors")
    start = Start("dsanet", "ucf-crime", checkpoint.config, (), checkpoint, None, ())
    quick = replace(start, checkpoint=replace(checkpoint, recipe=NAMED_RECIPES["quick"].recipe))
    with EmbeddingStore(labelled[0]) as store:
        recipe, held, notes = features_for(start, store, None)
        assert recipe == checkpoint.recipe and len(held) == 20 and notes == []
        with pytest.raises(ConfigError, match="make them with `vad-pipeline extract SRC .* --like quick"):
            features_for(quick, store, None)
        assert "--recipe overrides it" in features_for(quick, store, recipe.recipe_id)[2][0]


def test_random_weights_beside_real_ones_are_told():
    recipe = NAMED_RECIPES["vadclip"].recipe
    (note,) = prepare._of_other_weights(TextTower("random:0", "ViT-B-16"), recipe)
    assert "random:0 reads the categories and openai made the features" in note
    same = replace(recipe, weights="random:0")
    assert not prepare._of_other_weights(TextTower("random:0", "ViT-B-16"), same)
    assert not prepare._of_other_weights(TextTower("clip.pt", "ViT-B-16"), recipe)
