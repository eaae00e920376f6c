"""`VideoEmbeddings` -> `SnippetScores` -> `AnomalyCurve`: DSANet, its checkpoints, scoring, curves and events.

In: snippet embeddings (n, D). Out: scores per snippet, curves per frame, events. Imports from `extract` only;
`eval` and `pipeline` may import from here. A method is a file in `heads`.
"""

from vad_pipeline.extract.front_door import front_door

__getattr__, __dir__ = front_door(
    __name__,
    {
        "checkpoint": "Checkpoint convert load_checkpoint",
        "scoring": "Scorer SnippetScores",
        "curve": "AnomalyCurve Event curve_from_scores find_events",
        "categories": "CATEGORIES Category",
    },
)
