"""`adapt`: a results folder's checkpoint learns from what reviewers said, and is judged before it is written."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...progress import counting
from ..sections import SectionedCommand
from ..shared_options import Place, option, quiet_option, store_option

if TYPE_CHECKING:
    from ...adapt.adapting import Verdicts
    from ...adapt.ground_of import AdaptOptions, Prepared


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@store_option
@option("--out", required=True, metavar="FILE", help="The adapted checkpoint, .safetensors.")
@option("--verdicts", help="Learn from these exports of the page (default: from what RESULTS holds).")
@option("--labels", help="Labels of whole videos that the checkpoint was trained on, to be mixed in.")
@option("--checkpoint", help="Where the checkpoint of RESULTS lies now (default: where run.json says).")
@option("--head", metavar="FILE.py:NAME", help="Of a checkpoint of your own head: its code.")
@click.option("--anyway", is_flag=True, help="Write the checkpoint even where it is no better, or marks are few.")
@option("--seed", type=click.IntRange(min=0), help="Of the order in which marks are learned.")
@quiet_option
def adapt(store: Path, catalogue: Path | None, quiet: bool, **values) -> int:
    """Fine-tune the checkpoint of RESULTS on what reviewers marked, and say before what that is worth.

    Cross-validated over videos: false alarms an hour at the same recall, recall at the same false alarms, average
    precision, before and after. The threshold is set anew: the reviewed real events are found as before. Where it is
    not better nothing is written, and the exit code is 1.
    """
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    from ...adapt.ground_of import AdaptOptions, prepare

    options = AdaptOptions(**values)
    say = (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
    with EmbeddingStore(store, catalogue=catalogue) as opened:
        prepared = prepare(options, opened)
        for note in prepared.notes:
            say(f"note: {note}")
        return _adapt(options, prepared, store=store, quiet=quiet)


def _adapt(options: AdaptOptions, prepared: Prepared, *, store: Path, quiet: bool) -> int:
    """Judge, then fit on all marks and write; returns the exit code."""
    from ...adapt.adapting import cross_validate, fit, save
    from ...adapt.outcome import answer_of, lines_of, too_few

    ground, given = prepared.ground, prepared.given
    few, found = too_few(given), None
    with counting("fine-tune", quiet=quiet, unit="step") as on_step:
        if not few:
            found = cross_validate(ground, lambda: on_step(1))
    if few and not options.anyway:
        click.echo(f"{few}; nothing is written", err=True)
        return 1
    if found:
        click.echo("\n".join(lines_of(found, given)))
        answer = answer_of(found, given)
        if not answer.yes and not options.anyway:
            click.echo(f"{answer.why}; nothing is written", err=True)
            return 1
        click.echo(f"{answer.why}{'' if answer.yes else ' (written anyway)'}")
    with counting("fine-tune on all marks", quiet=quiet, unit="step") as on_step:
        checkpoint = fit(ground, ground.videos, ground.labelled, lambda: on_step(1))
    threshold = found.judgement.threshold if found else max(video.threshold for video in ground.videos)
    save(checkpoint, options.out, base=prepared.base, threshold=threshold, made_of=_made_of(options, prepared, found))
    _conclude(options, store, threshold, found)
    return 0


def _made_of(options: AdaptOptions, prepared: Prepared, found: Verdicts | None) -> dict:
    from dataclasses import asdict

    from ...adapt.outcome import to_json

    return {
        "adapted_from": prepared.base_sha256,
        "marks": prepared.given.counts,
        "videos": [marks.video for marks in prepared.given.videos],
        "labelled": len(prepared.ground.labelled),
        "recipe": asdict(prepared.ground.recipe),
        "seed": options.seed,
        "judged": found and to_json(found),
    }


def _conclude(options: AdaptOptions, store: Path, threshold: float, found: Verdicts | None) -> None:
    how = f"for the recall {found.judgement.recall_before:.2f} that the old one has" if found else "the old one"
    click.echo(f"{options.out}: threshold {threshold:.4f}, {how}")
    head = ["--head", options.head] if options.head else []
    beside = options.out.with_name(f"{options.out.stem}_results")
    words = ["vad-pipeline", "detect", "--store", store, "--checkpoint", options.out, *head, "--out", beside]
    click.echo(f"next: {shlex.join(map(str, words))}")
