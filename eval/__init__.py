"""`AnomalyCurve` + annotations -> `EvalResult`: ground-truth readers, frame figures, localisation, thresholds, tables.

Imports from `extract` and `model` only; loads neither torch nor, before a figure is drawn, matplotlib. `pipeline` may
import from here.
"""
