"""Recipe: everything that changes an embedding. Two features may be compared only where their recipes are equal."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from .errors import ConfigError, shown
from .names import first_folder

RECIPE_SCHEMA = 1
SNIPPET_LEN = 16  # frames; DSANet's published features fix it
CLIP_WIDTH, CLIP_PX = 512, 224  # values of an embedding and side of a picture, of CLIP ViT-B
MAX_WIDTH, MAX_IMAGE_PX = 8192, 2048
CROPS = tuple(range(10))
TAILS = ("keep", "drop")
GEOMETRIES = ("vadclip", "clip")
DECODERS = {"auto": "ffmpeg", "pyav": "ffmpeg", "decord": "decord", "nvdec": "ffmpeg"}
"""Name of a decoder in options -> its family. Decoders of one family give the same frames; a recipe has the family."""

FILE_WEIGHTS = "sha256:"  # begins a recipe's `weights` where they came from a file
IMPORTED_WEIGHTS = "imported"  # a recipe's `weights` where something made the features that is not known here
DEFAULT_STILL_BOUND = 12.0  # grey levels, see embed/still.py; measured by tests/bench/still.py
MAX_STILL_BOUND = 255  # no two pictures differ by more
ALL_CAMERAS = "*"  # in place of a camera's name in zones
MAX_CORNERS = 500  # of all zones: the recipe is kept with every video
LATER_FIELDS = ("still_bound", "width", "image_px", "mean", "std", "zones")
"""Fields that a recipe's JSON has only where they are not as they were before them: older recipes keep their ids."""

Polygon = tuple[tuple[float, float], ...]  # corners (x, y), as shares of a picture's width and height
Zones = tuple[tuple[str, tuple[Polygon, ...]], ...]  # camera, and its polygons; by the camera's name


