"""Where a run lies, and the files it is made of."""
