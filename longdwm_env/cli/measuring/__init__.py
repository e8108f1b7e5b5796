"""Commands that measure worlds, videos and policies."""
