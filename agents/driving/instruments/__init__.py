"""The instruments and the planned path, as values and as drawings."""
