"""What a file of torch.save claims to hold, looked at before anything is made of it: a few bytes can ask for terabytes.

Nothing of the file is called and no tensor is made: functions that it names are replaced by ones that only look at what
they are given.
"""

from __future__ import annotations

import contextlib
import gc
import io
import math
import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ConfigError, shown

MAX_TENSORS = 20_000  # the largest CLIP has 2,000; one process of training keeps three or four of each
MAX_STRUCTURE = 4 << 20  # bytes of what is said about tensors: names, shapes, figures beside them
BYTES_A_STEP = 12  # of the structure, for each step in which it may be read: a tensor takes 35 steps and 150 bytes
MAX_DIRECTORY = 2 << 20  # bytes of a zip archive's list of files: some 100 for each
MAX_NAME = 1000  # characters of a tensor's name
END_RECORD = struct.Struct("<4s4H2LH")  # of a zip archive: signature, ..., bytes of its list of files, ...
END_SEARCH = (1 << 16) + END_RECORD.size  # bytes at the end in which it lies
IN_ZIP64 = 0xFFFFFFFF  # a size that is given elsewhere
N_OLD_HEADERS = 3  # pickles before the content of files older than torch 1.6
STORAGE_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16, "UntypedStorage": 1,
}  # fmt: skip
PLAIN = (str, bytes, int, float, type(None))  # what the key of a dictionary may be
HARMLESS = re.compile(
    r"torch\.(Size|device|(u?int|float|bfloat|complex|bool)\w*)|_codecs\.encode|numpy\.dtype|numpy\.dtypes\.\w+"
    r"|numpy\.(_core|core)\.multiarray\.scalar"
)


class PythonObjects(pickle.UnpicklingError):
    """The file names something that is neither tensor nor plain value."""


