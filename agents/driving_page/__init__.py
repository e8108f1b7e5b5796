"""Driving in a browser: the session of the window, served as one page to one driver and to whoever else looks on."""
