"""The worlds that need no learning: the depth-free warp, and the reference simulator."""
