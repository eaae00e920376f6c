"""`store`: the subcommands ls, verify, import, export, compact, rm and forget."""

from __future__ import annotations

import itertools
import json
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from vad_pipeline.extract.names import SHOWN_NAMES, plural
from vad_pipeline.extract.recipe import IMPORTED_WEIGHTS, NAMED_RECIPES
from vad_pipeline.extract.store.arrays import AXES
from vad_pipeline.extract.store.entry import Entry

from ...progress import counting
from ..sections import SectionedCommand, SuggestingGroup
from ..shared_options import (
    Place,
    dry_run_option,
    option,
    quiet_option,
    selection_config,
    selection_options,
    store_option,
)

SHOWN_PROBLEMS = 20


@click.group(cls=SuggestingGroup)
def store() -> None:
    """The feature store: a folder of HDF5 shards, one group a video and recipe."""


@store.command("ls", short_help="List the videos in the store.", cls=SectionedCommand)
@store_option
@selection_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List only the first N.")
@click.option("--recipes", is_flag=True, help="List the recipes in the store, not the videos.")
@option("--json", help="One JSON object a line.")
def ls(store: Path, catalogue: Path | None, limit: int | None, recipes: bool, as_json: bool, **values) -> int:
    """List videos with their recipe, crops, frames and snippets."""
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    from ...archive.selection import select_held

    with EmbeddingStore(store, catalogue=catalogue) as opened:
        entries, missing = select_held(opened.each(), selection_config(values), lambda entry: entry.video)
        (_list_recipes if recipes else _list_videos)(entries, limit, as_json)
        for name in missing:
            click.echo(f"missing: {name}", err=True)
        for problem in opened.problems:
            click.echo(f"warning: {problem}", err=True)
        return int(bool(missing))


@store.command("verify", short_help="Read everything, compare checksums.", cls=SectionedCommand)
@store_option
@click.option("--repair", is_flag=True, help="Move what is damaged aside; its whole videos are kept.")
@click.option("--restore", is_flag=True, help="Bring back what --repair moved aside, as far as it can be read.")
@quiet_option
def verify(store: Path, catalogue: Path | None, repair: bool, restore: bool, quiet: bool) -> int:
    """Read every data set of every shard and compare checksums, names and attributes.

    With --repair, shards with damage in them go to STORE/damaged, and what is whole in them to a new shard; the next
    `extract` makes the rest again. --restore undoes it.
    """
    from vad_pipeline.extract.store import upkeep
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    if repair and restore:
        raise click.UsageError("--repair moves aside, --restore brings back: give one of them")
    with EmbeddingStore(store, catalogue=catalogue) as opened:
        n_shards = None if restore else len(opened.catalogue.shards())
        with counting("verify", quiet=quiet, total=n_shards, unit="shard") as on_shards:
            if restore:
                n_back, problems = upkeep.restore(opened, on_shards=on_shards)
            else:
                problems = list((upkeep.repair if repair else upkeep.verify)(opened, on_shards=on_shards))
        for shard, problem in problems[:SHOWN_PROBLEMS]:
            click.echo(f"{shard}: {problem}", err=True)
        n_videos = len(opened.entries())
    n_shards, aside = len({shard for shard, _ in problems}), store / upkeep.DAMAGED_FOLDER
    if restore:
        click.echo(
            f"{plural(n_back, 'video')} brought back, {n_videos} held; "
            f"{plural(n_shards, 'damaged shard stays', 'damaged shards stay')} in {aside}"
        )
    elif problems and repair:
        click.echo(
            f"{plural(len(problems), 'problem')}; {plural(n_shards, 'shard')} moved to {aside}, "
            f"{plural(n_videos, 'video')} left; extract again what is missing"
        )
    elif problems:
        words = ["vad-pipeline", "store", "verify", "--repair", "--store", str(store)]
        click.echo(f"{plural(len(problems), 'problem')}; `{shlex.join(words)}` moves them aside, then extract again")
    elif not quiet:
        click.echo(f"{plural(n_videos, 'video')} verified")
    return int(bool(problems) and not repair)


