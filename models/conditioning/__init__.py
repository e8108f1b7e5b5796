"""What a denoiser is given: views of a frame, warps, road users, text."""
