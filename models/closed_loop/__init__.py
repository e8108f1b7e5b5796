"""Generation second after second: one sample, a rollout, a long video, and what is looked ahead or stands still."""
