"""Checkpoints of strangers: small files that ask for much. Each is refused in a sentence, before anything is built."""

import gc
import json
import pickle
import resource
import time
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vad_pipeline.extract.embed.weights import read_weights
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.checkpoint import CheckpointError, load_checkpoint

MORE_KB, SECONDS = 300_000, 5  # a busy machine is slow; what is refused here used to take far longer


@pytest.fixture
def refused():
    """refused(path) -> the sentence, once it is clear that it cost nothing."""

    def refusal(path, load=load_checkpoint) -> str:
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        with pytest.raises((CheckpointError, ConfigError)) as caught:
            load(path)
        assert time.monotonic() - started < SECONDS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE_KB
        message = str(caught.value)
        assert str(path) in message and "\n" not in message and len(message) < 700, message
        return message

    return refusal


@pytest.fixture
def changed(seeded_path, tmp_path):
    """changed(key=value, ...): a file of ours with other metadata, each value as it stands there."""
    with safe_open(seeded_path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()

    def change(*, network=None, **values):
        if network:
            values["config"] = json.dumps({**json.loads(metadata["config"]), **network})
        save_file(tensors, tmp_path / "a.safetensors", {**metadata, **values})
        return tmp_path / "a.safetensors"

    return change


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("layers", 5000, "expected layers of 1 to 64, got 5000"),
        ("layers", 64, "lacks 744 tensors"),
        ("layers", 2.0, "expected layers of 1 to 64"),
        ("layers", True, "expected layers of 1 to 64"),
        ("width", 1 << 40, "expected width"),
        ("width", 8192, "has misshapen"),
        ("window_len", 1 << 20, "expected window_len"),
        ("text_adapter_layers", 10**9, "expected text_adapter_layers"),
        ("probability_temperature", float("inf"), "expected probability_temperature above 0 and finite"),
        ("alignment_sharpness", float("nan"), "finite"),
        ("categories", ["Normal", ["Normal"]], "anomaly category"),
        ("x" * 100_000, 1, "unknown fields xxxx"),
    ],
)
def test_what_a_file_says_of_its_network_is_held_to_its_tensors(changed, refused, field, value, words):
    assert words in refused(changed(network={field: value}))


@pytest.mark.parametrize("key", ["format_version", "config", "recipe", "preset", "clip_sha256", "crop", "threshold"])
@pytest.mark.parametrize("value", ["[" * 100_000, "1e999", "9" * 5000, "[" * 50 + "]" * 50, '"' + "x" * 100_000 + '"'])
def test_any_metadata_is_a_sentence_or_understood(changed, refused, key, value):
    assert "convert it again" in refused(changed(**{key: value}))


def test_no_more_tensors_than_networks_have(tmp_path, refused):
    path = tmp_path / "many.safetensors"
    save_file({str(i): torch.zeros(0) for i in range(21_000)}, path)
    assert "holds 21000 tensors" in refused(path)
    save_file({"a" * 5000: torch.zeros(0)}, path)
    assert "a tensor's name of 5000 characters" in refused(path)
    torch.save({str(i): torch.zeros(0) for i in range(21_000)}, tmp_path / "many.pth")
    assert "many.pth: " in refused(tmp_path / "many.pth")
    path.write_bytes((60_000_000).to_bytes(8, "little") + b"{" + b" " * 60_000_000)
    assert "is not a checkpoint" in refused(path)


def test_packed_archives_are_not_unpacked(tmp_path, refused):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(1 << 26, dtype=torch.uint8)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert path.stat().st_size < 1 << 20
    assert "is packed, as torch.save never does" in refused(path)


def test_archives_of_more_parts_than_checkpoints_have(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        for i in range(400):
            archive.writestr(zipfile.ZipInfo(f"{i:010000d}"), b"")
    assert "far more parts" in refused(tmp_path / "a.pth")


def test_tensors_are_no_larger_than_what_is_stored(tmp_path, refused):
    path = tmp_path / "a.pth"
    for new in (True, False):
        torch.save({"a": torch.zeros(1).expand(1 << 20, 40_000)}, path, _use_new_zipfile_serialization=new)
        assert "(1048576, 40000), more than is stored of it" in refused(path)
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"K\x03N", b"J\xff\xff\xff\x7fN"))  # numbers of the storage
    assert path.read_bytes() != data and "bytes of tensors and has" in refused(path)


def test_weights_that_share_their_bytes_are_not_read_again_and_again(tmp_path, refused):
    numbers = torch.zeros(1 << 20)
    torch.save({f"visual.{i}": numbers.view(-1) for i in range(1000)}, tmp_path / "a.pth")
    assert "share" in refused(tmp_path / "a.pth", lambda path: read_weights(str(path)))
    torch.save({f"vision_model.{i}": numbers.view(-1) for i in range(1000)}, tmp_path / "a.pth")
    assert "share" in refused(tmp_path / "a.pth", lambda path: read_weights(str(path)))


class Asks:
    """Pickled as a call of a function."""

    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


def with_data(path, data: bytes) -> None:
    """An archive of torch.save with this pickle in it."""
    torch.save({"a": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, data if name.endswith("/data.pkl") else content)


def key_of_nested_tuples() -> bytes:
    nested = b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    return b"\x80\x02}" + nested + b"K\x01s."


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps({"a": Asks(bytearray, 1 << 40)}, protocol=2), "refused"),
        (pickle.dumps({"a": Asks(set, [1])}, protocol=2), "refused"),
        (key_of_nested_tuples(), "more than tensors and plain values"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "checkpoint"),
        (b"\x80\x02" + b"(" * 100_000 + b".", "checkpoint"),
        (b"\x80\x02}q\x00X\x03\x00\x00\x00netq\x01h\x00s.", "holds no state dict"),  # a dictionary that holds itself
        (b"\x80\x02c" + b"x" * 100_000 + b"\ny\n.", "refused"),
    ],
)
def test_pickles_that_never_end(tmp_path, refused, data, words):
    with_data(tmp_path / "a.pth", data)
    assert words in refused(tmp_path / "a.pth")


def test_a_long_structure_is_not_read(tmp_path, refused):
    with_data(tmp_path / "a.pth", b"\x80\x02" + b"]" * (5 << 20) + b".")
    assert "says more of its content" in refused(tmp_path / "a.pth")


@pytest.mark.parametrize("data", [b"(" * (3 << 20), b"]" * (3 << 20), b"]0" * (1 << 20)])
def test_a_structure_of_many_steps_is_not_read_to_its_end(tmp_path, refused, data):
    with_data(tmp_path / "a.pth", b"\x80\x02" + data + b".")
    collected = sum(each["collections"] for each in gc.get_stats())
    started = time.process_time()
    refused(tmp_path / "a.pth")
    assert sum(each["collections"] for each in gc.get_stats()) - collected < 50 and gc.isenabled()  # hundreds else
    (tmp_path / "a.pth").write_bytes(b"\x80\x02" + data * 10 + b".")
    refused(tmp_path / "a.pth")
    assert time.process_time() - started < 6  # all steps: over ten


def test_a_file_that_torch_cannot_open_is_a_sentence(seeded_path, monkeypatch):
    def interrupted(*given, **more):
        raise RuntimeError("unable to open file <a> in read-only mode: Interrupted system call (4)")

    monkeypatch.setattr("safetensors.safe_open", interrupted)
    with pytest.raises(CheckpointError, match="Interrupted system call"):
        load_checkpoint(seeded_path)
