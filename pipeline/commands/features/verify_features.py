"""`verify-features`: finds out why released features differ from one's own, and how to make the same ones."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.embed.encoder_config import PRECISIONS
from vad_pipeline.extract.errors import ConfigError, RunStopped, VadError, readable
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import Source
from vad_pipeline.extract.lists import FEATURE_SUFFIXES
from vad_pipeline.extract.names import NameIndex, plural
from vad_pipeline.extract.store.exchange import find_file, read_list, split_name
from vad_pipeline.extract.verify.verdict import story, verdict_line

from ...archive.selection import SelectionConfig, find_sources
from ...progress import counting
from ..sections import SectionedCommand
from ..shared_options import option, quiet_option, recipe_options

if TYPE_CHECKING:
    from vad_pipeline.extract.verify.identify import Identification
    from vad_pipeline.extract.verify.settings import Setting

Pair = tuple[Source, Path, int | None]  # a video, its released features, the crop that their file name states


@click.command("verify-features", cls=SectionedCommand)
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO... RELEASED.npy|LIST.csv")
@option("--root", metavar="DIR", help="Folder below which LIST's files are (default: LIST's folder).")
@recipe_options
@option("--model", help="open_clip model (default: the recipe's).")
@option("--pretrained", default="openai", help="open_clip tag, weights file, or random:SEED.")
@option("--decoder", help="auto: PyAV.")
@option("--device")
@option(
    "--precision",
    type=click.Choice(("auto", *PRECISIONS)),
    default="auto",
    help="Precision to try besides fp32; auto: that of `extract`.",
)
@option("--json", help="One JSON object a file.")
@quiet_option
def verify_features(videos: tuple[str, ...], root: str | None, as_json: bool, quiet: bool, **values) -> int:
    """Compare videos with features that somebody released: RELEASED.npy of one video, floats (snippets, D), or a
    LIST.csv of many such files, `path,label` as they are published.

    The recipe options say what you believe; it is tried first. Then frames, offset, frame rate, geometry, crop, resize,
    channels, activation and normalisation are varied until the released values come out. Exit code 1 if they never do.
    """
    from vad_pipeline.extract.verify.identify import VERDICTS

    sources, released, failed = _arguments(videos)
    pairs, unpaired = _pairs(sources, released, Path(root) if root else None)
    failed += unpaired
    believed = _Believed(values)
    for warning in believed.warnings:
        click.echo(f"note: {warning}", err=True)
    verdicts = []
    with counting("embedded", quiet=quiet, unit="picture") as on_images:
        for source, path, crop in pairs:
            try:
                found = believed.identify(source, path, crop, on_images)
            except RunStopped:
                raise  # the fault is the device's or the disk's: the next video would fail too
            except VadError as error:
                failed.append(str(error))
                continue
            verdicts.append(found.verdict)
            click.echo(_as_json(source, found) if as_json else story(source.video_id, found, believed.extractor))
    for line in failed:
        click.echo(f"failed: {line}", err=True)
    if len(pairs) > 1 and not as_json:
        click.echo(verdict_line(verdicts))
    return int(bool(failed) or VERDICTS[-1] in verdicts)


class _Believed:
    """Finds out how features were made, trying first what the options say and what fitted earlier videos."""

    def __init__(self, values: dict):
        self._precision = values.pop("precision")
        crops = values["crops"]
        if crops is not None and len(crops) > 1:
            raise ConfigError(f"--crops {','.join(map(str, crops))}: a features file is of one crop; give that")
        self._crop = crops[0] if crops else None
        self.extractor = Extractor(ExtractConfig(**values, precision="fp32", runtime="torch"))
        self.warnings = self.extractor.warnings
        self._likely: list[Setting] = []

    def identify(self, source: Source, path: Path, crop: int | None, on_images) -> Identification:
        """Find out how the features in a file were made from a video.

        Raises:
            VadError: the video or the file cannot be used.
        """
        from vad_pipeline.extract.device import stopping_where_the_device_fails
        from vad_pipeline.extract.embed.ways import way_of
        from vad_pipeline.extract.verify.identify import identify
        from vad_pipeline.extract.verify.released import Released
        from vad_pipeline.extract.verify.settings import Setting

        released = Released.read(path, self.extractor.recipe.width)
        encoder = self.extractor.encoder
        said = self._crop if self._crop is not None else crop
        usual = replace(encoder.config, precision=self._precision, runtime="auto")  # what `extract` would take
        yours = Setting.of_recipe(
            self.extractor.recipe,
            self.extractor.crops[0] if said is None else said,
            activation=encoder.activation,
            precision=way_of(usual, encoder.device).precision,
        )
        likely = [each if said is None else each.with_pixels(crop=said) for each in self._likely]
        open_reader = partial(self.extractor.open_reader, source.path)
        with stopping_where_the_device_fails():
            found = identify(open_reader, released, yours, encoder, likely=likely, on_images=on_images)
        self._likely = [found.best[0].setting]
        return found


def _arguments(arguments: tuple[str, ...]) -> tuple[list[Source], Path, list[str]]:
    """Read the command's arguments.

    Returns:
        The videos, the path of the features or list, and a sentence for each video that cannot be used.

    Raises:
        ConfigError: no video is given that can be used, or the last argument is no file.
    """
    *videos, last = arguments
    released = Path(last)
    if not videos:
        raise click.UsageError("give VIDEO and RELEASED.npy, or videos and LIST.csv")
    if not released.is_file():
        raise ConfigError(f"{readable(last)}: no such file; the last argument is RELEASED.npy or LIST.csv")
    selection = find_sources(videos, SelectionConfig())
    if not selection.sources:
        raise ConfigError("; ".join(str(error) for _, error in selection.failures))
    return selection.sources, released, [str(error) for _, error in selection.failures]


def _pairs(sources: list[Source], released: Path, root: Path | None) -> tuple[list[Pair], list[str]]:
    """Match released features to videos.

    Returns:
        The pairs, and a sentence for each listed file that is missing and each video that is in no list.

    Raises:
        ConfigError: one features file is given for several videos, or the list names none of the videos.
    """
    if released.suffix in FEATURE_SUFFIXES:
        if len(sources) > 1:
            raise ConfigError(
                f"{released}: features of one video, but {plural(len(sources), 'video')} are given; give a LIST.csv"
            )
        _, crop = split_name(released.name, keep_folder=False)
        return [(sources[0], released, crop if "__" in released.stem else None)], []
    by_id = {source.video_id: source for source in sources}
    index, pairs, failed = NameIndex(by_id), [], []
    for name, _ in read_list(released):
        stem, crop = split_name(name, keep_folder=False)
        video_id = index.find(split_name(name, keep_folder=True)[0]) or index.find(stem)
        if video_id is None:
            continue
        path = find_file(name, root or released.parent)
        if path is None:
            failed.append(f"{readable(name)}: listed, but not there; give the folder it lies below with --root")
        else:
            pairs.append((by_id[video_id], path, crop))
    listed = {source.video_id for source, _, _ in pairs}
    if not pairs and not failed:
        raise ConfigError(
            f"{released}: lists none of the {plural(len(sources), 'video')} given; names must be those of the files"
        )
    failed += [f"{video_id}: not in {released}" for video_id in by_id if video_id not in listed]
    return pairs, failed


def _as_json(source: Source, found: Identification) -> str:
    rows = [
        {"setting": each.setting.steps(), "error": each.error, "mean_cosine": float(each.cosines.mean()),
         "worst_cosine": float(each.cosines.min())}
        for each in found.best
    ]  # fmt: skip
    differing = found.differing if found.fits else {}
    return json.dumps(
        {
            "video": source.video_id,
            "released": readable(found.released),
            "verdict": found.verdict,
            "differs": {name: {"yours": mine, "released": theirs} for name, (mine, theirs) in differing.items()},
            "unsettled": found.unsettled if found.fits else {},
            "best": rows if found.fits else [],
        }
    )
