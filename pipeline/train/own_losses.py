"""`--loss`: sets weights of DSANet's losses, and loads a user's own losses from Python files."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError

from .run_folder import RATE_NAMES

if TYPE_CHECKING:
    from vad_pipeline.model.losses import Loss

LOSS_OPTION = re.compile(r"(?:(?P<file>.+\.py):)?(?P<name>[A-Za-z_]\w*)(?:=(?P<weight>[^=]+))?")
COLUMNS = ("step", "epoch", *RATE_NAMES, "total", "best")  # columns of metrics.csv besides those of the losses


def load_losses(given: Sequence[str]) -> tuple[dict[str, Loss], dict[str, float]]:
    """Read --loss options such as `event=0` or `FILE.py:NAME=WEIGHT`.

    Returns:
        Name -> loss for the user's own losses; name -> weight for all losses given.

    Raises:
        ConfigError: there is no such loss, file or function, or a weight is no number.
    """
    from vad_pipeline.model.losses import LOSSES

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
            if name in LOSSES or name in COLUMNS or name.startswith(("val_", "test_")):
                raise ConfigError(f"--loss {text}: {name} has a meaning already; call yours something else")
            losses[name] = _own_loss(Path(match["file"]), name)
        elif name not in LOSSES:
            raise ConfigError(f"--loss {text}: no such loss; DSANet's are {', '.join(LOSSES)}, yours is FILE.py:NAME")
        weights[name] = weight
    return losses, weights


def loss_files(given: Sequence[str]) -> list[Path]:
    """The Python files that `--loss` options name, sorted."""
    matches = map(LOSS_OPTION.fullmatch, given)
    return sorted({Path(match["file"]) for match in matches if match and match["file"]})


def _own_loss(path: Path, name: str) -> Callable:
    """Load the function NAME(output, batch) from a file, and check what it returns at each call."""
    import torch

    where = f"--loss {path}:{name}"
    if not path.is_file():
        raise ConfigError(f"{where}: no such file")
    try:
        spec = importlib.util.spec_from_file_location(f"own_loss_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = getattr(module, name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ConfigError(f"{where}: cannot be loaded ({type(error).__name__}: {error})") from error

    def checked(output, batch):
        try:
            value = function(output, batch)
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{where}: raised {type(error).__name__}: {error}") from error
        if not isinstance(value, torch.Tensor) or value.ndim or not value.is_floating_point():
            raise ConfigError(f"{where}: must return a scalar float tensor, returned {value!r:.80}")
        return value

    return checked
