"""The files of a run: their names, their formats, and how they are read and published."""
