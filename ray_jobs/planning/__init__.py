"""Before a job: what would run, how long it would take, what it would cost."""
