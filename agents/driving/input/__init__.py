"""What the driver asks for: keys, gamepads and wheels, or a policy in their place."""
