"""Files of named tensors, whoever wrote them: safetensors and torch.save, read without running code; TorchScript."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from .hugging_face import in_openai_names, is_hugging_face

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # training scripts save the weights under one of these
PREFIXES = ("module.", "_orig_mod.", "model.")  # nn.DataParallel, torch.compile, Lightning
BESIDE = (bool, int, float, str, type(None), np.generic)  # an epoch, a figure: what may stand among the weights
NUMPY_SCALAR_MODULES = ("numpy._core.multiarray", "numpy.core.multiarray")  # since NumPy 2, and before
NUMPY_CODES = (*"?bhilqBHILQefd", "U1", "S1")  # truth values, numbers, words
TORCHSCRIPT_EXTRAS = ("input_resolution", "context_length", "vocab_size")
MAX_SAFETENSORS_HEADER = 100_000_000  # bytes, the format's own limit
SHOWN_KEYS = 5


def read_state(
    path: Path, *, expected: str, torchscript: bool = False
) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """All tensors of a file, told by its content, not its suffix; those of torch.save stay on disk until used.

    What training scripts put around weights and before their names is taken off, and CLIP in Hugging Face's names gets
    OpenAI's.

    Args:
        path: the file.
        expected: what a message says would have been right.
        torchscript: whether an archive of TorchScript is read, as OpenAI's CLIP weights are; loading it can run code.

    Returns:
        Tensors on the CPU by name, and the metadata of a safetensors file, None for others.

    Raises:
        ConfigError: missing, unreadable, or no file of tensors.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; {expected}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {expected}") from error
    if not size:
        raise ConfigError(f"{path}: is empty; copy or download it again")
    header_len = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and header_len <= MAX_SAFETENSORS_HEADER:
        tensors, metadata = _read_safetensors(path)
    elif _is_torchscript(path):
        tensors, metadata = _read_torchscript(path, expected, wanted=torchscript), None
    else:
        tensors, metadata = _state_dict(path, _load(path, expected), expected), None
    tensors = _without_prefixes(path, tensors)
    return in_openai_names(tensors) if is_hugging_face(tensors) else tensors, metadata


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: is a damaged safetensors file ({error}); copy or convert it again") from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _read_torchscript(path: Path, expected: str, *, wanted: bool) -> dict[str, Tensor]:
    if not wanted:
        raise ConfigError(
            f"{path}: is a TorchScript archive, as OpenAI's CLIP weights are; {expected}, and CLIP weights go to "
            "--pretrained"
        )
    import torch

    try:
        state = torch.jit.load(path, map_location="cpu").state_dict()
    except Exception as error:  # torch answers a damaged archive in many ways
        raise ConfigError(f"{path}: is a damaged TorchScript archive; download it again") from error
    return {name: value for name, value in state.items() if name not in TORCHSCRIPT_EXTRAS}


def _load(path: Path, expected: str) -> object:
    """What torch.save wrote, of tensors, containers and plain values."""
    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")  # what matters comes as an error, and is told in one sentence below
            # files older than torch 1.6 are no zip archives, and cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused:
            raise ConfigError(
                f"{path}: holds Python objects, which can run code and are refused ({refused[1]}); save its weights "
                "again with torch.save(model.state_dict(), FILE)"
            ) from error
        what = "holds more than tensors and plain values" if zipfile.is_zipfile(path) else "is not a checkpoint"
        raise ConfigError(f"{path}: {what}; {expected}") from error
    except Exception as error:  # torch answers garbage with RuntimeError, EOFError, KeyError, ValueError, ...
        raise ConfigError(f"{path}: is not a checkpoint, or damaged; {expected}") from error


def _numpy_scalars() -> list:
    """What unpickling a number of NumPy's calls: metrics are saved beside weights. Nothing of it can run code."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in NUMPY_CODES}
    return [np.dtype, *kinds, *((scalar, f"{module}.scalar") for module in NUMPY_SCALAR_MODULES)]


def _state_dict(path: Path, state: object, expected: str) -> dict[str, Tensor]:
    """The weights among all that a file holds."""
    from torch import Tensor

    while isinstance(state, dict) and (inner := next((w for w in WRAPPERS if isinstance(state.get(w), dict)), None)):
        state = state[inner]
    values = state if isinstance(state, dict) else {}
    tensors = {str(name): value for name, value in values.items() if isinstance(value, Tensor)}
    others = [str(name) for name, value in values.items() if not isinstance(value, (Tensor, *BESIDE))]
    if not tensors or others:
        held = f" but {', '.join(map(str, list(others or values)[:SHOWN_KEYS]))}" if values else ""
        raise ConfigError(f"{path}: holds no state dict (names and tensors){held}; {expected}")
    return tensors


def _without_prefixes(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = {name: _without_prefix(name) for name in tensors}
    if len(set(names.values())) < len(names):
        twice = next(name for name, short in names.items() if name != short and short in tensors)
        raise ConfigError(f"{path}: holds two networks, {twice} beside {names[twice]}; save the one that counts alone")
    return {names[name]: tensor for name, tensor in tensors.items()}


def _without_prefix(name: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name
