"""One objective per file: the equation as a function of tensors, and the module that the loop trains with it."""
