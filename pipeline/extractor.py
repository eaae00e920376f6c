"""What a run of extract needs on whichever machine it runs: options, recipe, and the encoder once it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vad_pipeline.extract.encoder_config import LOCAL_DIR
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import CROPS, GEOMETRIES, NAMED_RECIPES, Recipe

if TYPE_CHECKING:
    from vad_pipeline.extract.encoder import ClipEncoder
    from vad_pipeline.extract.reader import Reader


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

    Raises:
        ConfigError: an option is wrong, or the weights cannot be had.
    """

    def __init__(self, config: ExtractConfig):
        from vad_pipeline.extract.decoders import READERS, decoder_family
        from vad_pipeline.extract.encoder_config import EncoderConfig, load_weights, model_identity, weight_warnings

        if config.geometry and config.geometry not in GEOMETRIES:
            raise ConfigError(f"--geometry must be one of {', '.join(GEOMETRIES)}, got {config.geometry!r}")
        if config.decoder == "nvdec":
            from vad_pipeline.extract.encoder import resolve_device

            resolve_device("cuda")  # raises where there is none
        if config.decoder == "decord" and find_spec("decord") is None:
            raise ConfigError("--decoder decord: not installed here; pip install decord, or use --decoder pyav")
        self.config = config
        self.crops = config.crop_numbers
        self.open_reader = config.reader or READERS[config.decoder]
        named = NAMED_RECIPES[config.like].recipe
        model = named.model if config.model is None else config.model
        self.encoder_config = EncoderConfig(model, config.pretrained, config.device, config.precision)
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

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The loaded tower."""
        from vad_pipeline.extract.encoder import ClipEncoder

        return ClipEncoder(self.encoder_config, self._weights)
