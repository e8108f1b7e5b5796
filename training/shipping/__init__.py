"""From a trained workspace to the weights of the package, each with its card."""
