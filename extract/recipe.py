"""Recipe: everything that changes an embedding. Two features may be compared only where their recipes are equal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

from .errors import ConfigError

RECIPE_SCHEMA = 1
SNIPPET_LEN = 16  # frames; DSANet's published features fix it
EMBEDDING_DIM = 512
CROPS = tuple(range(10))
TAILS = ("keep", "drop")
GEOMETRIES = ("vadclip", "clip")
DECODERS = {"auto": "ffmpeg", "pyav": "ffmpeg", "decord": "decord", "nvdec": "ffmpeg"}
"""Names users give to decoders -> the family whose frames are alike, which is what a recipe holds."""

FILE_WEIGHTS = "sha256:"  # how weights begin that came from a file
DEFAULT_STILL_BOUND = 12.0  # grey levels, see embed/still.py; measured by tests/bench/still.py
MAX_STILL_BOUND = 255  # no two pictures differ by more


@dataclass(frozen=True, slots=True)
class Recipe:
    """How frames become embeddings.

    Raises:
        ConfigError: on a value outside its range.
    """

    model: str = "ViT-B-16-quickgelu"
    """open_clip model name; `local-dir:sha256-...` for a model folder of one's own."""
    weights: str = "openai"
    """open_clip tag, `random:SEED`, or `sha256:...` of the visual tower's tensors for a weights file."""
    geometry: str = "vadclip"
    """Frame to crops, see embed/geometry.py."""
    frames_per_snippet: int = 16
    """Frames embedded and averaged in a snippet."""
    tail: str = "drop"
    """What becomes of the last, shorter snippet."""
    decoder: str = "ffmpeg"
    """Decoder family: PyAV is `ffmpeg`."""
    snippet_len: int = SNIPPET_LEN
    """Frames a snippet spans."""
    schema: int = RECIPE_SCHEMA
    """Raised when a change to this code changes embeddings."""
    still_bound: float | None = None
    """Grey levels, see embed/still.py: a frame nearer than this to the last embedded one takes its embedding; None:
    every sampled frame is embedded."""

    def __post_init__(self):
        if not 1 <= self.frames_per_snippet <= self.snippet_len:
            raise ConfigError(f"frames per snippet must be 1 to {self.snippet_len}, got {self.frames_per_snippet}")
        if self.tail not in TAILS:
            raise ConfigError(f"tail must be one of {', '.join(TAILS)}, got {self.tail!r}")
        if self.decoder not in DECODERS.values():
            raise ConfigError(
                f"decoder family must be one of {', '.join(dict.fromkeys(DECODERS.values()))}, got {self.decoder!r}"
            )
        if self.still_bound is not None:
            if not 0 < self.still_bound <= MAX_STILL_BOUND:  # nan is not
                raise ConfigError(f"still bound must lie above 0, up to {MAX_STILL_BOUND}, got {self.still_bound}")
            object.__setattr__(self, "still_bound", float(self.still_bound))  # 12 and 12.0 are one recipe

    @property
    def recipe_id(self) -> str:
        """The first 12 hex digits of the recipe's hash."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Canonical JSON: keys sorted, so that equal recipes give equal text."""
        values = asdict(self)
        if self.still_bound is None:  # recipes from before this field keep their ids
            del values["still_bound"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read `to_json`'s text back.

        Raises:
            ConfigError: no such text, or it names a field this version does not know.
        """
        try:
            values = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise ConfigError(f"recipe cannot be read ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"recipe must be a JSON object, got {type(values).__name__}")
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"recipe has unknown fields {', '.join(unknown)}: from a newer vad-pipeline; upgrade")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"recipe has a value of the wrong type ({error})") from error

    def differences(self, other: Recipe) -> str:
        """What differs, for messages: `geometry vadclip != clip, ...`."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(f"{name} {mine[name]} != {theirs[name]}" for name in mine if mine[name] != theirs[name])


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """A recipe users ask for by name, with the crops it is made for."""

    recipe: Recipe
    crops: tuple[int, ...]


NAMED_RECIPES = {
    "vadclip": NamedRecipe(Recipe(), crops=(0, 5)),
    "quick": NamedRecipe(Recipe(geometry="clip", frames_per_snippet=1, tail="keep"), crops=(0,)),
}


def weights_of(recipe: Recipe, given: str | None, *, why: str) -> str:
    """The CLIP weights that features of a recipe were made with: as --pretrained gives them, else as the recipe says.

    Args:
        recipe: of the features.
        given: --pretrained; None: not given.
        why: what the weights are needed for, for the message.

    Raises:
        ConfigError: the recipe knows them by their sha256 only, so that the file has to be given.
    """
    if given is None and recipe.weights.startswith(FILE_WEIGHTS):
        raise ConfigError(
            f"the features are made with the weights {recipe.weights[:19]}...; give that file with --pretrained FILE: "
            f"{why}"
        )
    return recipe.weights if given is None else given
