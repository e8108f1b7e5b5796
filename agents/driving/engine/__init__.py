"""What drives: the session and its moments, worlds that answer, playback, branches and trips."""
