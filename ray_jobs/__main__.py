"""`python -m ray_jobs ...` is `amia ...`: what `ray job submit` calls."""

from ray_jobs.cli.main import main

main()
