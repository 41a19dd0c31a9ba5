"""Environment variables of every Ray that tests start."""

__all__ = ["RAY_SETTINGS"]

RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray Data would start a process in every Ray that only counts how it is used
    "RAY_worker_niceness": "0",  # by default actors get hardly any time while other tests run on the same cores
}
