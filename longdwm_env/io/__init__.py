"""Files and processes: what is written whole, read from outside, shown in a window or on a sheet."""
