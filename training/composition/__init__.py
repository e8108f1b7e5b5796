"""Training of the compositor: its own drives through simulated scenes, a critic, and the loop."""
