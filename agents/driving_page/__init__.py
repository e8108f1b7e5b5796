"""Driving in a browser: the session of the window, served as one page to one driver and any number of viewers."""
