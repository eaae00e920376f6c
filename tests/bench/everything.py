"""All of our modules, and what they import late: for a process that others are forked from."""

import importlib
import pkgutil

import matplotlib.pyplot  # noqa: F401
import open_clip  # noqa: F401

from vad_pipeline import eval, extract, model, pipeline

for room in (extract, model, eval, pipeline):
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)
