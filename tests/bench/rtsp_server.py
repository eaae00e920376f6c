"""Serves files over RTSP on loopback, each from its beginning to whoever asks: `rtsp://127.0.0.1:PORT/0`, `/1`, ...

Run by the system's Python, which has GStreamer's bindings (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi, and the
plugin sets base, good and bad): `/usr/bin/python3 tests/bench/rtsp_server.py PORT FILE.ts...`; it prints `ready`.
"""

import sys

PAY = {"h264": "h264parse ! rtph264pay", "hevc": "h265parse ! rtph265pay"}


def main() -> None:
    """Serve until the process is ended."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    for number, path in enumerate(sys.argv[2:]):
        factory = GstRtspServer.RTSPMediaFactory()
        codec = "hevc" if "hevc" in path else "h264"
        factory.set_launch(f'( filesrc location="{path}" ! tsdemux ! {PAY[codec]} name=pay0 pt=96 config-interval=-1 )')
        server.get_mount_points().add_factory(f"/{number}", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
