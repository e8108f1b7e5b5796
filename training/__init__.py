"""Building and measuring the world model: footage, latents, losses, the loop, metrics and protocols."""