def check_claims(path: Path, *, is_torchscript: bool = False, most_structure: int = MAX_STRUCTURE) -> None:
    """See that a file of torch.save asks for no more than it holds.

    Args:
        path: the file.
        is_torchscript: it is an archive of TorchScript: only the sizes of its parts are looked at.
        most_structure: bytes that it may say about its tensors and beside them.

    Raises:
        ConfigError: parts that are packed or overlap, more tensors than any network has, tensors larger than what is
            stored of them.
        PythonObjects: something other than tensors and plain values; says what.
        Exception: of any kind, where it is damaged or no such file.
    """
    size = path.stat().st_size
    with path.open("rb") as file, _nothing_collected():
        if zipfile.is_zipfile(file):
            with archive(path, file) as parts:
                held = _parts(path, parts, size, most_structure)
                if not is_torchscript:
                    look = _Look(io.BytesIO(parts.read(held)), most_structure // BYTES_A_STEP)
                    look.load()
        else:
            file.seek(0)
            look = _Look(io.BytesIO(file.read(MAX_STRUCTURE)), most_structure // BYTES_A_STEP)
            for _ in range(N_OLD_HEADERS):
                look.load()
            look.load()
    if not is_torchscript:
        _check_storages(path, look, size)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keep Python from looking for garbage in a `with` block. A few bytes may be an object each, and it would look
    through those and all that torch has made again and again, which takes longer than reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def archive(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    """A zip archive opened, once it is clear that its list of files fits into memory.

    Raises:
        ConfigError: the list is too long.
        BadZipFile: it is damaged.
    """
    file.seek(0, io.SEEK_END)
    start = max(0, file.tell() - END_SEARCH)
    file.seek(start)
    end = file.read()
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or at + END_RECORD.size > len(end):
        raise zipfile.BadZipFile("no end record")
    claimed = END_RECORD.unpack_from(end, at)[5]
    if claimed == IN_ZIP64:
        claimed = start + at  # at most all that lies before it
        record = end.rfind(b"PK\x06\x06", 0, at)
        if record >= 0 and record + 48 <= len(end):
            (claimed,) = struct.unpack_from("<Q", end, record + 40)
    if claimed > MAX_DIRECTORY:
        raise ConfigError(f"{path}: is an archive of far more parts than any checkpoint has; download or save it again")
    return zipfile.ZipFile(file)


def check_names(path: Path, names: Iterable[str]) -> None:
    """Hold the names of tensors to what networks have.

    Raises:
        ConfigError: more than `MAX_TENSORS`, or a name longer than `MAX_NAME`.
    """
    names = list(names)
    if len(names) > MAX_TENSORS:
        raise ConfigError(f"{path}: holds {len(names)} tensors, more than any network here ({MAX_TENSORS}); not read")
    longest = max(names, key=len, default="")
    if len(longest) > MAX_NAME:
        raise ConfigError(f"{path}: has a tensor's name of {len(longest)} characters ({shown(longest)}); not read")


def _parts(path: Path, parts: zipfile.ZipFile, size: int, most_structure: int) -> str:
    """Hold an archive's parts to the file's size; the name of the one that says what is in the others."""
    infos = parts.infolist()
    names = {info.filename for info in infos}
    packed = [info for info in infos if info.compress_type != zipfile.ZIP_STORED]
    n_packed_bytes = sum(info.file_size for info in packed)
    # TorchScript packs its code, which is small
    if any("/code/" not in info.filename for info in packed) or n_packed_bytes > MAX_STRUCTURE:
        raise ConfigError(f"{path}: is packed, as torch.save never does; unpack it and save the weights again")
    if len(names) < len(infos) or sum(info.file_size for info in infos) - n_packed_bytes > size:
        raise ConfigError(f"{path}: has parts that are larger than the file, or there twice; save the weights again")
    structures = [info for info in infos if info.filename.endswith("/data.pkl")]
    if len(structures) != 1:
        raise zipfile.BadZipFile("no data.pkl, or several")
    if structures[0].file_size > most_structure:
        raise ConfigError(
            f"{path}: says more of its content ({structures[0].file_size} bytes) than a checkpoint has to; save its "
            "weights again with torch.save(model.state_dict(), FILE)"
        )
    return structures[0].filename


def _check_storages(path: Path, look: _Look, size: int) -> None:
    if sum(look.storages.values()) > size:
        raise ConfigError(f"{path}: claims {sum(look.storages.values())} bytes of tensors and has {size}; not read")
    if look.n_tensors > MAX_TENSORS:
        raise ConfigError(f"{path}: holds {look.n_tensors} tensors, more than any network here ({MAX_TENSORS})")
    if look.stretched:
        raise ConfigError(
            f"{path}: holds a tensor of shape {shown(look.stretched)}, more than is stored of it; save it again with "
            "tensor.contiguous()"
        )


@dataclass(frozen=True, slots=True)
class _Storage:
    """Where numbers lie that tensors are made of."""

    n_bytes: int
    item_bytes: int


class _Dictionary(dict):
    """In place of OrderedDict and Counter; it can have attributes, as state dicts do."""

    def __init__(self, items: object = ()):
        super().__init__()
        for key in items if isinstance(items, dict) else [key for key, _ in items]:
            _check_key(key)


class _Value:
    """In place of what is neither tensor nor container."""

    def __init__(self, *given: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _Steps(dict):
    """What to do for each kind of step; so many steps are too many."""

    def __init__(self, known: dict, most: int):
        super().__init__(known)
        self._left = most

    def __getitem__(self, kind: int) -> object:
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError("says more than a checkpoint has to")
        return super().__getitem__(kind)


class _Look(pickle._Unpickler):  # the one in C would take any key into its dictionaries
    """Reads a pickle without making anything of it."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO, most_steps: int):
        super().__init__(file, encoding="utf-8", errors="replace")
        self.dispatch = _Steps(type(self).dispatch, most_steps)
        self.storages: dict[str, int] = {}
        """Bytes of each, by its key."""
        self.n_tensors = 0
        self.stretched: tuple[int, ...] | None = None
        """The shape of a tensor that is larger than its storage."""

    def find_class(self, module: str, name: str) -> object:
        """What stands in for a function or class that the file names."""
        full = f"{module}.{name}"
        if full in ("collections.OrderedDict", "collections.Counter"):
            return _Dictionary
        if module in ("torch", "torch.storage") and name in STORAGE_BYTES:
            return STORAGE_BYTES[name]
        if full in (f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")):
            return self._tensor
        if full in ("torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter", "torch.Tensor"):
            return lambda *given: _Dictionary()
        if full in ("torch._utils._rebuild_parameter_with_state", "torch._tensor._rebuild_from_type_v2"):
            return lambda *given: _Dictionary()
        if HARMLESS.fullmatch(full):
            return _Value
        raise PythonObjects(full[:MAX_NAME])

    def persistent_load(self, pid: tuple) -> _Storage:
        """A storage that the file names, of which only the size is noted."""
        kind, item_bytes, key, _, n_items = pid[:5]
        if kind != "storage" or n_items < 0:
            raise pickle.UnpicklingError("no storage")
        self.storages[str(key)] = n_items * item_bytes
        return _Storage(n_items * item_bytes, item_bytes)

    def _tensor(self, storage: _Storage, offset: int, shape: tuple, stride: tuple, *more: object) -> _Dictionary:
        self.n_tensors += 1
        if math.prod(shape) * storage.item_bytes > storage.n_bytes:
            self.stretched = shape
        return _Dictionary()

    def load_setitem(self) -> None:
        """One pair for a dictionary."""
        _check_key(self.stack[-2])
        super().load_setitem()

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Several pairs for a dictionary."""
        for key in self.stack[::2]:
            _check_key(key)
        super().load_setitems()

    dispatch[pickle.SETITEMS[0]] = load_setitems


def _check_key(key: object) -> None:
    """Nested tuples take for ever to be hashed."""
    if not isinstance(key, PLAIN):
        raise pickle.UnpicklingError("a key that is no plain value")
