"""`train`: trains a head, one training run for each seed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from vad_pipeline.extract.embed.encoder_config import WIDE_PRECISIONS
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import SHOWN_NAMES, plural, some
from vad_pipeline.model.heads.head_names import DEFAULT_HEAD, HEAD_NAMES

from ..progress import PLAIN_EVERY_SECONDS, counting, in_words
from ..train.options import DEFAULT_SEED, SEEDS, are_seeds
from ..train.trained_videos import TRAINED_ON
from .sections import SectionedCommand
from .shared_options import (
    Place,
    option,
    quiet_option,
    selection_options,
    store_option,
    truth_of,
    truth_options,
)

if TYPE_CHECKING:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.model.training import StepReport

    from ..train.fitting import TrainResult
    from ..train.options import TrainOptions
    from ..train.prepare import Prepared
    from ..train.setup import TrainSetup

PRESETS = ("ucf-crime", "xd-violence")
LOSSES = "mil, align, text_separation, event, background, consistency, gather"  # written here, as --help loads no torch
RATES = "7e-5 with ucf-crime, 1e-5 with xd-violence; VadCLIP's 2e-5 and 1e-5"
BATCHES = "64 with ucf-crime, 96 with xd-violence"
FALSE_ALARMS = "val_false_alarms_per_hour"


@click.command(cls=SectionedCommand)
@click.argument("labels", required=False, type=Place(), metavar="LABELS")
@store_option
@option(
    "--head",
    metavar=f"{'|'.join(HEAD_NAMES)}|FILE.py:NAME",
    help=f"Method (default: that of --init, else {DEFAULT_HEAD}), or your own.",
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="Architecture and hyper-parameters (default: that of --init, else ucf-crime).",
)
@option("--out", help="Folder of this training run, RUN.")
@click.option(
    "--resume", type=Place(), metavar="RUN", help="Go on with a training run, with the options it was begun with."
)
@option("--categories", help="File of your own categories (YAML or CSV), the normal one first.")
@click.option("--init", type=Place(), metavar="CHECKPOINT", help="Fine-tune this checkpoint, with its settings.")
@option("--pretrained", help="Weights of CLIP's text tower (default: those of the features).")
@option("--model", help="open_clip model of the text tower.")
@option("--recipe", help="Train on features of this recipe, where the store holds several.")
@option("--crops", help="Train on these crops (default: all in the store).")
@option("--crop", type=int, help="Crop that the checkpoint scores (default: the paper's).")
@click.option(
    "--select",
    type=click.Choice(("val", "test")),
    default="val",
    help="Choose the best weights on held-out videos, or on a test set.",
)
@click.option("--val-share", type=float, default=0.1, help="Share of each label's videos to hold out.")
@truth_options("With --select test: its ground truth.")
@click.option(
    "--false-alarms",
    "false_alarms_per_hour",
    type=float,
    default=1.0,
    help="False alarms an hour of held-out normal footage that the threshold may give.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Times through the training videos (default: 10).")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps to train, instead of --epochs.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help=f"Rows of a step, of each kind with ucf-crime (default: {BATCHES}).",
)
@click.option("--lr", type=float, help=f"Learning rate (default: {RATES}).")
@click.option("--window-len", type=click.IntRange(8, 4096), help="Snippets of a window (default: 256).")
@click.option("--loss", multiple=True, metavar="[FILE.py:]NAME=WEIGHT", help=f"Weigh one of {LOSSES}, or add your own.")
@option("--seeds", default=str(DEFAULT_SEED), help="Random seeds; each of several gets a training run of its own.")
@option(
    "--precision",
    type=click.Choice(("auto", *WIDE_PRECISIONS)),
    default="auto",
    help="Precision of the training step; auto: the one timed to be fastest here, of your own head fp32.",
)
@option("--device")
@click.option("--threads", type=click.IntRange(1, os.cpu_count()), help="CPU threads to use (default: all).")
@click.option(
    "--any-threads",
    is_flag=True,
    help="Resume even with another number of threads: not the same weights to the bit.",
)
@click.option(
    "--save-every",
    "save_every_seconds",
    type=float,
    default=300,
    help="Seconds between saved states, which is what a kill may cost.",
)
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events.")
@option("--allow-missing", help="Leave out labels that lack features.")
@selection_options
@quiet_option
@click.pass_context
def train(ctx: click.Context, **values) -> int:
    """Train on the features of the store with the labels of LABELS; RUN/best.safetensors goes into detect.

    By default a tenth of the videos is held out to choose the best weights and to calibrate the threshold.
    """
    import torch

    from ..train.options import TrainOptions
    from ..train.run_folder import TrainRun

    if not are_seeds(values["seeds"]):
        raise click.UsageError(f"--seeds must be {SEEDS}")
    recorded = None
    if run := values["resume"]:
        recorded = TrainRun(run).config()
        if values["out"] and values["out"].resolve() != run.resolve():
            raise click.UsageError("--resume RUN goes on in RUN: leave --out away")
        given = {name for name in values if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
        options = TrainOptions.resumed(recorded["options"], {name: values[name] for name in given})
        if recorded["options"].get("tensorboard") and not options.tensorboard:
            click.echo("note: without the package tensorboard, its events are not written any more", err=True)
    else:
        if values["labels"] is None:
            raise click.UsageError("give LABELS, the file that says which video shows what")
        if values["out"] is None:
            raise click.UsageError("give --out RUN, a new folder for this run")
        truth_of(dict(values))  # one option of ground truth without the other is a wrong usage
        options = TrainOptions(**values)
        TrainRun(options.out).check_free()
    if options.threads:
        torch.set_num_threads(options.threads)
    _check_threads(options, recorded, torch.get_num_threads())
    return _train(options, recorded)


def _train(options: TrainOptions, recorded: dict | None) -> int:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    from ..train.prepare import WHERE_MISSING, prepare

    say = (lambda line: None) if options.quiet else (lambda line: click.echo(line, err=True))
    with EmbeddingStore(options.store, catalogue=options.catalogue) as store:
        with counting("look at features", quiet=options.quiet) as on_video:
            prepared = prepare(options, store, on_video=on_video)
        _report_missing(prepared)
        if prepared.lacking and not options.allow_missing:
            click.echo(f"{len(prepared.lacking)} are missing: {WHERE_MISSING}", err=True)
            return 1
        unlabelled = prepared.missing.without_label
        left_out = f"left out: features of {plural(len(unlabelled), 'video')} without label: {some(unlabelled)}"
        for note in (*prepared.notes, *([left_out] if unlabelled else [])):
            say(f"note: {note}")
        if options.select == "test":
            click.echo(
                "WARNING: --select test picks the weights on the test set, as the published figures were made; they "
                "say how the method compares, not how well it will do; after each epoch the best so far go on",
                err=True,
            )
        setup = prepared.setup
        say(
            f"{plural(len(setup.train), 'video')} to train on ({sum(v.normal for v in setup.train)} normal), "
            f"{len(setup.held_out)} held out; recipe {setup.recipe.recipe_id}, crop {setup.crop} scored"
        )
        results = _seeds(setup, recorded, store, say)
    _conclude(options, results)
    return 0


def _seeds(setup: TrainSetup, recorded: dict | None, store: EmbeddingStore, say: Callable) -> list[TrainResult]:
    """Train once for each seed, each in a training run's folder of its own."""
    import torch

    from ..train.fitting import train_one
    from ..train.run_config import run_config
    from ..train.run_folder import TrainRun

    options, results = setup.options, []
    out, seeds = options.out, options.seeds
    as_given = {**options.to_json(), "threads_used": torch.get_num_threads()}
    if len(seeds) > 1 and recorded is None:
        TrainRun(out).begin({"options": as_given})
    for seed in seeds:
        setup = replace(setup, config=replace(setup.config, seed=seed))
        run = TrainRun(out / f"seed-{seed}" if len(seeds) > 1 else out)
        config = {"options": {**as_given, "seeds": [seed]}, **run_config(setup)}
        resuming = run.begun and recorded is not None
        if resuming:
            _refuse_changes(run.config(), config)
        else:
            run.check_free()
        if len(seeds) > 1:
            say(f"seed {seed}")
        try:
            with _progress(quiet=options.quiet) as report:
                new = None if resuming else config
                results.append(train_one(setup, store, run, config=new, report=report, say=say))
        except BaseException:
            if run.last.exists():
                click.echo(
                    f"the steps done are kept: {shlex.join(['vad-pipeline', 'train', '--resume', str(out)])} goes on",
                    err=True,
                )
            raise
    return results


