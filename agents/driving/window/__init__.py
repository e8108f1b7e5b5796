"""The window: the picture, what lies over it, and how soon it answers."""