@store.command("import", short_help="Take in published features.", cls=SectionedCommand)
@click.argument("list_csv", metavar="LIST.csv", type=Place())
@store_option
@option("--root", type=Place(), help="Folder below which the listed files are (default: LIST's folder).")
@option("--like")
@click.option("--encoder", metavar="NAME", help="What made the features: an open_clip model, or any name of yours.")
@option("--pretrained", help="Weights of that model (default: openai).")
@click.option("--axes", type=click.Choice(AXES), help="The first two axes of arrays with crops (default: by length).")
@option("--fps", help="Frame rate to assume for the videos.")
@click.option("--keep-folder", is_flag=True, help="Keep one folder level in the ids.")
@option("--force", help="Replace features that the store holds.")
@quiet_option
def import_(list_csv: Path, store: Path, catalogue: Path | None, like: str, quiet: bool, **values) -> int:
    """Import a `path,label` list of .npy files with D numbers a snippet, of any D.

    An array is (snippets, D), and `__k` before .npy is its crop; or it has all crops of a video, as (crops, snippets,
    D) or (snippets, crops, D).
    """
    from vad_pipeline.extract.embed.model_config import imported_recipe
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.exchange import ImportConfig, import_list
    from vad_pipeline.extract.store.upkeep import merge

    believed = imported_recipe(NAMED_RECIPES[like].recipe, values.pop("encoder"), values.pop("pretrained"))
    _refuse_nothing(list_csv, values["root"])  # before there is a store
    opening = EmbeddingStore(store, create=True, catalogue=catalogue)
    with opening as opened, counting("import", quiet=quiet) as on_video:
        report = import_list(list_csv, opened, ImportConfig(believed, **values), on_video=on_video)
        merge(opened)
    for line in report.refused:
        click.echo(f"refused {line}", err=True)
    for name in report.missing[:SHOWN_NAMES]:
        click.echo(f"missing {name}", err=True)
    if len(report.missing) > SHOWN_NAMES:
        click.echo(f"missing: {len(report.missing) - SHOWN_NAMES} more", err=True)
    if report.missing and not values["root"]:
        click.echo("note: --root DIR says where the files lie now, whatever folders the list names", err=True)
    if believed.weights == IMPORTED_WEIGHTS:
        click.echo(
            f"note: {believed.model} is no model of open_clip's: nothing can read text for its features", err=True
        )
    if not quiet:
        click.echo(
            f"{plural(len(report.imported), 'video')} imported, {len(report.cached)} held already, "
            f"{plural(len(report.missing), 'file')} missing, {len(report.refused)} refused; "
            f"recipe {report.recipe.recipe_id}, seconds assume {float(values['fps']):g} fps"
        )
    return int(bool(report.missing or report.refused))


def _refuse_nothing(list_csv: Path, root: Path | None) -> None:
    """Check that a list can be read and names a file that is there.

    Raises:
        ConfigError: it cannot, or names none; or the folder to look in is none.
    """
    from vad_pipeline.extract.errors import ConfigError, shown
    from vad_pipeline.extract.store.exchange import find_file, read_list

    if root and not root.is_dir():
        raise ConfigError(f"--root {root}: no such folder; it is where the listed files lie now")
    names = [name for name, _ in read_list(list_csv)]
    if not any(find_file(name, root or list_csv.parent) for name in names):
        first, more = ", ".join(map(shown, names[:SHOWN_NAMES])), len(names) - SHOWN_NAMES
        files = plural(len(names), "listed file is", "listed files are")
        raise ConfigError(
            f"{list_csv}: {files} neither where it says nor below {root or list_csv.parent.absolute()}: {first}"
            f"{f' and {more} more' if more > 0 else ''}; --root DIR says where they lie now"
        )


@store.command("export", short_help="Write the published layout.", cls=SectionedCommand)
@click.argument("out", metavar="DIR", type=Place())
@store_option
@option("--recipe", help="Export features of this recipe; needed where the store holds several.")
@selection_options
@quiet_option
def export(out: Path, store: Path, catalogue: Path | None, recipe_id: str | None, quiet: bool, **values) -> int:
    """Write LABEL/ID__CROP.npy files and list.csv, as the published features are laid out."""
    from vad_pipeline.extract.errors import ConfigError
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.exchange import export as export_features
    from vad_pipeline.extract.store.one_recipe import of_one_recipe

    from ...archive.selection import select_held

    with EmbeddingStore(store, catalogue=catalogue) as opened:
        entries, missing = select_held(opened.entries(), selection_config(values), lambda entry: entry.video)
        entries = list(entries)
        if not entries:
            raise ConfigError(f"{store}: no video is left to export")
        recipe, entries = of_one_recipe(entries, recipe_id, store=store)
        with counting("export", quiet=quiet, total=len(entries)) as on_video:
            listed, refused = export_features(opened, entries, out, on_video=on_video)
    for name in missing:
        click.echo(f"missing: {name}", err=True)
    for line in refused:
        click.echo(f"refused {line}", err=True)
    if not quiet:
        click.echo(
            f"{plural(len(entries) - len(refused), 'video')} of recipe {recipe.recipe_id} written; list in {listed}"
        )
    return int(bool(missing or refused))


