"""Execution of stages on a Ray cluster: pools, progress, heartbeats and signals."""
