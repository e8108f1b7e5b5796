"""A small network that imitates the privileged driver from the camera: demonstrations, training, and the policy."""
