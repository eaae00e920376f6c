"""`demo`: renders a small archive; extracts, trains, detects, evaluates and reports with the commands' own code."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.eval.annotations import TruthFile
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe
from vad_pipeline.extract.stopwatch import Stopwatch
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.run_names import BEST_NAME, LAST_NAME

from ..archive.detect_run import choose_entries, detect_archive
from ..archive.extract_run import extract_archive
from ..archive.loop import RunSummary
from ..archive.run_progress import Progress
from ..archive.scoring_plan import DetectConfig, ScoringPlan
from ..archive.selection import SelectionConfig, find_sources, select_held
from ..results.event_rows import EVENTS_NAME
from ..results.figures import (
    EVALUATION_NAME,
    FIGURE_NAME,
    EvaluateConfig,
    Evaluated,
    evaluate_results,
    write_evaluation,
)
from ..results.folder import Results
from ..results.run_record import RECORD_NAME
from ..review.page import FOLDER as REPORT_FOLDER
from ..review.page import ReportConfig, write_report
from ..train.run_folder import CHART_NAME, CONFIG_NAME, METRICS_NAME, TrainRun
from .archive_plan import CATEGORIES, NORMAL, ArchiveConfig
from .rendering import render_archive

if TYPE_CHECKING:
    from vad_pipeline.eval.annotation import VideoAnnotation

    from ..train.fitting import TrainResult

LIKE = "quick"
PRETRAINED = "random:0"
PRESET = "ucf-crime"
HEAD = "vadclip"  # its categories are learned a snippet, DSANet's only a video, too few of which are rendered
# With random weights all frames of a camera look much alike to CLIP: attention over 8 snippets and a graph that joins
# those of a similarity above 0.7, as published, join whole videos, and an event of 5 s raises the curve all over them.
NARROW = {"layers": 1, "attention_block": 1, "similarity_threshold": 0.97}
MARK_NAME = "demo.txt"
MARK = "vad-pipeline demo fills this folder; it makes run/ and results/ anew each time.\n"
CAVEAT = (
    "CLIP's weights are random: these figures say that the way from pixels to a trained curve works, and nothing "
    "about real footage. They differ a little from machine to machine, as processors round differently."
)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """What is rendered, and how the network is trained; the defaults take minutes on two cores."""

    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    model: str = "ViT-B-32-quickgelu"
    """CLIP model; this one takes about a third of ViT-B/16's time for an image."""
    window_len: int = 24
    """Snippets of a window: as many as a video has."""
    batch_size: int = 3
    """Normal videos of a step, and as many anomalous ones."""
    epochs: int = 16
    lr: float = 3e-5
    """Learning rate, the same in all epochs. Embeddings by random weights are twice as long as CLIP's: at 2e-4 the
    first step may take all scores to 1, where no gradient is."""
    val_share: float = 0.25
    network: dict = field(default_factory=lambda: dict(NARROW))
    """What differs from VadCLIP's published configuration."""


class Places:
    """The folders that the demo works in.

    Args:
        out: the demo's folder, which holds all others.
    """

    def __init__(self, out: Path):
        self.out, self.mark = out, out / MARK_NAME
        self.archive, self.features = out / "archive", out / "features"
        self.run, self.results = out / "run", out / "results"
        self.videos, self.labels = self.archive / "videos", self.archive / "labels.csv"
        self.annotations, self.categories = self.archive / "annotations.csv", out / "categories.csv"


