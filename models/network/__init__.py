"""The networks: the transformer, the Coarse and the Fine model, and sampling."""