def _conclude(options: TrainOptions, results: Sequence[TrainResult]) -> None:
    """Say what came of each seed, and what to run next."""
    from vad_pipeline.extract.files import write_bytes

    from ..train.chart import draw_chart
    from ..train.fitting import mean_and_spread
    from ..train.run_folder import SUMMARY_NAME

    out, quiet, budget = options.out, options.quiet, options.false_alarms_per_hour
    for result in results:
        parts = [f"step {result.best_step}", *(f"{name} {value:.4f}" for name, value in result.measures.items())]
        how = result.calibration or "the default"
        if result.measures.get(FALSE_ALARMS, 0) > budget:
            click.echo(
                f"note: no threshold keeps to {budget:g} false alarms an hour: held-out normal videos score 1", err=True
            )
        if not quiet:
            click.echo(f"{result.best}: {', '.join(parts)}, threshold {result.threshold:.4f} ({how})")
    if len(results) > 1:
        figures = mean_and_spread(results)
        stood = [result.calibration and result.calibration.to_json() for result in results]
        summary = {"runs": len(results), "measures": figures, "calibration": stood}
        draw_chart(out, {f"seed {seed}": result.rows for seed, result in zip(options.seeds, results, strict=True)})
        write_bytes(out / SUMMARY_NAME, json.dumps(summary, indent=2).encode())
        if not quiet:
            for name, figure in figures.items():
                click.echo(f"{name}: {figure['mean']:.4f} +- {figure['std']:.4f} over {plural(len(results), 'seed')}")
    if not quiet:
        words = ["vad-pipeline", "detect", "--store", options.store, "--checkpoint", results[0].best]
        words += [] if options.head in (None, *HEAD_NAMES) else ["--head", options.head]
        results_beside = out.with_name(f"{out.name}_results")  # a new folder: one checkpoint's curves each
        click.echo(f"next: {shlex.join(map(str, [*words, '--out', results_beside]))}")


