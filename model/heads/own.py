"""A head of the user's own: a class in a Python file, `--head FILE.py:NAME`, held to its contract at every answer.

    class NAME(nn.Module):
        def __init__(self, width, categories): ...            # D of an embedding; names, the normal one first
        def forward(self, features, lengths): ...             # (B, T, D), (B,) -> (anomaly_logits, category_logits)
        losses = {"name": function(output, batch), ...}       # if it likes; else `mil`, and `align` with categories

`anomaly_logits` is (B, T, 1), `category_logits` (B, T, C) or None. Code is run because somebody gives `--head`, never
because a checkpoint names it: that one knows the file only by its SHA-256.

Shapes: B windows, T snippets of a window (256), C categories (normal first), D width of an embedding.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from vad_pipeline.extract.device import is_of_the_device
from vad_pipeline.extract.errors import ConfigError, shown

from ..categories import CATEGORIES, names
from .config import check_shape, config_from_json, config_to_json

IN_A_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")
LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class OwnConfig:
    """Which head it is, and its shape.

    Raises:
        ValueError: on a value outside its range.
    """

    categories: tuple[str, ...]
    """Names of what labels say, the normal one first."""
    name: str = ""
    """Name of the class."""
    file: str = ""
    """Name of the file, for messages."""
    sha256: str = ""
    """SHA-256 of the file, hex."""
    has_categories: bool = True
    """Whether it gives category logits."""
    window_len: int = 256
    """Snippets of a window."""
    width: int = 512
    """D: length of an embedding."""

    def __post_init__(self):
        check_shape(self)
        for name, kind in (("name", str), ("file", str), ("sha256", str), ("has_categories", bool)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"expected {name} as {kind.__name__}, got {shown(getattr(self, name))}")

    def to_json(self) -> str:
        """See `config_to_json`."""
        return config_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> OwnConfig:
        """See `config_from_json`."""
        return config_from_json(cls, text)


OWN_PRESETS = {preset: OwnConfig(names(categories)) for preset, categories in CATEGORIES.items()}
"""A preset is which names labels have."""


@dataclass(frozen=True, slots=True)
class OwnHead:
    """A class in a file. Nothing of it has been run yet."""

    path: Path
    name: str
    sha256: str
    """Of the file, hex."""

    @classmethod
    def of(cls, text: str) -> OwnHead:
        """Read what `--head FILE.py:NAME` names.

        Raises:
            ConfigError: it names no file.
        """
        match = IN_A_FILE.fullmatch(text)
        if match is None:
            raise ConfigError(f"--head {shown(text)}: expected FILE.py:NAME, the name of a class in a file")
        path = Path(match["file"]).absolute()
        return cls(path, match["name"], hashlib.sha256(source_of(path, f"--head {text}")).hexdigest())

    @property
    def where(self) -> str:
        """How messages begin."""
        return f"--head {self.path}:{self.name}"

    def build(self, width: int, categories: tuple[str, ...]) -> nn.Module:
        """Run the file and make the head.

        Raises:
            ConfigError: the file cannot be run or has changed, or what it makes is no head.
        """
        source = source_of(self.path, self.where)
        if hashlib.sha256(source).hexdigest() != self.sha256:
            raise ConfigError(f"{self.path}: the head file has changed meanwhile; begin again")
        kind = from_file(self.path, source, self.name, self.where)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ConfigError(
                f"{self.where}: must be a class of torch.nn.Module, is {shown(' '.join(repr(kind).split()))}"
            )
        try:
            head = kind(width, categories)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise ConfigError(f"{self.where}: cannot be made by NAME(width, categories): {_words(error)}") from error
        if any(nn.parameter.is_lazy(each) for each in (*head.parameters(), *head.buffers())):
            raise ConfigError(f"{self.where}: has lazy layers; give them their widths, which the checkpoint must know")
        if not any(parameter.requires_grad for parameter in head.parameters()):
            raise ConfigError(f"{self.where}: has no parameters to train")
        return head


class OwnNetwork(nn.Module):
    """The user's head as a scoring network.

    Args:
        config: its shape.
        own: where it comes from.

    Raises:
        ConfigError: see `OwnHead.build`.
    """

    def __init__(self, config: OwnConfig, own: OwnHead):
        super().__init__()
        self.config, self.where = config, own.where
        self.net = own.build(config.width, config.categories)

    def logits(
        self, features: Tensor, lengths: Tensor, text_features: None = None
    ) -> tuple[None, Tensor, Tensor | None]:
        """Ask the head: (B, T, D), (B,) -> no visual features, anomaly logits (B, T, 1), category logits (B, T, C).

        Raises:
            ConfigError: it raises, or its answer is not what the contract says.
        """
        anomaly, category = self.answer(features, lengths)
        if (category is not None) != self.config.has_categories:
            raise ConfigError(f"{self.where}: forward must give category_logits always or never")
        return None, anomaly, category

    def answer(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """The head's answer in float32, its type and shapes checked."""
        try:
            answer = self.net(features, lengths)
        except (Exception, SystemExit) as error:
            if isinstance(error, RuntimeError) and is_of_the_device(error):
                raise
            raise ConfigError(f"{self.where}: forward(features, lengths) raised {_words(error)}") from error
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ConfigError(
                f"{self.where}: forward must return (anomaly_logits, category_logits or None), returned {_kind(answer)}"
            )
        anomaly, category = answer
        windows = tuple(features.shape[:2])
        self._check("anomaly_logits", "(B, T, 1)", anomaly, (*windows, 1))
        if category is not None:
            self._check("category_logits", "(B, T, C)", category, (*windows, len(self.config.categories)))
        return anomaly.float(), None if category is None else category.float()

    def losses(self) -> dict[str, Callable] | None:
        """The losses that the head brings, by name, each checked whenever it is computed; None: it brings none.

        Raises:
            ConfigError: they are no functions by name.
        """
        given = getattr(self.net, "losses", None)
        if given is None:
            return None
        named = isinstance(given, Mapping) and given and all(isinstance(name, str) for name in given)
        if not named or not all(name.isidentifier() and callable(loss) for name, loss in given.items()):
            raise ConfigError(f"{self.where}: losses must be functions (output, batch) by name, is {shown(given)}")
        return {name: checked_loss(loss, f"{self.where}: the loss {name}") for name, loss in given.items()}

    def _check(self, what: str, letters: str, found: object, shape: tuple[int, ...]) -> None:
        right = isinstance(found, Tensor) and found.is_floating_point() and tuple(found.shape) == shape
        if not right:
            raise ConfigError(
                f"{self.where}: {what} must be floats of shape {letters}, {shape} here, is {_kind(found)}"
            )


