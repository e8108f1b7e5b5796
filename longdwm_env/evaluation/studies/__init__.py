"""Does the method work? The paper's questions with small models: same data, parameters and compute, several seeds."""