def _check_threads(options: TrainOptions, recorded: dict | None, threads: int) -> None:
    before = recorded and recorded.get("threads", recorded["options"].get("threads_used"))
    if before and before != threads and not options.any_threads:
        exactly = f"--threads {before} gives the same weights as an uninterrupted run, "
        advice = f"{exactly if before <= os.cpu_count() else ''}--any-threads goes on all the same"
        begun = f"{options.resume}: was begun with {plural(before, 'thread')}, now there are {threads}"
        raise ConfigError(f"{begun}, which rounds otherwise: {advice}")


def _refuse_changes(before: dict, now: dict) -> None:
    """Check that nothing that goes into the weights has changed since the run was begun.

    Raises:
        ConfigError: something has changed; the message says what.
    """
    left_out = ("schema", "options", "versions", "threads", TRAINED_ON)  # of the last, the data have a fingerprint
    now, before = json.loads(json.dumps(now)), {"head": DEFAULT_HEAD, **before}
    differ = list(_differences({name: now[name] for name in now if name not in left_out}, before))
    if differ:
        details = "; ".join(f"{name}: {_short(value)} instead of {_short(was)}" for name, value, was in differ)
        raise ConfigError(f"what goes into the run has changed since it was begun: {details}; start a new one")
    for name, number in now["versions"].items():
        if before["versions"].get(name) != number:
            click.echo(f"note: {name} is {number}, was {before['versions'].get(name)}: bits may differ", err=True)


def _differences(now: dict, before: dict) -> Iterator[tuple[str, object, object]]:
    """What differs of what is there now, however deep it lies: name, value now, value before."""
    for name, value in now.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            yield from ((f"{name} {inner}", *values) for inner, *values in _differences(value, was))
        elif value != was:
            yield name, value, was


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _report_missing(prepared: Prepared) -> None:
    """Print which labels lack features and which videos cannot be trained on."""
    missing = prepared.missing
    if missing.without_features:
        names = missing.without_features
        click.echo(f"missing: {plural(len(names), 'label')} without features: {some(names)}", err=True)
    for line in missing.unusable[:SHOWN_NAMES]:
        click.echo(f"unusable: {line}", err=True)


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[StepReport, int, dict], None]]:
    """Yield what is to be called after each step: it shows a bar on a terminal, plain lines elsewhere."""
    from tqdm import tqdm

    bar, first, begun = None, None, time.monotonic()
    last_line = begun

    def report(step: StepReport, n_steps: int, measured: dict) -> None:
        nonlocal bar, first, begun, last_line
        if first is None:  # the time before it went into loading
            first, begun = step.step, time.monotonic()
        if quiet:
            return
        losses = " ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
        figures = " ".join(f"{name} {value:.4f}" for name, value in measured.items())
        line = f"epoch {step.epoch} step {step.step} of {n_steps}: {losses} {figures}{' (best)' * step.is_best}"
        if sys.stderr.isatty():
            bar = bar or tqdm(total=n_steps, initial=step.step - 1, desc="train", unit="step", file=sys.stderr)
            bar.set_postfix_str(f"loss {step.losses['total']:.3f} {figures}", refresh=False)
            bar.update()
        elif figures or time.monotonic() - last_line >= PLAIN_EVERY_SECONDS:
            last_line = time.monotonic()
            a_step = (last_line - begun) / max(step.step - first, 1)
            left = f", about {in_words(a_step * (n_steps - step.step))} left" if first < step.step < n_steps else ""
            click.echo(f"{line.rstrip()}{left}", err=True)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
