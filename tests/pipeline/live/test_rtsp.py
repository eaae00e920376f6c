"""`watch` over real RTSP on loopback, served by Debian's GStreamer: skipped where the system's Python has none."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vad_pipeline.pipeline.results.folder import Results

SERVER = Path(__file__).parents[2] / "bench" / "rtsp_server.py"
SYSTEM = "/usr/bin/python3"


@pytest.fixture
def serve():
    """serve(path, ...) -> (port, process): each file over RTSP, `/0`, `/1`, ..."""
    asked = 'import gi; gi.require_version("GstRtspServer", "1.0")'
    if not Path(SYSTEM).exists() or subprocess.run([SYSTEM, "-c", asked], capture_output=True).returncode:
        pytest.skip("the system's Python has no GStreamer RTSP server")
    begun = []

    def begin(*paths, port=None):
        if port is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        server = subprocess.Popen([SYSTEM, SERVER, str(port), *map(str, paths)], stdout=subprocess.PIPE, text=True)
        begun.append(server)
        assert server.stdout.readline() == "ready\n"
        return port, server

    yield begin
    for server in begun:
        server.kill()
        server.wait()


@pytest.mark.long
def test_three_cameras_and_a_server_that_dies_and_comes_back(serve, watch, detected, make_video, tmp_path):
    """Two of H.264 and one of HEVC; what was received is what `detect` makes of it, what was not is a gap."""
    paths = [
        make_video(tmp_path / "a.h264.ts", n_frames=170, seed=1, gop=25),
        make_video(tmp_path / "b.h264.ts", n_frames=170, seed=2, gop=25),
        make_video(tmp_path / "c.hevc.ts", n_frames=170, seed=3, codec="libx265", gop=25),
    ]
    port, server = serve(*paths)

    def trouble():
        time.sleep(25)  # all three were received, and their servers have closed once or twice
        server.kill()
        server.wait()
        time.sleep(4)
        serve(*paths, port=port)
        time.sleep(20)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=trouble).start()
    sources = [f"{name}=rtsp://127.0.0.1:{port}/{number}" for number, name in enumerate("abc")]
    code, out, err = watch(*sources, "--delay", "1")
    assert code == 0, err
    curves = {curve.video_id[0]: curve for curve in Results.open(tmp_path / "live")}
    assert sorted(curves) == ["a", "b", "c"]
    for name, path in zip("abc", paths, strict=True):
        expected, curve = detected(path, 1), curves[name]
        n_alike = 16 * (170 // 16 - 1)
        np.testing.assert_allclose(curve.scores[:n_alike], expected[:n_alike], atol=2e-5)
        assert curve.gaps, "the server was away"
        steps = np.diff(curve.frame_seconds)
        assert (steps > 0).all() and abs(np.median(steps) - 0.04) < 0.004
    assert "a: Connection refused" in err or "a: Broken pipe" in err
