"""The grid of an experiment: its settings, its cells."""
