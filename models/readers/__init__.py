"""Networks that read pictures: scorer, inverse dynamics, captions."""
