"""`AnomalyCurve` + annotations -> `EvalResult`: ground-truth readers, frame figures, localisation, thresholds, tables.

Imports from `extract` and `model` only; loads neither torch nor, before a figure is drawn, matplotlib. `pipeline` may
import from here.
"""

from vad_pipeline.extract.front_door import front_door

__getattr__, __dir__ = front_door(
    __name__,
    {
        "annotation": "VideoAnnotation",
        "annotations": "read_annotations",
        "evaluation": "EvalResult evaluate",
        "metrics": "average_precision recall_at_false_positive_rate roc_auc",
        "thresholds": "calibrate_threshold",
    },
)
