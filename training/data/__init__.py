"""Where training footage comes from, and latents computed from it once."""
