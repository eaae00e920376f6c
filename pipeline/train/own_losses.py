"""`--loss`: sets weights of the head's losses, and loads a user's own losses from Python files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError

from .run_folder import RATE_NAMES

if TYPE_CHECKING:
    from vad_pipeline.model.learning.losses import Loss

LOSS_OPTION = re.compile(r"(?:(?P<file>.+\.py):)?(?P<name>[A-Za-z_]\w*)(?:=(?P<weight>[^=]+))?")
COLUMNS = ("step", "epoch", *RATE_NAMES, "total", "best")  # columns of metrics.csv besides those of the losses


def load_losses(
    given: Sequence[str], known: Mapping[str, Loss], title: str
) -> tuple[dict[str, Loss], dict[str, float]]:
    """Read --loss options such as `event=0` or `FILE.py:NAME=WEIGHT`.

    Args:
        given: the options.
        known: the head's losses by name.
        title: what the head is called.

    Returns:
        Name -> loss for the user's own losses; name -> weight for all losses given.

    Raises:
        ConfigError: there is no such loss, file or function, or a weight is no number, or a loss is called like a
            column of metrics.csv.
    """
    for name in filter(_is_taken, known):
        raise ConfigError(f"{title}'s loss {name} is called like a column of metrics.csv; call it something else")
    losses: dict[str, Loss] = {}
    weights: dict[str, float] = {}
    for text in given:
        match = LOSS_OPTION.fullmatch(text)
        try:
            weight = float((match and match["weight"]) or 1)
        except ValueError:
            match = None
        if match is None:
            raise ConfigError(f"--loss {text}: expected NAME=WEIGHT or FILE.py:NAME=WEIGHT")
        name = match["name"]
        if name in weights:
            raise ConfigError(f"--loss {text}: {name} is given twice")
        if match["file"]:
            if name in known or _is_taken(name):
                raise ConfigError(f"--loss {text}: {name} has a meaning already; call yours something else")
            losses[name] = _own_loss(Path(match["file"]), name)
        elif name not in known:
            raise ConfigError(f"--loss {text}: no such loss; {title}'s are {', '.join(known)}, yours is FILE.py:NAME")
        weights[name] = weight
    return losses, weights


def _is_taken(name: str) -> bool:
    return name in COLUMNS or name.startswith(("val_", "test_"))


def loss_files(given: Sequence[str]) -> list[Path]:
    """The Python files that `--loss` options name, sorted."""
    matches = map(LOSS_OPTION.fullmatch, given)
    return sorted({Path(match["file"]) for match in matches if match and match["file"]})


def _own_loss(path: Path, name: str) -> Callable:
    """Load the function NAME(output, batch) from a file; what it returns is checked at each call."""
    from vad_pipeline.model.heads.own import checked_loss, from_file, source_of

    where = f"--loss {path}:{name}"
    return checked_loss(from_file(path, source_of(path, where), name, where), where)