@store.command("compact", short_help="Join shards, drop what is superseded.", cls=SectionedCommand)
@store_option
@quiet_option
def compact(store: Path, catalogue: Path | None, quiet: bool) -> int:
    """Join small shards into larger ones and drop superseded features."""
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.upkeep import merge

    with EmbeddingStore(store, catalogue=catalogue) as opened:
        with counting("compact", quiet=quiet, unit="shard") as on_shards:
            merged = merge(opened, everything=True, on_shards=on_shards)
        if merged is None:
            click.echo("another run is joining shards; run the same command again later", err=True)
            return 3
        n_shards = len(opened.catalogue.shards())
    if not quiet:
        click.echo(f"{plural(merged, 'shard')} joined; {n_shards} left")
    return 0


@store.command("rm", short_help="Remove videos.", cls=SectionedCommand)
@store_option
@option("--recipe", help="Only features of this recipe.")
@click.option("--all", "everything", is_flag=True, help="Remove all videos; needed where nothing else chooses some.")
@selection_options
@dry_run_option
def rm(store: Path, catalogue: Path | None, recipe_id: str | None, everything: bool, dry_run: bool, **values) -> int:
    """Remove the features of videos chosen by --match, --list, --only, --part or --recipe; footage is not touched."""
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.upkeep import remove

    from ...archive.selection import SelectionConfig, select_held

    selecting = selection_config(values)
    if selecting == SelectionConfig() and recipe_id is None and not everything:
        raise click.UsageError("say which videos: --match, --list, --only, --part, --recipe, or --all")
    with EmbeddingStore(store, catalogue=catalogue) as opened:
        entries, missing = select_held(opened.entries(), selecting, lambda entry: entry.video)
        entries = [entry for entry in entries if entry.recipe_id.startswith(recipe_id or "")]
        for entry in entries if dry_run else ():
            click.echo(f"{entry.video}\t{entry.recipe_id}")
        if not dry_run:
            remove(opened, entries)
    for name in missing:
        click.echo(f"missing: {name}", err=True)
    click.echo(f"{plural(len(entries), 'video')} {'would be removed' if dry_run else 'removed'}")
    return int(bool(missing))


@store.command("forget", short_help="Forget that videos failed.", cls=SectionedCommand)
@click.argument("videos", nargs=-1, required=True, metavar="ID...")
@store_option
def forget(videos: tuple[str, ...], store: Path, catalogue: Path | None) -> int:
    """Forget that videos failed: `status` lists them no more, and `extract` tries those again that are still there."""
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    from ...outcomes.forget import forget as forget_failures

    with EmbeddingStore(store, catalogue=catalogue) as opened:
        forgotten, unknown = forget_failures(opened.outcomes, videos)
    for name in unknown:
        click.echo(f"missing: {name}: no such video fails; `vad-pipeline status {store} --failed` lists them", err=True)
    click.echo(f"{plural(len(forgotten), 'failure')} forgotten")
    return int(bool(unknown))


def _list_recipes(entries: Iterable[Entry], limit: int | None, as_json: bool) -> None:
    held = list(entries)
    recipes, counts = {entry.recipe_id: entry.recipe for entry in held}, Counter(entry.recipe_id for entry in held)
    for recipe_id in sorted(recipes)[:limit]:
        row = {"recipe_id": recipe_id, "videos": counts[recipe_id], "recipe": json.loads(recipes[recipe_id])}
        click.echo(
            json.dumps(row) if as_json else f"{recipe_id}\t{plural(counts[recipe_id], 'video')}\t{recipes[recipe_id]}"
        )


def _list_videos(entries: Iterable[Entry], limit: int | None, as_json: bool) -> None:
    """Print a line for each video; not by click.echo, which writes each by itself: there may be a million."""
    for entry in itertools.islice(entries, limit):
        if as_json:
            row = {**asdict(entry), "crops": entry.crop_numbers, "recipe": json.loads(entry.recipe)}
            print(json.dumps(row))
        else:
            crops = ",".join(map(str, entry.crop_numbers))
            print(
                f"{entry.video}\t{entry.recipe_id}\tcrops {crops}\t{plural(entry.n_frames, 'frame')}\t"
                f"{plural(entry.n_snippets, 'snippet')}\t{entry.label}".rstrip()
            )
