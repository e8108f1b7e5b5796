"""The paper's evaluation protocols (LongDWM, appendix D), each from a source of clips to a table."""
