"""Thin commands: each parses, calls the job of its name, and says what came out. Nothing heavy is imported above."""
