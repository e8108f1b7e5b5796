"""The generative world: codec, Coarse and Fine model, pipeline, world, and peers to compare with."""
