"""Checkpoints: reads published ones, reads and writes ours, and converts published ones into ours.

Our format is a safetensors file with a head's scoring weights and the category text features (C, D). Its metadata
has the recipe, crop and threshold they belong to, each value as JSON.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from vad_pipeline.extract.embed.weights import ACTIVATION_KEY, tower_sha256
from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.files import fingerprint
from vad_pipeline.extract.recipe import CROPS, NAMED_RECIPES, Recipe

from .calibration import Calibration
from .heads.head_names import DEFAULT_HEAD
from .heads.known import HEADS, HeadConfig, head_of, result_categories
from .heads.own import OwnConfig, OwnHead
from .layers import without_weights
from .published import Published, read_published
from .published_vadclip import is_vadclip, read_vadclip
from .tensorfile import CheckpointError, check_finite, check_shapes, read_tensors, write_tensors

FORMAT_VERSION = 1
FORMAT_KEY = "format_version"  # our files have it in their metadata, and no other files do
TEXT_FEATURES = "text_features"  # name of the one tensor that is no weight
TRAINING_PREFIX = "training."  # begins the names of tensors that only fine-tuning reads
PUBLISHED_RECIPE = NAMED_RECIPES["vadclip"].recipe
PUBLISHED_CROPS = {"ucf-crime": 5, "xd-violence": 0}
DEFAULT_THRESHOLD = 0.5
CLIP_SHA256 = re.compile("sha256:[0-9a-f]{1,64}")
QUICK_GELU = "quick_gelu"  # activation that published CLIP weights were trained with, by the name `extract` reads


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network ready to score, and which features it was trained for."""

    calibrated: ClassVar[bool] = True
    """True: the scores come from a trained network; `ZeroShot` has False."""
    preset: str
    """`ucf-crime` or `xd-violence`."""
    config: HeadConfig
    """It tells the head too, see `head_of`."""
    model: nn.Module
    """The network in float32 on the CPU, in evaluation mode."""
    text_features: Tensor | None
    """(C, D) float32, L2-normalised for DSANet; None of a head that reads no text."""
    categories: tuple[str, ...]
    """Names that results have, in column order, the normal one first."""
    recipe: Recipe
    """Recipe of the features that the network was trained on."""
    clip_sha256: str | None
    """`sha256:...` of the CLIP image tower inside the published checkpoint; None where there was none."""
    crop: int
    """Number of the crop that the network scores."""
    threshold: float
    """Score from which a frame belongs to an event, unless the user gives another threshold."""
    sha256: str
    """SHA-256 of the checkpoint file, hex."""
    path: Path
    """The checkpoint file."""
    descriptions: tuple[tuple[str, ...], ...] | None = None
    """What the text tower read for each category; None in files that do not say."""
    calibration: Calibration | None = None
    """What stands behind the threshold; None where it was not set by false alarms, or the file does not say."""
    own: OwnHead | None = None
    """Where the code of a head of the user's own is; None of a head that comes with this package."""

    def __post_init__(self):
        expected = (len(self.categories), self.config.width) if HEADS[self.head].reads_text else None
        found = None if self.text_features is None else tuple(self.text_features.shape)
        if found != expected:
            raise ValueError(f"expected text_features of shape {expected}, got {found}")
        presets = HEADS[self.head].presets
        if self.preset not in presets:
            raise ValueError(f"expected the preset {' or '.join(presets)}, got {shown(self.preset)}")
        if self.clip_sha256 is not None and not CLIP_SHA256.fullmatch(self.clip_sha256):
            raise ValueError(f"expected sha256:... of CLIP's image tower, got {shown(self.clip_sha256)}")
        if self.crop not in CROPS:
            raise ValueError(f"expected a crop of 0 to {CROPS[-1]}, got {shown(self.crop)}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"expected a threshold in 0 to 1, got {shown(self.threshold)}")

    def __repr__(self) -> str:
        return (
            f"Checkpoint({self.path}, {self.preset}, {len(self.categories)} categories, recipe "
            f"{self.recipe.recipe_id}, crop {self.crop}, threshold {self.threshold:g}, sha256 {self.sha256[:12]})"
        )

    @property
    def head(self) -> str:
        """The method: a name in `HEADS`."""
        return head_of(self.config)

    @property
    def curve(self) -> str:
        """Which score its curves are made of: `anomaly`, or `category`, 1 less the normal category's probability."""
        return getattr(self.config, "curve", HEADS[self.head].curves[0])

    def with_curve(self, curve: str | None) -> Checkpoint:
        """This checkpoint with curves made of another score; None: its own.

        Raises:
            ConfigError: the head has no such score.
        """
        if curve in (None, self.curve):
            return self
        head = HEADS[self.head]
        if curve not in head.curves:
            raise ConfigError(
                f"--score {curve}: {head.title} has only the score {', '.join(head.curves)}; leave it out"
            )
        return replace(self, config=replace(self.config, curve=curve))

    def accepts(self, recipe: Recipe) -> bool:
        """Whether features of a recipe can be scored: the recipe trained on, or that with the checkpoint's own CLIP.

        Zones that are hidden make no difference: they say where nothing is looked for.
        """
        trained_on = replace(self.recipe, zones=None)
        own = self.clip_sha256 and replace(trained_on, weights=self.clip_sha256)
        return replace(recipe, zones=None) in (trained_on, own)

    def save(
        self,
        path: str | Path,
        *,
        source_sha256: str | None = None,
        training: Mapping[str, Tensor] | None = None,
        made_of: Mapping[str, object] | None = None,
    ) -> None:
        """Write the checkpoint in our format. The file appears only once it is complete.

        Args:
            path: `.safetensors` file to write.
            source_sha256: SHA-256 of the file that this one is converted from, hex; None: it is not converted.
            training: weights that only training needs by name (text adapters, prompts, the normality branch), which
                fine-tuning starts from.
            made_of: for people to read: what the weights were made of, as JSON values.

        Raises:
            StoreError: the file cannot be written.
        """
        values = {
            FORMAT_KEY: FORMAT_VERSION,
            "preset": self.preset,
            "categories": self.config.categories,
            "crop": self.crop,
            "threshold": self.threshold,
            "clip_sha256": self.clip_sha256,
            "source_sha256": source_sha256,
        }
        if self.head != DEFAULT_HEAD:
            values["head"] = self.head
        if self.descriptions is not None:
            values["descriptions"] = self.descriptions
        if self.calibration is not None:
            values["calibration"] = self.calibration.to_json()
        if made_of is not None:
            values["made_of"] = made_of
        metadata = {name: json.dumps(value) for name, value in values.items()}
        metadata |= {"config": self.config.to_json(), "recipe": self.recipe.to_json()}
        tensors = self.model.state_dict()
        if self.text_features is not None:
            tensors[TEXT_FEATURES] = self.text_features
        tensors |= {f"{TRAINING_PREFIX}{name}": value for name, value in (training or {}).items()}
        write_tensors(Path(path), {name: value.cpu().float() for name, value in tensors.items()}, metadata=metadata)


def load_checkpoint(path: str | Path, *, own: OwnHead | None = None) -> Checkpoint:
    """Read a published `.pth` or our `.safetensors`.

    Args:
        path: the file.
        own: the code of a head of the user's own, which no checkpoint brings along; None: it is one of ours.

    Raises:
        CheckpointError: the file is missing, damaged, incomplete, another network's or another own head's; the message
            says which and what to do.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path)
    if metadata is not None and FORMAT_KEY in metadata:
        return _load_ours(path, tensors, metadata, own)
    if own is not None:
        raise CheckpointError(f"{path}: is no checkpoint of {own.path.name}:{own.name}; leave --head away")
    return _from_published(path, _read_published(path, tensors))


def _read_published(path: Path, tensors: dict[str, Tensor]) -> Published:
    return read_vadclip(path, tensors) if is_vadclip(tensors) else read_published(path, tensors)


def convert(published: str | Path, out: str | Path, *, clip_out: str | Path | None = None) -> None:
    """Write a published checkpoint in our format, which is smaller and needs no text tower for scoring.

    Args:
        published: `.pth` file.
        out: `.safetensors` file to write.
        clip_out: `.safetensors` file for the CLIP weights inside, in OpenAI's names.

    Raises:
        CheckpointError: `published` cannot be used.
        StoreError: `out` or `clip_out` cannot be written.
    """
    published, out = Path(published), Path(out)
    targets = [out, *([Path(clip_out)] if clip_out else [])]
    if len({path.resolve() for path in (published, *targets)}) != 1 + len(targets):
        raise CheckpointError(f"{published}: would be overwritten or written twice; give OUT and --clip other names")
    tensors, metadata = read_tensors(published)
    if metadata is not None and FORMAT_KEY in metadata:
        raise CheckpointError(f"{published}: is in our format already; detect takes it as it is")
    content = _read_published(published, tensors)
    checkpoint = _from_published(published, content)
    checkpoint.save(out, source_sha256=checkpoint.sha256, training=content.training)
    if clip_out:
        write_tensors(Path(clip_out), content.clip, metadata={ACTIVATION_KEY: QUICK_GELU})


def _from_published(path: Path, content: Published) -> Checkpoint:
    config = HEADS[content.head].presets[content.preset]
    return Checkpoint(
        preset=content.preset,
        config=config,
        model=_build(path, config, content.model),
        text_features=content.text_features,
        categories=result_categories(config),
        recipe=PUBLISHED_RECIPE,
        clip_sha256=tower_sha256(content.clip),
        crop=PUBLISHED_CROPS[content.preset],
        threshold=DEFAULT_THRESHOLD,
        sha256=fingerprint(path),
        path=path,
    )


def config_of_ours(path: Path, metadata: Mapping[str, str]) -> HeadConfig:
    """Read the network's configuration from the metadata of a file in our format.

    Raises:
        CheckpointError: the file is of a newer version, or has no usable configuration.
    """
    with _metadata_of(path):
        version = int(json.loads(metadata[FORMAT_KEY]))
        if version > FORMAT_VERSION:
            raise CheckpointError(f"{path}: has format {version}, this version knows {FORMAT_VERSION}; upgrade")
        head = json.loads(metadata.get("head", f'"{DEFAULT_HEAD}"'))
        if head not in HEADS:
            known = ", ".join(HEADS)
            raise CheckpointError(f"{path}: is of the head {shown(head)}, this version knows {known}; upgrade")
        return HEADS[head].config.from_json(metadata["config"])


def _load_ours(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], own: OwnHead | None) -> Checkpoint:
    config = config_of_ours(path, metadata)
    _check_own(path, config, own)
    with _metadata_of(path):
        text_features = tensors.pop(TEXT_FEATURES).float() if HEADS[head_of(config)].reads_text else None
    tensors = {name: value for name, value in tensors.items() if not name.startswith(TRAINING_PREFIX)}
    with contextlib.nullcontext() if own else _metadata_of(path):  # errors of the user's code are no damage of the file
        model = _build(path, config, tensors, own)
    with _metadata_of(path):
        return Checkpoint(
            preset=json.loads(metadata["preset"]),
            config=config,
            model=model,
            text_features=text_features,
            categories=result_categories(config),
            recipe=Recipe.from_json(metadata["recipe"]),
            clip_sha256=json.loads(metadata["clip_sha256"]),
            crop=json.loads(metadata["crop"]),
            threshold=json.loads(metadata["threshold"]),
            sha256=fingerprint(path),
            path=path,
            descriptions=_descriptions(metadata),
            calibration=Calibration.from_text(metadata["calibration"]) if "calibration" in metadata else None,
            own=own,
        )


def _check_own(path: Path, config: HeadConfig, own: OwnHead | None) -> None:
    """Check that the code given is the very file that a checkpoint's head was trained with.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(config, OwnConfig):
        if own is not None:
            title = HEADS[head_of(config)].title
            raise CheckpointError(f"{path}: is a {title} checkpoint, not one of {own.path.name}; leave --head away")
        return
    was = f"{shown(config.file)}:{shown(config.name)}"
    if own is None:
        raise CheckpointError(
            f"{path}: is of a head of somebody's own ({was}), and code is never run because a checkpoint names it; "
            f"give it with --head FILE.py:{shown(config.name)}"
        )
    if own.name != config.name:
        raise CheckpointError(f"{own.where}: {path} was made with {was}; give that one")
    if own.sha256 != config.sha256:
        differs = "has changed since" if own.path.name == config.file else f"is another file than {was}, by which"
        raise CheckpointError(
            f"{own.path}: {differs} {path} was made (SHA-256 {own.sha256[:12]} instead of "
            f"{shown(config.sha256, 12)}); give the file as it was, or train it anew"
        )


def _descriptions(metadata: Mapping[str, str]) -> tuple[tuple[str, ...], ...] | None:
    found = json.loads(metadata.get("descriptions", "null"))
    return found and tuple(tuple(map(str, each)) for each in found)


@contextlib.contextmanager
def _metadata_of(path: Path) -> Iterator[None]:
    """Turn errors from reading a file's metadata into a CheckpointError that names the file."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"{path}: lacks {error}; convert it again") from error
    except (ValueError, TypeError, ArithmeticError, RecursionError, ConfigError) as error:
        raise CheckpointError(
            f"{path}: its metadata cannot be used ({shown(str(error), 200)}); convert it again"
        ) from error


def _build(path: Path, config: HeadConfig, weights: dict[str, Tensor], own: OwnHead | None = None) -> nn.Module:
    head = HEADS[head_of(config)]
    model = head.network(config, own) if own else without_weights(lambda: head.network(config))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    check_shapes(path, weights, shapes, title=head.title)
    check_finite(path, weights)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, assign=own is None)
    return model.eval()
