"""Video file -> `VideoEmbeddings`: decode, sample, crop, embed with CLIP, keep in the feature store.

In: paths of videos. Out: `VideoEmbeddings`, held in `EmbeddingStore`. The leftmost room: it imports no other one;
`model`, `eval` and `pipeline` may import from here. Its closets, left to right: `decode`, `embed`, `store`, then the
room's verb in `extraction.py`, and `verify`.
"""

from .front_door import front_door

__getattr__, __dir__ = front_door(
    __name__,
    {
        "extraction": "extract_video",
        "extractor": "ExtractConfig Extractor",
        "store.embedding_store": "EmbeddingStore",
        "store.entry": "Entry",
        "store.exchange": "ImportConfig export import_list",
        "recipe": "NAMED_RECIPES Recipe",
        "records": "VideoEmbeddings VideoInfo",
        "errors": "ConfigError StoreError VadError VideoError",
    },
)
