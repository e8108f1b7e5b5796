"""Commands around training: starting points, studies, policies, and what is shipped."""
