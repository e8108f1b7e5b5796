"""Commands for data sets: written, checked, imported, captioned."""
