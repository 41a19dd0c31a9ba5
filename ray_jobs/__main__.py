"""`python -m ray_jobs ...` is the same as `amia ...`; it is the entry point for `ray job submit`."""

from ray_jobs.cli.main import main

main()
