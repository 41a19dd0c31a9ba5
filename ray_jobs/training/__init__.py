"""Recognizers in training: Ray Train's workers, what they read, and what they leave in the run."""
