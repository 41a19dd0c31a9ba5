"""Augmented posts in the layouts that other people's code reads: UMT's text files and image folder, WebDataset tars."""
