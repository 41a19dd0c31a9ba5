"""Collect the content of `amia report` from a run, one module per group of sections; `amia.report` renders it."""
