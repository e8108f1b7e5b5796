"""A world of one's own road: from the shipped weights, by videos of it, within an hour."""
