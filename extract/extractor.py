"""What a run of extract needs on whichever machine it runs: options, recipe, and the encoder once it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .embed.encoder_config import COMPILED, LOCAL_DIR
from .errors import ConfigError
from .recipe import CROPS, GEOMETRIES, NAMED_RECIPES, Recipe

if TYPE_CHECKING:
    from .decode.reader import Reader
    from .embed.encoder import ClipEncoder


@dataclass(frozen=True, slots=True)
class ExtractConfig:
    """extract's options: a named recipe, single changes on top of it (None: as named), and how to run."""

    like: str = "vadclip"
    geometry: str | None = None
    frames_per_snippet: int | None = None
    tail: str | None = None
    still_bound: float | None = None
    crops: tuple[int, ...] | None = None
    model: str | None = None
    pretrained: str = "openai"
    """Outside the recipe: where the weights come from; the recipe holds what they are."""
    decoder: str = "auto"
    reader: Callable[[str], Reader] | None = None
    """Opens files in `decoder`'s place; of the same family, as far as the recipe is concerned."""
    device: str = "auto"
    precision: str = "auto"
    runtime: str = "auto"
    force: bool = False
    retry_failed: bool = False
    fail_fast: bool = False

    def __post_init__(self):
        for crop in self.crop_numbers:
            if crop not in CROPS:
                raise ConfigError(f"--crops: crops are numbered 0 to {CROPS[-1]}, got {crop}")

    def anywhere(self) -> ExtractConfig:
        """The same for a process that stands in another folder."""
        folder = (self.model or "").removeprefix(LOCAL_DIR)
        return replace(
            self,
            pretrained=os.path.abspath(self.pretrained) if os.path.isfile(self.pretrained) else self.pretrained,
            model=LOCAL_DIR + os.path.abspath(folder) if folder != (self.model or "") else self.model,
        )

    @property
    def crop_numbers(self) -> tuple[int, ...]:
        """Crops asked for, in ascending order."""
        return tuple(sorted(set(self.crops or NAMED_RECIPES[self.like].crops)))


class Extractor:
    """What one run of extract needs: the recipe at once, the encoder only when something has to be embedded.

    Args:
        config: the options.
        store: its path; compiled towers are kept in it. None: none is kept.

    Raises:
        ConfigError: an option is wrong, or the weights cannot be had.
    """

    def __init__(self, config: ExtractConfig, *, store: Path | None = None):
        from .decode.decoders import READERS, decoder_family
        from .embed.encoder_config import EncoderConfig, load_weights, model_identity, weight_warnings

        if config.geometry and config.geometry not in GEOMETRIES:
            raise ConfigError(f"--geometry must be one of {', '.join(GEOMETRIES)}, got {config.geometry!r}")
        if config.decoder == "nvdec":
            from .embed.device import resolve_device

            device = resolve_device("cuda" if config.device in ("auto", "cpu") else config.device)
        if config.decoder == "decord" and find_spec("decord") is None:
            raise ConfigError("--decoder decord: not installed here; pip install decord, or use --decoder pyav")
        self.config = config
        self.crops = config.crop_numbers
        self.open_reader = config.reader or READERS[config.decoder]
        if config.decoder == "nvdec" and not config.reader:
            self.open_reader = partial(self.open_reader, device=device.index)
        named = NAMED_RECIPES[config.like].recipe
        model = named.model if config.model is None else config.model
        self.encoder_config = EncoderConfig(model, config.pretrained, config.device, config.precision, config.runtime)
        self._compiled = store and store / COMPILED
        self._weights = load_weights(config.pretrained, model)
        changes = {
            name: getattr(config, name)
            for name in ("geometry", "frames_per_snippet", "tail", "still_bound")
            if getattr(config, name) is not None
        }
        self.recipe: Recipe = replace(
            named,
            model=model_identity(model),
            weights=self._weights.identity,
            decoder=decoder_family(config.decoder),
            **changes,
        )
        self.warnings = weight_warnings(self.encoder_config, self._weights)

    def open_for_encoder(self, path: str) -> Reader:
        """A file whose frames go to the encoder: decoded on its GPU where it has one and `--decoder auto` may.

        Raises:
            VideoError: the file cannot be opened.
        """
        from .decode.decoders import open_auto
        from .embed.device import resolve_device

        if self.config.decoder == "auto" and self.config.reader is None:
            device = resolve_device(self.config.device)
            if device.type == "cuda":
                return open_auto(path, device=device.index)
        return self.open_reader(path)

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The loaded tower.

        Raises:
            DeviceFailed: there is no room for it on the GPU.
        """
        from .embed.device import stopping_where_the_device_fails
        from .embed.encoder import ClipEncoder

        with stopping_where_the_device_fails():
            return ClipEncoder(self.encoder_config, self._weights, compiled=self._compiled)
