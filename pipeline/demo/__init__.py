"""`vad-pipeline demo`: renders a small archive of camera-like videos and takes it through the whole pipeline.

`picture` draws, `cameras` are the places, `scenes` what happens there and the archive, `run` the demo itself.
"""
