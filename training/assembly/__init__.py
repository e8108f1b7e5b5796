"""How each stage's objective and samples are put together; ``training.stage_list`` says which function does it."""