def run_demo(out: Path, config: DemoConfig | None = None, *, quiet: bool = False) -> int:
    """Run the demo: render, extract with random weights, train, score the test split, evaluate, write the review page.

    Args:
        out: the demo's folder; it gets archive/, features/, run/ and results/, the last two anew each time.
        config: what to render and how to train; None: the defaults.
        quiet: print only the figures.

    Returns:
        The exit code.

    Raises:
        ConfigError: `out` holds run/ or results/ that no demo has made.
    """
    config, places, seconds = config or DemoConfig(), Places(out), {}
    say = (lambda line: None) if quiet else click.echo
    claim(places)
    with _stage("render", seconds):
        _render(places, config.archive, say)
    with _stage("extract", seconds):
        extractor = Extractor(ExtractConfig(like=LIKE, model=config.model, pretrained=PRETRAINED))
        extracted = _extract(places, extractor, say, quiet=quiet)
    with EmbeddingStore(places.features) as store:
        with _stage("train", seconds):
            trained = _train(places, config, extractor.recipe, store, say)
        with _stage("detect", seconds):
            detected = _detect(places, trained, store, say, quiet=quiet)
    with _stage("evaluate", seconds):
        evaluated, truth = _evaluate(places)
    with _stage("report", seconds):
        page = _report(places, truth)
    say(", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()))
    _tell(places, trained, evaluated, page)
    return max(extracted.exit_code, detected.exit_code)


def claim(places: Places) -> None:
    """Mark the folder as the demo's, and remove what an earlier demo made in run/ and results/.

    Raises:
        ConfigError: run/ or results/ exist, and no demo has made them.
    """
    if places.mark.exists():
        for name in (CONFIG_NAME, METRICS_NAME, CHART_NAME, BEST_NAME, LAST_NAME):
            (places.run / name).unlink(missing_ok=True)
        for name in (RECORD_NAME, EVENTS_NAME, EVALUATION_NAME, FIGURE_NAME):
            (places.results / name).unlink(missing_ok=True)
        for name in ("curves", "outcomes", REPORT_FOLDER):
            shutil.rmtree(places.results / name, ignore_errors=True)
    elif places.run.exists() or places.results.exists():
        raise ConfigError(f"{places.out}: holds run/ or results/ that this demo did not make; give another --out")
    write_bytes(places.mark, MARK.encode())


@contextmanager
def _stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    with Stopwatch() as watch:
        yield
    seconds[name] = watch.seconds


def _render(places: Places, archive: ArchiveConfig, say: Say) -> None:
    say(f"rendering {plural(archive.n_videos, 'video')} of {archive.seconds:g} s into {places.archive}")
    render_archive(places.archive, archive)


def _extract(places: Places, extractor: Extractor, say: Say, *, quiet: bool) -> RunSummary:
    model, usual = extractor.encoder_config.model, NAMED_RECIPES[LIKE].recipe.model
    instead = "" if model == usual else f" (smaller than the usual {usual})"
    say(f"embedding them with CLIP {model}{instead}, random weights (seeded), recipe {LIKE}")
    selection = find_sources([str(places.videos)], SelectionConfig(only=str(places.labels)))
    progress = Progress(len(selection.sources), doing="extract", quiet=quiet)
    with EmbeddingStore(places.features, create=True) as store, progress:
        extracted = extract_archive(selection, extractor, store, report=progress)
    say(str(extracted))
    return extracted


def _train(places: Places, config: DemoConfig, recipe: Recipe, store: EmbeddingStore, say: Say) -> TrainResult:
    """Train on the labels of the train split; some of its videos are held out to choose weights and threshold."""
    from ..train.fitting import train_one
    from ..train.options import TrainOptions
    from ..train.prepare import prepare
    from ..train.run_config import run_config

    write_bytes(places.categories, "".join(f"{name}\n" for name in ("name", NORMAL, *CATEGORIES)).encode())
    options = TrainOptions(
        labels=places.labels,
        preset=PRESET,
        head=HEAD,
        recipe_id=recipe.recipe_id,
        only=str(places.labels),
        categories=places.categories,
        model=config.model,
        val_share=config.val_share,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        window_len=config.window_len,
    )
    prepared = prepare(options, store)
    for note in prepared.notes:
        say(f"note: {note}")
    setup = replace(
        prepared.setup,
        config=replace(prepared.setup.config, seed=config.archive.seed, milestones=()),
        network=replace(prepared.setup.network, **config.network),
    )
    say(
        f"training VadCLIP on the labels of {len(setup.train)} videos, {len(setup.held_out)} held out for the threshold"
    )
    run = TrainRun(places.run)

    def report(step, n_steps: int, measured: dict) -> None:
        if measured:
            figures = ", ".join(f"{name} {value:.3f}" for name, value in measured.items())
            say(f"step {step.step} of {n_steps}: loss {step.losses['total']:.3f}, {figures}{' (best)' * step.is_best}")

    described = {"options": {"demo": True}, **run_config(setup)}
    return train_one(setup, store, run, config=described, report=report, say=say)


def _detect(places: Places, trained: TrainResult, store: EmbeddingStore, say: Say, *, quiet: bool) -> RunSummary:
    """Score the videos of the test split."""
    from vad_pipeline.model.checkpoint import load_checkpoint

    plan = ScoringPlan.of(load_checkpoint(trained.best), DetectConfig(csv=True))
    entries = choose_entries(store, plan)
    of_test = SelectionConfig(only=str(places.labels), split="test")
    entries = list(select_held(entries, of_test, lambda entry: entry.video)[0])
    results, summary = Results(places.results), RunSummary()
    with Progress(len(entries), doing="detect", quiet=quiet) as progress:
        written = detect_archive(entries, plan, store, results, report=progress, summary=summary)
    say(f"{summary}; {written} in the held-out videos")
    return summary


def _evaluate(places: Places) -> tuple[Evaluated, list[VideoAnnotation]]:
    """Evaluate the results against the ground truth of the test split; return figures and ground truth."""
    config = EvaluateConfig(TruthFile(places.annotations, "csv"))
    scored = {curve.video_id for curve in Results.open(places.results)}
    annotations = [annotation for annotation in config.truth.read() if annotation.name in scored]
    evaluated = evaluate_results(places.results, annotations, config)
    write_evaluation(evaluated, config)
    return evaluated, annotations


def _report(places: Places, truth: list[VideoAnnotation]) -> Path:
    """Write the review page with ground truth, and return its path."""
    config = ReportConfig(truth={annotation.name: annotation for annotation in truth})
    return write_report(Results.open(places.results), config, on_video=lambda video_id: None).page


def _tell(places: Places, trained: TrainResult, evaluated: Evaluated, page: Path) -> None:
    result = evaluated.result
    figures = {"frame AUC": result.auc, "AP": result.ap, "mAP": result.map and result.map["average"]}
    told = ", ".join(f"{name} {'undefined' if value is None else f'{value:.4f}'}" for name, value in figures.items())
    click.echo(f"{plural(result.n_videos, 'held-out video')}, {plural(result.n_frames, 'frame')}: {told}")
    click.echo(f"events: {places.results / EVENTS_NAME}, from a score of {trained.threshold:.4f}")
    click.echo(f"review page, to be opened in a browser: {page}")
    click.echo(f"curves: {places.results / 'curves'}/*.h5 and *.csv")
    click.echo(f"figures: {places.results / EVALUATION_NAME} and {places.results / FIGURE_NAME}")
    click.echo(f"training: {places.run / CHART_NAME}, weights: {trained.best}")
    click.echo(CAVEAT)
