"""What a worker needs to extract videos: the options, the recipe they make, and the encoder, loaded on first use."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from .embed.encoder_config import INT8, LOCAL_DIR
from .errors import ConfigError
from .files import Source
from .recipe import CROPS, DECODERS, GEOMETRIES, NAMED_RECIPES, Recipe, Zones
from .store.embedding_store import INT8_TOWERS
from .timings import cache_folder

if TYPE_CHECKING:
    from .decode.reader import Reader
    from .embed.encoder import ClipEncoder
    from .embed.weights import Weights

TOWERS = "towers"  # folder of the cache for those that OpenVINO has compiled here


@dataclass(frozen=True, slots=True)
class ExtractConfig:
    """The options of `extract`: a named recipe, changes of it (None: as the named recipe has it), and how to run."""

    like: str = "vadclip"
    geometry: str | None = None
    frames_per_snippet: int | None = None
    tail: str | None = None
    still_bound: float | None = None
    zones: Zones | None = None
    """Zones of cameras' pictures that are hidden before frames are embedded; None: none are."""
    crops: tuple[int, ...] | None = None
    model: str | None = None
    pretrained: str = "openai"
    """Where the weights come from; what they are is in the recipe."""
    decoder: str = "auto"
    reader: Callable[..., Reader] | None = None
    """Function that opens files in place of `decoder`; the recipe still names the family of `decoder`. It is given the
    path, and where one of several streams is asked for its number from 1 as `stream`."""
    device: str = "auto"
    precision: str = "auto"
    runtime: str = "auto"
    accept_deviation: bool = False
    """Whether an int8 tower is used that deviates from fp32 by more than is safe."""
    force: bool = False
    retry_failed: bool = False
    fail_fast: bool = False

    def __post_init__(self):
        if self.geometry and self.geometry not in GEOMETRIES:
            raise ConfigError(f"--geometry must be one of {', '.join(GEOMETRIES)}, got {self.geometry!r}")
        for crop in self.crop_numbers:
            if crop not in CROPS:
                raise ConfigError(f"--crops: crops are numbered 0 to {CROPS[-1]}, got {crop}")

    def anywhere(self) -> ExtractConfig:
        """These options with absolute paths, for a process that runs in another folder."""
        folder = (self.model or "").removeprefix(LOCAL_DIR)
        return replace(
            self,
            pretrained=os.path.abspath(self.pretrained) if os.path.isfile(self.pretrained) else self.pretrained,
            model=LOCAL_DIR + os.path.abspath(folder) if folder != (self.model or "") else self.model,
        )

    @property
    def crop_numbers(self) -> tuple[int, ...]:
        """Numbers of the crops asked for, ascending."""
        return tuple(sorted(set(self.crops or NAMED_RECIPES[self.like].crops)))

    @property
    def model_name(self) -> str:
        """The image tower asked for: a model name of open_clip, or `local-dir:FOLDER`."""
        return NAMED_RECIPES[self.like].recipe.model if self.model is None else self.model

    def recipe_with(self, weights: Weights) -> Recipe:
        """The named recipe with the changes asked for and these weights.

        Raises:
            ConfigError: a value is out of its range, or the model's configuration cannot be used.
        """
        from .embed.model_config import recipe_of

        changed = ("geometry", "frames_per_snippet", "tail", "still_bound", "zones")
        options = {name: getattr(self, name) for name in changed}
        return replace(
            recipe_of(NAMED_RECIPES[self.like].recipe, self.model_name, weights, self.pretrained),
            decoder=DECODERS[self.decoder],
            **{name: value for name, value in options.items() if value is not None},
        )


class Extractor:
    """Everything that extraction needs. The recipe is known at once; the encoder is loaded when first used.

    Args:
        config: the options.
        store: path of the store; None: there is none, and compiled towers are not kept either.

    Raises:
        ConfigError: an option is wrong, or the weights cannot be read or downloaded.

    Attributes:
        crops: numbers of the crops asked for.
        open_reader: opens a file for frames in memory.
        weights: the weights, as `load_weights` gave them.
        recipe: the recipe of the features that are made.
        warnings: what a user has to know about the weights and the model, one sentence each.
    """

    def __init__(self, config: ExtractConfig, *, store: Path | None = None):
        from .decode.decoders import open_beside_encoder, reader_for
        from .embed.encoder_config import EncoderConfig, load_weights, weight_warnings
        from .embed.model_config import resizing_note

        self.config = config
        self.crops = config.crop_numbers
        self.open_reader = config.reader or reader_for(config.decoder, config.device)
        on_device = config.decoder == "auto" and config.reader is None
        self._open_for_encoder = partial(open_beside_encoder, device=config.device) if on_device else self.open_reader
        self.encoder_config = EncoderConfig(
            config.model_name, config.pretrained, config.device, config.precision, config.runtime
        )
        self.weights = load_weights(config.pretrained, config.model_name)
        # not in the store, which may be somebody else's: what is compiled is code
        self._compiled = cache_folder() / TOWERS if store else None
        self.recipe = config.recipe_with(self.weights)
        self._int8 = store and store / INT8_TOWERS
        self.warnings = weight_warnings(self.encoder_config, self.weights)
        if self.recipe.geometry == "clip":
            self.warnings += resizing_note(config.model_name, config.pretrained)

    def open_for_encoder(self, source: Source) -> Reader:
        """Open a video for frames that the encoder takes; with `--decoder auto` they may lie on its GPU.

        Raises:
            VideoError: the file cannot be opened.
        """
        return self._open_for_encoder(source.path, **({"stream": source.stream} if source.stream else {}))

    @property
    def int8_folder(self) -> Path | None:
        """Where the store keeps the tower of --precision int8; None with another precision, or without a store."""
        if self._int8 is None or self.config.precision != INT8:
            return None
        from .embed.int8_tower import folder_of

        return folder_of(self._int8, model=self.recipe.model, weights=self.recipe.weights)

    def answers(self, precision: str) -> bool:
        """Whether features made in a precision are what is asked for: those in int8 only where int8 is."""
        return precision != INT8 or self.config.precision == INT8

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The encoder, loaded when first asked for.

        Raises:
            DeviceFailed: the GPU has no room for it.
        """
        from .device import stopping_where_the_device_fails
        from .embed.encoder import ClipEncoder

        with stopping_where_the_device_fails():
            return ClipEncoder(self.encoder_config, self.weights, compiled=self._compiled, int8=self.int8_folder)
