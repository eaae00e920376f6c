"""Options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Callable

import click

from vad_pipeline.eval.annotations import ENDS, FORMATS, TruthFile
from vad_pipeline.eval.bootstrap import N_RESAMPLES
from vad_pipeline.eval.truth import PROTOCOLS
from vad_pipeline.extract.embed.encoder_config import INT8, PRECISIONS, RUNTIMES
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import DECODERS, DEFAULT_STILL_BOUND, GEOMETRIES, NAMED_RECIPES, TAILS
from vad_pipeline.model.curve import MERGE_GAP_SECONDS

from ..archive.ignore_file import Ignored, read_ignored
from ..archive.selection import STREAMS, SelectionConfig
from ..option_values import IntList, Place, Rate
from ..results.clock import Clock
from ..results.event_rule import Chosen
from ..workers.base import BACKENDS, ExecutorConfig
from .telling_options import metrics_option

RUNTIME_VARIABLE = "VAD_PIPELINE_RUNTIME"  # environment variable that sets --runtime for a whole machine
DEFAULT_STORE = "features"
EXECUTOR_NAMES = ("workers", "backend", "address", "video_timeout")
SELECTION_NAMES = ("list_file", "match", "exclude", "only", "split", "part")
MARKED = ("hide", "show")  # false alarms
PRETRAINED_HELP = "open_clip tag, weights file, or random:SEED."

FLAGS = {  # options that several commands have: their names, and the click settings that are the same everywhere
    "--allow-missing": (("--allow-missing",), {"is_flag": True}),
    "--annotations": (("--annotations",), {"type": Place(), "metavar": "FILE"}),
    "--any-suffix": (
        ("--any-suffix",),
        {"is_flag": True, "help": "In folders, try large files of unknown kinds too."},
    ),
    "--bootstrap": (
        ("--bootstrap", "n_resamples"),
        {
            "type": click.IntRange(min=0),
            "default": N_RESAMPLES,
            "metavar": "N",
            "help": "How often to resample the videos for 95% intervals; 0: no intervals.",
        },
    ),
    "--catalogue": (("--catalogue",), {"type": Place(), "help": "File for the store's index (default: in the store)."}),
    "--categories": (("--categories",), {"type": Place(), "metavar": "FILE"}),
    "--checkpoint": (("--checkpoint",), {"type": Place()}),
    "--crop": (("--crop",), {}),
    "--crops": (("--crops",), {"type": IntList(), "metavar": "0,5"}),
    "--csv": (("--csv",), {}),
    "--decoder": (("--decoder",), {"type": click.Choice(DECODERS), "default": "auto"}),
    "--delay": (("--delay",), {}),
    "--device": (
        ("--device",),
        {"default": "auto", "metavar": "auto|cpu|cuda[:N]", "help": "auto: a GPU where there is one, else the CPU."},
    ),
    "--ends": (("--ends",), {"type": click.Choice(ENDS), "default": ENDS[0]}),
    "--first-frame": (("--first-frame",), {"type": click.IntRange(0, 1), "default": 0}),
    "--force": (("--force",), {"is_flag": True}),
    "--format": (("--format",), {"type": click.Choice(FORMATS), "help": "Format of the --annotations."}),
    "--fps": (("--fps",), {"type": Rate(), "default": "30"}),
    "--head": (("--head",), {}),
    "--html": (("--html",), {"type": Place(), "metavar": "FILE"}),
    "--ignore": (
        ("--ignore",),
        {
            "type": Place(),
            "metavar": "FILE",
            "callback": lambda ctx, parameter, path: path and read_ignored(path),
        },
    ),
    "--id-root": (
        ("--id-root",),
        {"metavar": "DIR", "help": "Folder below which a path becomes an id (default: each SRC)."},
    ),
    "--json": (("--json", "as_json"), {"is_flag": True}),
    "--labels": (("--labels",), {"type": Place(), "metavar": "LABELS"}),
    "--like": (
        ("--like",),
        {"type": click.Choice(tuple(NAMED_RECIPES)), "default": "vadclip", "help": "Recipe: how features are made."},
    ),
    "--marked": (
        ("--marked", "hide_false"),
        {
            "type": click.Choice(MARKED),
            "default": MARKED[0],
            "callback": lambda ctx, parameter, value: value == MARKED[0],
            "help": "Whether events that reviewers marked as false alarms count.",
        },
    ),
    "--media-root": (
        ("--media-root",),
        {"multiple": True, "metavar": "OLD=NEW", "help": "Footage below OLD is now below NEW; repeatable."},
    ),
    "--model": (("--model",), {"metavar": "NAME"}),
    "--normals": (("--normals",), {"type": Place(), "metavar": "LIST"}),
    "--out": (("--out",), {"type": Place()}),
    "--precision": (("--precision",), {}),
    "--pretrained": (("--pretrained",), {}),
    "--recipe": (("--recipe", "recipe_id"), {"metavar": "ID"}),
    "--protocol": (
        ("--protocol",),
        {
            "type": click.Choice(PROTOCOLS),
            "default": PROTOCOLS[0],
            "help": "How figures are computed; official: with the quirks of the published ones.",
        },
    ),
    "--root": (("--root",), {}),
    "--seeds": (("--seeds",), {"type": IntList()}),
    "--store": (("--store",), {"type": Place()}),
    "--seed": (("--seed",), {"default": 0}),
    "--streams": (
        ("--streams",),
        {
            "type": click.Choice(STREAMS),
            "default": STREAMS[0],
            "help": "all: each video stream of a file is a video, ID#2 the second.",
        },
    ),
    "--threshold": (("--threshold",), {}),
    "--verdicts": (("--verdicts",), {"multiple": True, "type": Place(), "metavar": "FILE"}),
    "--top": (("--top",), {"type": click.IntRange(min=1)}),
}


def option(flag: str, **values) -> Callable:
    """Make an option of FLAGS.

    Args:
        flag: its key in FLAGS.
        values: click settings of this command only.
    """
    names, common = FLAGS[flag]
    return click.option(*names, **common, **values)


def compose(*decorators: Callable) -> Callable:
    """Join several option decorators into one; the first comes first in --help."""

    def decorate(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def truth_options(shown: str, *, required: bool = False) -> Callable:
    """The options that name a file of ground truth and its format; `truth_of` reads their values.

    Args:
        shown: help text of --annotations: what the command uses it for.
        required: whether the command needs ground truth.
    """
    return compose(
        option("--annotations", required=required, help=shown),
        option("--format", required=required),
        option("--normals", help="Normal videos that FILE leaves out: a path,label list, or names."),
        option("--ends", help="Whether ranges include their last frame."),
        option("--first-frame", help="Number of a video's first frame."),
    )


def truth_of(values: dict) -> TruthFile | None:
    """Take the options of ground truth out of a command's values; None where none is given.

    Raises:
        click.UsageError: --annotations is given without --format, or the other way round.
    """
    path, form, normals = (values.pop(name) for name in ("annotations", "format", "normals"))
    counted = {name: values.pop(name) for name in ("ends", "first_frame")}
    try:
        return TruthFile.of(path, form, normals, **counted)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


merge_gap_option = click.option(
    "--merge-gap",
    "merge_gap_seconds",
    type=float,
    metavar="SECONDS",
    help=f"Events closer than this become one; kept (default: {MERGE_GAP_SECONDS:g}).",
)
threshold_option = option(
    "--threshold",
    multiple=True,
    metavar="[CAMERA=]X",
    help="Score from which a frame belongs to an event; kept ('default': the checkpoint's).",
)
timezone_option = click.option(
    "--timezone", metavar="ZONE", help="Time zone that the cameras' clocks show, such as Europe/Berlin."
)
clock_options = compose(
    click.option("--clock", metavar="PATTERN", help="Read start times off ids: '{camera}/%Y-%m-%d/%H-%M-%S'."),
    timezone_option,
)


def chosen_of(values: dict, ignored: Ignored | None) -> Chosen:
    """Take the options about events and the wall clock out of a command's values.

    Args:
        values: the command's.
        ignored: what --ignore says; None where it is not given.

    Raises:
        ConfigError: a threshold, the merge gap or the clock cannot be used.
    """
    clock = clock_of(values.pop("clock"), values.pop("timezone"))
    return Chosen.of(values.pop("threshold"), values.pop("merge_gap_seconds"), clock, ignored and ignored.hours)


def clock_of(pattern: str | None, timezone: str | None) -> Clock | None:
    """Make a clock of --clock and --timezone; None where neither is given.

    Raises:
        ConfigError: the pattern or the zone cannot be used, or one is given without the other.
    """
    if pattern is None and timezone is not None:
        raise ConfigError("--timezone says what --clock PATTERN reads off the ids: give both")
    return None if pattern is None else Clock.parse(pattern, timezone)


store_option = compose(
    option("--store", default=DEFAULT_STORE, help="Feature store."),
    option("--catalogue"),
)
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress, only failures and notes.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only say what would be done (extract: and how long it takes)."
)

selection_options = compose(
    click.option(
        "--list", "list_file", metavar="FILE|-", help="Only the videos listed in this file, one path or id a line."
    ),
    click.option("--match", multiple=True, metavar="GLOB", help="Only ids that match; repeatable."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="No ids that match; repeatable."),
    click.option("--only", metavar="LABELS", help="Only the videos that a labels file names."),
    click.option("--split", metavar="NAME", help="Only the rows of LABELS that are of this split."),
    click.option("--part", metavar="I/N", help="Only the I-th of N parts; a hash of the id decides."),
)

executor_options = compose(
    click.option("--workers", type=int, metavar="N", help="Worker processes (default: this process)."),
    click.option(
        "--backend", type=click.Choice(BACKENDS), default="loky", help="Where workers are; loky: on this machine."
    ),
    click.option("--address", "--scheduler", "address", metavar="ADDRESS", help="Address of the Dask or Ray cluster."),
    click.option(
        "--video-timeout", type=float, metavar="SECONDS", help="Give up a video after this time (default: never)."
    ),
)

failure_options = compose(
    click.option("--fail-fast", is_flag=True, help="Stop at the first failure."),
    click.option("--max-failed", default="0", metavar="N|P%", help="More failures than this make the exit code 1."),
    metrics_option,
)

runtime_option = click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="auto",
    envvar=RUNTIME_VARIABLE,
    help=f"auto: the one timed to be faster here; {RUNTIME_VARIABLE} sets it too.",
)
footage_options = compose(
    option("--id-root"),
    option("--any-suffix"),
    option("--streams"),
    option("--model", help="open_clip model (default: the recipe's)."),
    option("--decoder", help="auto: PyAV, on the GPU where that can decode."),
    option("--device"),
    option(
        "--precision",
        type=click.Choice(("auto", *PRECISIONS, INT8)),
        default="auto",
        help="auto: the one timed to be fastest here; int8: fast, less exact, calibrated on this footage.",
    ),
    click.option(
        "--accept-deviation", is_flag=True, help="Use an int8 tower though it deviates from fp32 more than is safe."
    ),
    runtime_option,
    option("--ignore", help="Cameras' zones hidden from embedding, and hours in which events do not count, in YAML."),
    option("--force", help="Extract videos again that the store holds."),
    click.option("--retry-failed", is_flag=True, help="Try files again that failed before and have not changed."),
    click.option(
        "--settle", type=float, metavar="SECONDS", help="Leave out files that changed within this time (default: none)."
    ),
)

archive_options = compose(
    footage_options, executor_options, failure_options, selection_options, dry_run_option, quiet_option
)

recipe_options = compose(
    option("--like"),
    click.option(
        "--geometry", type=click.Choice(GEOMETRIES), help="How crops are cut from a frame (default: the recipe's)."
    ),
    click.option(
        "--frames-per-snippet",
        type=int,
        metavar="K",
        help="How many of 16 frames are embedded (default: the recipe's).",
    ),
    option("--crops", help="Crops: 0 centre, 1-4 corners, 5-9 mirrored (default: the recipe's)."),
)
tail_option = click.option(
    "--tail", type=click.Choice(TAILS), help="What becomes of a last, shorter snippet (default: the recipe's)."
)

still_options = compose(
    click.option("--skip-still", is_flag=True, help="A frame like the last embedded one takes over its embedding."),
    click.option(
        "--still-bound",
        type=float,
        metavar="LEVELS",
        help=f"With --skip-still: grey levels by which a frame must differ (default: {DEFAULT_STILL_BOUND:g}).",
    ),
)


def still_bound_of(skip_still: bool, bound: float | None) -> float | None:
    """The recipe's bound for still frames, from --skip-still and --still-bound; None: every sampled frame is embedded.

    Raises:
        ConfigError: --still-bound is given without --skip-still.
    """
    if bound is not None and not skip_still:
        raise ConfigError("--still-bound says when --skip-still takes a frame for still: give both")
    return (DEFAULT_STILL_BOUND if bound is None else bound) if skip_still else None


def selection_config(values: dict) -> SelectionConfig:
    """Take the selection options out of a command's values."""
    return SelectionConfig(**{name: values.pop(name) for name in SELECTION_NAMES})


def executor_config(values: dict) -> ExecutorConfig:
    """Take the executor options out of a command's values."""
    gpu = str(values.get("device", "")).startswith("cuda")
    return ExecutorConfig(gpu=gpu, **{name: values.pop(name) for name in EXECUTOR_NAMES})
