"""`demo`: render a small archive, extract it, score it, all by the real commands' own code."""

from __future__ import annotations

from pathlib import Path

import click

from vad_pipeline.extract.store import EmbeddingStore

from ..detection import DetectConfig, choose_entries, detect_archive, run_head
from ..extraction import ExtractConfig, Extractor, extract_archive
from ..progress import Progress
from ..results import Results
from ..run import RunSummary
from ..selection import SelectionConfig, find_sources
from .scenes import ArchiveConfig, render_archive

PRETRAINED = "random:0"
PRESET = "ucf-crime"


def run_demo(out: Path, *, n_videos: int, seed: int, quiet: bool) -> int:
    """Render, extract by recipe `quick` with seeded random weights, score with a seeded checkpoint.

    Args:
        out: gets videos/, labels.csv, annotations.csv, features/, checkpoint.safetensors and results/.
        n_videos: how many to render.
        seed: of the archive and the checkpoint.
        quiet: no progress.

    Returns:
        The exit code.
    """
    from vad_pipeline.model.checkpoint import load_checkpoint, seeded_checkpoint

    say = (lambda line: None) if quiet else click.echo
    config = ArchiveConfig(n_videos=n_videos, seed=seed)
    say(f"rendering {n_videos} videos of {config.seconds:g} s into {out / 'archive'}")
    rendered = render_archive(out / "archive", config)

    extractor = Extractor(ExtractConfig(like="quick", pretrained=PRETRAINED))
    say("embedding them with CLIP ViT-B/16, random weights (seeded), recipe quick")
    selection = find_sources([str(out / "archive" / "videos")], SelectionConfig())
    with EmbeddingStore(out / "features", create=True) as store:
        with Progress(len(selection.sources), doing="extract", quiet=quiet) as progress:
            extracted = extract_archive(selection, extractor, store, report=progress)
        say(str(extracted))

        checkpoint_path = out / "checkpoint.safetensors"
        seeded_checkpoint(checkpoint_path, preset=PRESET, recipe=extractor.recipe, crop=extractor.crops[0], seed=seed)
        checkpoint = load_checkpoint(checkpoint_path)
        detecting = DetectConfig(csv=True)
        entries = choose_entries(store, checkpoint, checkpoint.crop, detecting)
        wanted = {video.video_id for video in rendered}
        entries = [entry for entry in entries if entry.video in wanted]
        results = Results(out / "results")
        results.begin(run_head(checkpoint, extractor.recipe, detecting))
        summary = RunSummary()
        with Progress(len(entries), doing="detect", quiet=quiet) as progress:
            n_events = detect_archive(entries, checkpoint, store, results, detecting, report=progress, summary=summary)
    say(f"{summary}; {n_events} events")
    say(f"curves: {results.curves}/*.h5 and *.csv, events: {out / 'results' / 'events.jsonl'}")
    click.echo("The scores mean nothing: CLIP's weights and the checkpoint are random. The path is the real one.")
    return max(extracted.exit_code, summary.exit_code)