@dataclass(frozen=True, slots=True)
class Recipe:
    """How frames become embeddings.

    Raises:
        ConfigError: a value is outside its range.
    """

    model: str = "ViT-B-16-quickgelu"
    """open_clip model name, or `local-dir:sha256-...` for a model folder of one's own; of imported features perhaps
    what somebody calls that which made them."""
    weights: str = "openai"
    """open_clip tag, `random:SEED`, for a weights file `sha256:...` of the image tower's tensors, or `imported`."""
    geometry: str = "vadclip"
    """How a frame is resized before crops are cut, see embed/geometry.py."""
    frames_per_snippet: int = 16
    """How many frames of a snippet are embedded and averaged."""
    tail: str = "drop"
    """Whether the last, shorter snippet of a video is kept: `keep` or `drop`."""
    decoder: str = "ffmpeg"
    """Family of the decoder, see `DECODERS`."""
    snippet_len: int = SNIPPET_LEN
    """How many frames a snippet spans."""
    schema: int = RECIPE_SCHEMA
    """Raised when a change to this code changes embeddings."""
    still_bound: float | None = None
    """Grey levels, see embed/still.py: a frame that differs less than this from the last embedded one takes over its
    embedding. None: every sampled frame is embedded."""
    width: int = CLIP_WIDTH
    """D: how many values an embedding has."""
    image_px: int = CLIP_PX
    """Side in px of the square picture that the tower takes."""
    mean: tuple[float, float, float] | None = None
    """What is subtracted from red, green and blue (0 to 1) before the tower sees them; None: CLIP's own."""
    std: tuple[float, float, float] | None = None
    """What they are divided by then; None: CLIP's own."""
    zones: Zones | None = None
    """Zones of cameras' pictures that are hidden before a frame is embedded, see embed/zones.py. None: none are."""

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
        for name, most in (("width", MAX_WIDTH), ("image_px", MAX_IMAGE_PX)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(f"{name} must be a whole number of 1 to {most}, got {shown(value)}")
        for name, least in (("mean", -math.inf), ("std", 0)):
            object.__setattr__(self, name, _of_channels(name, getattr(self, name), least))
        if self.zones is not None:
            object.__setattr__(self, "zones", checked_zones(self.zones))

    def zones_of(self, video_id: str) -> tuple[Polygon, ...]:
        """The zones that are hidden in a video: those of its camera, which is its id's first folder, and of all."""
        return zones_of_camera(self.zones or (), first_folder(video_id))

    @property
    def recipe_id(self) -> str:
        """The first 12 hex digits of the recipe's hash."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The recipe as JSON with sorted keys: equal recipes give equal text."""
        before = {each.name: each.default for each in fields(self) if each.name in LATER_FIELDS}
        values = {name: value for name, value in asdict(self).items() if name not in before or value != before[name]}
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe that `to_json` wrote.

        Raises:
            ConfigError: the text is no recipe, has a value out of range, or a field this version does not know.
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
        """The fields in which two recipes differ, for messages: `geometry vadclip != clip, ...`."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(f"{name} {mine[name]} != {theirs[name]}" for name in mine if mine[name] != theirs[name])


def zones_of_camera(zones: Zones, camera: str | None) -> tuple[Polygon, ...]:
    """The zones of one camera, and those of all."""
    return tuple(each for name, found in zones if name in (camera, ALL_CAMERAS) for each in found)


def checked_zones(given: Iterable) -> Zones:
    """Zones in the form that a recipe has.

    Args:
        given: pairs of a camera's name and its polygons, as lists of lists or tuples.

    Raises:
        ConfigError: a polygon has fewer than three corners, a corner lies outside the picture, or there are too many.
    """
    try:
        zones = tuple(sorted((str(camera), tuple(map(_polygon, polygons))) for camera, polygons in given))
    except (TypeError, ValueError) as error:
        why = shown(str(error))
        told = (
            "zones are polygons of three corners or more, [x, y] as shares (0 to 1) of the picture's width and height"
        )
        raise ConfigError(f"{told} ({why})") from error
    n_corners = sum(len(polygon) for _, polygons in zones for polygon in polygons)
    if n_corners > MAX_CORNERS:
        raise ConfigError(f"zones have {n_corners} corners; {MAX_CORNERS} are the most")
    return zones


def _polygon(corners: Iterable) -> Polygon:
    found = tuple((float(x), float(y)) for x, y in corners)
    if len(found) < 3 or not all(0 <= share <= 1 for corner in found for share in corner):
        raise ValueError(f"got {shown(str(list(found)))}")
    return found


def _of_channels(name: str, values: object, least: float) -> tuple[float, float, float] | None:
    """Three finite numbers over `least`, one each for red, green and blue; None where they are CLIP's own."""
    if values is None:
        return None
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(least < number < math.inf for number in numbers):
        raise ConfigError(f"{name} must be three numbers, for red, green and blue, got {shown(values)}")
    return numbers


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """A recipe that users ask for by name, and the crops that are made where none are asked for."""

    recipe: Recipe
    crops: tuple[int, ...]


NAMED_RECIPES = {
    "vadclip": NamedRecipe(Recipe(), crops=(0, 5)),
    "quick": NamedRecipe(Recipe(geometry="clip", frames_per_snippet=1, tail="keep"), crops=(0,)),
    "fast": NamedRecipe(
        Recipe(model="ViT-B-32-quickgelu", geometry="clip", frames_per_snippet=1, tail="keep"), crops=(0,)
    ),
}
NAMED_MODELS = {named.recipe.model for named in NAMED_RECIPES.values()}
"""The models of named recipes; all are shaped as `Recipe` has it unless told otherwise."""


def weights_of(recipe: Recipe, given: str | None, *, why: str, otherwise: str) -> str:
    """The weights of the model that features were made with, as --pretrained takes them.

    Args:
        recipe: recipe of the features.
        given: value of --pretrained, which is returned; None: the option is not given, and the recipe's are returned.
        why: what the weights are needed for, for the message.
        otherwise: what to do where there are none, for the message.

    Raises:
        ConfigError: the recipe has only their SHA-256, so that --pretrained must give the file; or something made the
            features that is not known here.
    """
    if given is None and recipe.weights == IMPORTED_WEIGHTS:
        raise ConfigError(f"the features were made by {recipe.model}, which is no model of open_clip's: {otherwise}")
    if given is None and recipe.weights.startswith(FILE_WEIGHTS):
        raise ConfigError(
            f"the features are made with the weights {recipe.weights[:19]}...; give that file with --pretrained FILE: "
            f"{why}"
        )
    return recipe.weights if given is None else given
