"""Training in less memory and over several processes, and what a step costs."""
