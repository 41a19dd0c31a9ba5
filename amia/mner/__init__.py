"""Recognisers of entities in posts."""
