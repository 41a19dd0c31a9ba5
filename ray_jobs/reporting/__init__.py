"""What `amia report` collects from a run, a file a section; `amia.report` draws it."""
