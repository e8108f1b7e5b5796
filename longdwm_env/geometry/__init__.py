"""Pure functions of shape: poses, cameras, kinematics, planned trajectories and the depth-free warp.

Nothing here keeps state, reads files or knows of environments and models; driving and training call the same code.
"""
