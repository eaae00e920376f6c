"""`vad-pipeline demo`: renders a small archive of camera-like videos and takes it through the whole pipeline.

`picture` draws, `cameras` are the places, `archive_plan` says what happens where, `shot` draws one
video, `rendering` renders them all, `run` is the demo itself.
"""
