"""Video file -> `VideoEmbeddings`: decode, sample, crop, embed with CLIP, keep in the feature store.

In: paths of videos. Out: `VideoEmbeddings`, held in `EmbeddingStore`. The leftmost room: it imports no other one;
`model`, `eval` and `pipeline` may import from here.
"""
