"""Reads files of named tensors: safetensors and torch.save's without running code in them, and TorchScript's."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, shown
from ..stand_ins import HEAD_BYTES, stand_in
from .claims import PythonObjects, archive, check_claims, check_names
from .hugging_face import in_openai_names, is_hugging_face

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # training scripts save the weights under one of these
PREFIXES = ("module.", "_orig_mod.", "model.")  # nn.DataParallel, torch.compile, Lightning
BESIDE = (bool, int, float, str, type(None), np.generic)  # types that may stand among the weights: an epoch, a figure
NUMPY_SCALAR_MODULES = ("numpy._core.multiarray", "numpy.core.multiarray")  # since NumPy 2, and before
NUMPY_CODES = (*"?bhilqBHILQefd", "U1", "S1")  # truth values, numbers, words
TORCHSCRIPT_EXTRAS = ("input_resolution", "context_length", "vocab_size")
MAX_SAFETENSORS_HEADER = 10_000_000  # bytes; the largest CLIP's has 300,000
SHOWN_KEYS = 5
MAX_SHARED = 4  # times its own size that the tensors of a file may come to
MAX_WRAPPINGS = 10  # one inside the other


def read_state(
    path: Path, *, expected: str, torchscript: bool = False
) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """Read all tensors of a file, whose format is told by its content. Those of torch.save stay on disk until used.

    Dictionaries around the weights and prefixes of names that training scripts add are taken off. CLIP weights in
    Hugging Face's names get OpenAI's.

    Args:
        path: the file.
        expected: for messages: which file would have been right.
        torchscript: whether a TorchScript archive, as OpenAI's CLIP weights are, is read; loading it can run code.

    Returns:
        Tensors on the CPU by name, and the metadata of a safetensors file; None for files of another format.

    Raises:
        ConfigError: the file is missing, cannot be read, or holds no tensors.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; {expected}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {expected}") from error
    if not size:
        raise ConfigError(f"{path}: is empty; copy or download it again")
    if what := stand_in(start):
        raise ConfigError(f"{path}: is {what}")
    header_len = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and header_len <= MAX_SAFETENSORS_HEADER:
        tensors, metadata = _read_safetensors(path)
    elif _is_torchscript(path):
        tensors, metadata = _read_torchscript(path, expected, wanted=torchscript), None
    else:
        tensors, metadata = _state_dict(path, _load(path, expected), expected), None
    tensors = _without_prefixes(path, tensors)
    if is_hugging_face(tensors):
        refuse_shared(path, tensors)
        tensors = in_openai_names(tensors)
    return tensors, metadata


def refuse_shared(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """See that reading all tensors is not more than reading the file a few times.

    Raises:
        ConfigError: they are together far larger than the file.
    """
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > MAX_SHARED * path.stat().st_size:
        raise ConfigError(
            f"{path}: its tensors share their numbers, {claimed} bytes in a file of {path.stat().st_size}; save each "
            "with tensor.clone()"
        )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            check_names(path, file.keys())
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ConfigError(f"{path}: is a damaged safetensors file ({error}); copy or convert it again") from error


def _is_torchscript(path: Path) -> bool:
    try:
        with path.open("rb") as file, archive(path, file) as parts:
            return any(name.endswith("/constants.pkl") for name in parts.namelist())
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
        check_claims(path, is_torchscript=True)
        state = torch.jit.load(path, map_location="cpu").state_dict()
    except ConfigError:
        raise
    except Exception as error:  # torch answers a damaged archive in many ways
        raise ConfigError(f"{path}: is a damaged TorchScript archive; download it again") from error
    return {name: value for name, value in state.items() if name not in TORCHSCRIPT_EXTRAS}


def _load(path: Path, expected: str) -> object:
    """Read what torch.save wrote: tensors, containers and plain values only, as other objects can run code."""
    import torch

    try:
        check_claims(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")  # what matters comes as an error, and is told in one sentence below
            # files older than torch 1.6 are no zip archives, and cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except ConfigError:
        raise
    except PythonObjects as error:
        raise ConfigError(
            f"{path}: holds Python objects, which can run code and are refused ({shown(error.args[0])}); save its "
            "weights again with torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # garbage is answered with UnpicklingError, RuntimeError, EOFError, KeyError, ...
        is_other = isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path)
        what = "holds more than tensors and plain values" if is_other else "is not a checkpoint, or damaged"
        raise ConfigError(f"{path}: {what}; {expected}") from error


def _numpy_scalars() -> list:
    """The functions and types needed to unpickle NumPy's numbers, which are saved beside weights. None can run code."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in NUMPY_CODES}
    return [np.dtype, *kinds, *((scalar, f"{module}.scalar") for module in NUMPY_SCALAR_MODULES)]


def _state_dict(path: Path, state: object, expected: str) -> dict[str, Tensor]:
    """Find the weights among all that a file holds."""
    from torch import Tensor

    for _ in range(MAX_WRAPPINGS):  # one that holds itself has no end
        inner = isinstance(state, dict) and next((w for w in WRAPPERS if isinstance(state.get(w), dict)), None)
        if not inner:
            break
        state = state[inner]
    values = state if isinstance(state, dict) else {}
    tensors = {str(name): value for name, value in values.items() if isinstance(value, Tensor)}
    others = [str(name) for name, value in values.items() if not isinstance(value, (Tensor, *BESIDE))]
    if not tensors or others:
        names = [shown(str(name)) for name in list(others or values)[:SHOWN_KEYS]]
        held = f" but {', '.join(names)}" if values else ""
        raise ConfigError(f"{path}: holds no state dict (names and tensors){held}; {expected}")
    return tensors


def _without_prefixes(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    check_names(path, tensors)
    names = {name: _without_prefix(name) for name in tensors}
    if len(set(names.values())) < len(names):
        twice = next(name for name, short in names.items() if name != short and short in tensors)
        raise ConfigError(
            f"{path}: holds two networks, {shown(twice)} beside {shown(names[twice])}; save the one that counts alone"
        )
    return {names[name]: tensor for name, tensor in tensors.items()}


def _without_prefix(name: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name
