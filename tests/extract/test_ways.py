"""Which runtime and precision `auto` means: what was timed on this machine, and once only."""

import json
import logging
import os
from pathlib import Path

import pytest
import torch

from vad_pipeline.extract import timings
from vad_pipeline.extract.embed import openvino_tower, ways
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.timings import CACHE_VARIABLE, NO_CHOICE_SECONDS, ROUNDS, Timings, timed_once
from vad_pipeline.model.fastest import scoring_way, training_way
from vad_pipeline.model.heads.head_names import OWN

CPU = torch.device("cpu")
EMPTY = b'{"schema": 1, "stage": "extract", "machine": "", "versions": {}, "measured": "", "seconds": {}}'
ALL = ("openvino fp32", "torch fp32", "openvino bf16", "torch bf16")


@pytest.fixture
def clock(monkeypatch):
    """Time that only rounds take: `clock.of(seconds)` prepares a round that takes so long."""

    class Clock:
        now, rounds = 0.0, 0

        def of(self, seconds):
            def one():
                self.now += seconds
                self.rounds += 1

            return lambda: one

    clock = Clock()
    monkeypatch.setattr(timings.time, "perf_counter", lambda: clock.now)
    return clock


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "vad-pipeline"


def chosen(monkeypatch, seconds: dict[str, float], **options) -> str:
    """The way that is taken where the machine was timed like this."""
    known = Timings("extract", "machine", {}, "2026-01-01", seconds)
    monkeypatch.setattr(ways, "time_ways", lambda device: known)
    monkeypatch.setattr(ways, "candidates", lambda device: [tuple(way.split()) for way in ALL])
    return str(ways.way_of(EncoderConfig(**{"runtime": "auto"} | options), CPU))


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ((1.0, 2.0, 1.9, 2.9), "openvino fp32"),  # bf16 in hardware, and yet slower
        ((1.0, 2.0, 0.25, 0.5), "openvino bf16"),
        ((2.0, 1.0, 3.0, 4.0), "torch fp32"),
        ((1.0, 1.0, 0.95, 1.0), "openvino fp32"),  # no gain worth other bits
        ((4.0, 3.0, 2.0, 1.0), "torch bf16"),
    ],
)
def test_the_fastest_way_is_taken(monkeypatch, seconds, best):
    assert chosen(monkeypatch, dict(zip(ALL, seconds, strict=True))) == best


def test_what_is_asked_for_overrules(monkeypatch):
    seconds = dict(zip(ALL, (4.0, 3.0, 2.0, 1.0), strict=True))
    assert chosen(monkeypatch, seconds, runtime="torch", precision="fp32") == "torch fp32"
    assert chosen(monkeypatch, seconds, runtime="torch") == "torch bf16"
    assert chosen(monkeypatch, seconds, precision="fp32") == "torch fp32"
    assert chosen(monkeypatch, seconds, precision="fp16") == "torch fp16"
    assert chosen(monkeypatch, {"openvino fp32": 1.0, "torch fp32": 2.0}, precision="bf16") == "openvino bf16"


def test_a_machine_is_timed_once(cache, clock):
    prepared = {"torch fp32": clock.of(1.0), "torch bf16": clock.of(0.5), "hopeless": lambda: None}
    first = timed_once("extract", prepared, threads=2)
    assert first.seconds == {"torch fp32": 1.0, "torch bf16": 0.5}
    rounds = clock.rounds
    assert timed_once("extract", prepared, threads=2) == first and clock.rounds == rounds
    assert timed_once("extract", prepared, threads=1).seconds and clock.rounds > rounds, "other threads, other times"
    assert len(list(cache.glob("timings-*.json"))) == 2


def test_the_only_way_is_timed_once_where_that_takes_long(cache, clock):
    long, short = NO_CHOICE_SECONDS * 2, NO_CHOICE_SECONDS / 2
    assert timed_once("train", {"torch fp32": clock.of(long)}, threads=2).seconds == {"torch fp32": long}
    assert clock.rounds == 1
    assert timed_once("decode", {"pyav": clock.of(short)}, threads=2).seconds == {"pyav": short}
    assert clock.rounds == 1 + 1 + ROUNDS


def test_a_hopeless_way_is_not_timed_again(cache, clock):
    taken = timed_once("train", {"fast": clock.of(0.125), "slow": clock.of(0.5)}, threads=2)
    assert clock.rounds == 2 + 2 + 2, "both warmed up and timed once, one of them twice more"
    assert taken.seconds == {"fast": 0.125, "slow": 0.5}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"schema": 1}', b'{"schema": 1, "seconds": {"torch fp32": "1"}}', b'{"schema": 9}', EMPTY],
)
def test_damaged_timings_are_taken_anew(cache, clock, caplog, content):
    prepared = {"torch fp32": clock.of(1.0)}
    timed_once("extract", prepared, threads=2)
    [file] = cache.glob("*.json")
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert timed_once("extract", prepared, threads=2).seconds == {"torch fp32": 1.0}
    assert str(file) in caplog.text and json.loads(file.read_text())["stage"] == "extract"


def test_where_no_cache_can_be_kept_the_work_goes_on(tmp_path, monkeypatch, clock, caplog):
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "a_file"))
    monkeypatch.setattr(timings.tempfile, "gettempdir", lambda: str(tmp_path / "a_file"))
    assert timed_once("extract", {"torch fp32": clock.of(1.0)}, threads=2).seconds == {"torch fp32": 1.0}
    assert "could not be kept" in caplog.text


def test_without_a_home_timings_lie_with_temporary_files(tmp_path, monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody" / "here")
    monkeypatch.setattr(timings.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(timings.os, "access", lambda *_: False)  # a home that is read-only
    own = tmp_path / f"vad-pipeline-{os.getuid()}"
    assert timings.cache_folder() == own and own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)  # somebody else may have laid a tower there
    taken = timings.cache_folder()
    assert taken != own and taken == timings.cache_folder() and taken.stat().st_mode & 0o777 == 0o700


def test_this_machine_is_timed_for_real(cache, monkeypatch):
    monkeypatch.setattr(openvino_tower, "is_installed", lambda: False)  # compiling takes seconds
    monkeypatch.setattr(ways, "ONE_LAYER", ways.ONE_LAYER | {"width": 64, "heads": 1, "patch_size": 56})
    taken = ways.time_ways(CPU)
    assert set(taken.seconds) <= {"torch fp32", "torch bf16"} and taken.seconds["torch fp32"] > 0
    assert taken.machine.startswith(timings.processor())


def test_scoring_and_training_are_timed_too(monkeypatch):
    for stage, way_of in (("detect", scoring_way), ("train", training_way)):
        assert str(way_of("auto", CPU)) == "torch fp32"  # as tests/conftest.py has it remembered
        assert way_of("auto", CPU).timings.stage == stage
        assert str(way_of("bf16", CPU)) == "torch bf16"


def test_each_head_is_timed_by_its_own_step(cache):
    assert training_way("auto", CPU, "mil").timings.stage == "train mil" and len(list(cache.iterdir())) == 1
    assert training_way("auto", CPU, OWN) == ways.Way("torch", "fp32")  # of which nobody knows what it stands
