"""What an episode is made of: its start, each control period with its pictures, what is seen and scored of it."""
