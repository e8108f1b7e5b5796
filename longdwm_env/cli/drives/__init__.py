"""Commands that drive: by hand, by policy, along a path, and for pictures."""
