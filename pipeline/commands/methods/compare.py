"""`compare`: methods side by side, each trained with several seeds, scored and evaluated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.names import plural, some

from ...progress import counting
from ...train.options import SEEDS, are_seeds
from ..detect import detect
from ..sections import SectionedCommand
from ..shared_options import Place, dry_run_option, option, quiet_option, truth_of, truth_options
from ..train import train

if TYPE_CHECKING:
    from vad_pipeline.eval.annotations import TruthFile

    from ...compare.compare_rows import CompareConfig
    from ...compare.row_file import RowFile, RowSpec, Written
    from ...compare.row_run import Row

FOR_ALL = ("labels", "store", "seeds", "annotations", "format", "normals", "ends", "first_frame", "protocol",
           "n_resamples", "columns", "allow_missing")  # fmt: skip
OF_TRUTH = {  # option of train -> field of TruthFile
    "annotations": "path",
    "format": "format",
    "normals": "normals",
    "ends": "ends",
    "first-frame": "first_frame",
}
NOT_OF_A_ROW = ("out", "resume", "quiet", "seeds", *OF_TRUTH)
DEFAULT_COLUMNS = "auc,auc-difference,ap,ap-difference,map,train-time,parameters,speed"


@click.command(cls=SectionedCommand)
@click.argument("rows", type=Place(), metavar="FILE.yaml")
@option("--labels", help="Which video shows what, as for `train`.")
@option("--store", help="Feature store of the videos to train and to test on.")
@truth_options("Ground truth of the videos to test on.")
@option("--out", required=True, help="Folder of the comparison; the same command goes on in it.")
@option("--seeds", default="0,1,2", help="Random seeds; each row is trained with each of them.")
@option("--protocol")
@option("--bootstrap")
@click.option("--columns", default=DEFAULT_COLUMNS, metavar="NAME,...", help="Columns of the tables.")
@option("--allow-missing", help="Go on where labels lack features, or annotated names a video.")
@dry_run_option
@quiet_option
@click.pass_context
def compare(ctx: click.Context, rows: Path, out: Path, dry_run: bool, quiet: bool, **values) -> int:
    """Train, score and evaluate each row of FILE.yaml with each seed; one table of means, spreads and differences.

    FILE.yaml has `rows:`, each with a name and options of `train` (`head`, `preset`, `lr`, ...; `grid` with lists of
    values makes a row of each choice). Other keys are options for all rows: those of `train`, or of this command. Paths
    in it count from its folder. The first row is what the others are compared with, paired over videos.

    \b
    labels: labels.csv
    rows:
    - {name: DSANet}
    - {name: without gather, loss: gather=0}
    """
    from ...compare.compare_rows import Commands, Telling, alone_in, check, check_folder, compare, states
    from ...compare.row_file import read_row_file

    config = _config(ctx, read_row_file(rows), out, values)
    check_folder(out)
    with counting("check", quiet=quiet, total=len(config.rows), unit="row") as on_row:
        checked = check(config, on_row=on_row)
    if dry_run:
        for run, state in states(config, checked):
            click.echo(f"{run}: {state}")
    for note in checked.notes():
        click.echo(f"note: {note}", err=True)
    for name, why in checked.problems.items():
        click.echo(f"{rows}, row {name}: {why}", err=True)
    if dry_run or checked.problems:
        return 2 if checked.problems else 0
    say = (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
    telling = Telling(say, lambda line: click.echo(f"failed: {line}", err=True))
    shown = ["--quiet"] if quiet else []
    commands = Commands(lambda words: _invoke(train, [*words, *shown]), lambda words: _invoke(detect, words))
    with alone_in(out):
        found = compare(config, checked, commands, telling)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if checked.missing:
        what = plural(len(checked.missing), "annotated name matches no video", "annotated names match no video")
        click.echo(f"missing: {what}: {some(checked.missing)}", err=True)
    click.echo((out / "table.md").read_text() + f"tables and figure: {out / 'table'}.md, .tex, .csv, .png")
    return int(bool(found.failed or (checked.missing and not values["allow_missing"])))


def _config(ctx: click.Context, file: RowFile, out: Path, values: dict) -> CompareConfig:
    """Bring the file's options and those of the command line together; the latter count where both say something.

    Raises:
        ConfigError: something is missing or cannot be used; the message names the row.
    """
    from vad_pipeline.eval.comparison_tables import COLUMNS

    from ...compare.compare_rows import CompareConfig
    from ...results.figures import EvaluateConfig

    for_training = dict(file.common)
    for each in (each for each in ctx.command.params if each.name in FOR_ALL):
        written = for_training.pop(each.opts[0].removeprefix("--"), None)
        if written is not None and ctx.get_parameter_source(each.name) is ParameterSource.DEFAULT:
            values[each.name] = _typed(ctx, each, file, written)
    truth = truth_of(values)
    lacking = [name for name in ("labels", "store") if values[name] is None]
    if truth is None or lacking:
        raise ConfigError(f"{file.path}: give {', '.join(lacking) or 'annotations and format'}, in it or as options")
    seeds, columns = values["seeds"], tuple(name.strip() for name in values["columns"].split(","))
    if not are_seeds(seeds):
        raise ConfigError(f"{file.path}: seeds must be {SEEDS}, got {shown(seeds)}")
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise ConfigError(f"--columns: no column is named {unknown[0]!r}; there are {', '.join(COLUMNS)}")
    rows = tuple(_row(file, spec, for_training, values, truth, out) for spec in file.rows)
    evaluate = EvaluateConfig(truth, values["protocol"], n_resamples=values["n_resamples"])
    return CompareConfig(out, rows, seeds, evaluate, columns, file.path.read_bytes())


def _typed(ctx: click.Context, parameter: click.Option, file: RowFile, written: Written) -> object:
    """The value of an option of this command that stands in the file."""
    flag = parameter.opts[0]
    if parameter.is_flag:
        return file.is_true(flag, written)
    text = written if isinstance(written, str) else ",".join(written)
    with _naming(f"{file.path}: {flag}"):
        return parameter.type.convert(file.located(parameter, text), parameter, ctx)


def _row(
    file: RowFile, spec: RowSpec, for_training: dict[str, Written], values: dict, truth: TruthFile, out: Path
) -> Row:
    """Make a row's command line of `train`, and the options that it means.

    Args:
        file: where the row stands.
        spec: the row.
        for_training: options of train for all rows.
        values: labels, store and what is missing, for rows that do not say them.
        truth: the annotations, by which a row with `select: test` picks its weights.
        out: folder of the comparison.
    """
    from ...compare.row_run import Row
    from ...train.options import TrainOptions

    where = f", row {spec.name}"
    own = {**for_training, **spec.values}
    refused = next((name for name in NOT_OF_A_ROW if name in own), None)
    if refused:
        raise ConfigError(f"{file.path}{where}: {refused} is not for a row to say")
    labels = file.path.parent / own.pop("labels") if "labels" in own else values["labels"]
    store = file.path.parent / own.pop("store") if "store" in own else values["store"]
    words = [str(labels), f"--store={store}", *file.words(own, train, where=where)]
    if own.get("select") == "test":
        words += [f"--{name}={value}" for name in OF_TRUTH if (value := getattr(truth, OF_TRUTH[name]))]
    words += ["--allow-missing"] if values["allow_missing"] and "--allow-missing" not in words else []
    with _naming(f"{file.path}{where}"):
        options = TrainOptions(**train.make_context("train", list(words), parent=click.get_current_context()).params)
    return Row.of(spec.name, words, options, out)


@contextlib.contextmanager
def _naming(where: str) -> Iterator[None]:
    """Say where the options stand that something in a `with` block refuses."""
    try:
        yield
    except click.UsageError as error:
        raise ConfigError(f"{where}: {error.format_message()}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _invoke(command: click.Command, words: list[str]) -> int:
    """Run another command in this process; what it says to do next is not printed, as that is done here.

    Raises:
        ConfigError: it refuses its command line, or what that names.
    """
    try:
        context = command.make_context(command.name, list(words), parent=click.get_current_context())
        with contextlib.redirect_stdout(io.StringIO()), context:
            return command.invoke(context) or 0
    except click.UsageError as error:
        raise ConfigError(error.format_message()) from error
