"""`vad-pipeline demo`: renders a small archive of camera-like videos and takes it through the whole pipeline.

`picture` draws shapes, `cameras` are the three places, `archive_plan` says what happens where, `nuisance` draws what
is harmless and looks like an anomaly, `shot` draws the frames of one video, `rendering` writes all videos and their
tables, `run` is the demo itself.
"""
