"""A first signal waits for the step in hand, a second one does not."""

import signal
import subprocess
import sys

import pytest

from vad_pipeline.pipeline.stopping import stopping_between_steps


def test_the_first_signal_waits():
    before = signal.getsignal(signal.SIGINT)
    with stopping_between_steps() as stop:
        stop.obey()  # nothing has come
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            stop.obey()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_signal_does_not():
    with stopping_between_steps():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("signum", "code", "word", "command", "stays"),
    [
        ("SIGINT", 130, "interrupted", "extract", "what is finished is kept, the same command goes on"),
        ("SIGTERM", 143, "terminated", "verify-features", "nothing is kept, the same command begins anew"),
    ],
)
def test_a_signal_that_lands_in_a_callback_is_not_lost(signum, code, word, command, stays):
    script = f"""
import os, signal, time, weakref
import vad_pipeline.pipeline.cli as cli

class Thing:
    pass

def work(**options):
    thing = Thing()
    kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.{signum}))
    del thing  # Python drops what is raised in there
    time.sleep(60)

cli.cli = work
cli.main()
"""
    ran = subprocess.run([sys.executable, "-c", script, command], capture_output=True, text=True, timeout=50)
    assert (ran.returncode, ran.stderr) == (code, f"{word}: {stays}\n")
