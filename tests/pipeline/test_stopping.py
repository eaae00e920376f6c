"""A first signal waits for the step in hand, a second one does not."""

import signal

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