def tried(config: OwnConfig, own: OwnHead) -> OwnNetwork:
    """Make the head and ask it once, with random features, before hours are spent.

    Returns:
        The head; its configuration says whether it knows categories.

    Raises:
        ConfigError: it breaks its contract; the message names the line that is broken.
    """
    network = OwnNetwork(config, own)
    full = config.window_len
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = torch.randn(2, full, config.width)
    lengths = torch.tensor([full, max(1, full // 2)])
    features[1, lengths[1] :] = 0
    anomaly, category = network.eval().answer(features, lengths)
    for what, found in (("anomaly_logits", anomaly), ("category_logits", category)):
        if found is None:
            continue
        if not torch.isfinite(found[0]).all() or not torch.isfinite(found[1, : lengths[1]]).all():
            raise ConfigError(f"{own.where}: {what} of random features are not finite")
        if not found.requires_grad:
            raise ConfigError(f"{own.where}: {what} have no gradient: no parameter that is trained goes into them")
    network.config = replace(config, has_categories=category is not None)
    return network


def checked_loss(function: Callable, where: str) -> Callable:
    """A loss of the user's, of which every value is checked.

    Args:
        function: (output, batch) -> scalar.
        where: how a message begins.
    """

    def checked(output, batch):
        try:
            value = function(output, batch)
        except (Exception, SystemExit) as error:
            if isinstance(error, RuntimeError) and is_of_the_device(error):
                raise
            raise ConfigError(f"{where}: raised {_words(error)}") from error
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            raise ConfigError(f"{where}: must return a scalar float tensor, returned {value!r:.80}")
        return value

    return checked


def source_of(path: Path, where: str) -> bytes:
    """The content of a Python file of the user's.

    Raises:
        ConfigError: it cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"{where}: no such file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror})") from error


def from_file(path: Path, source: bytes, name: str, where: str) -> object:
    """Run a Python file of the user's and take what has a name in it.

    Args:
        path: the file.
        source: its content.
        name: of what is taken.
        where: how a message begins.

    Raises:
        ConfigError: it cannot be run, or has no such name.
    """
    try:
        return getattr(_run(path, source), name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ConfigError(f"{where}: cannot be loaded ({_words(error)})") from error


@cache
def _run(path: Path, source: bytes) -> ModuleType:
    module = ModuleType(f"own_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look for themselves
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {shown(' '.join(str(error).split()), LONGEST_WORDS)}"


def _kind(value: object) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{type(value).__name__}"
