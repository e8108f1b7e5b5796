"""The simulator's traffic: who drives, what drivers see and decide, and the step from one frame to the next."""
