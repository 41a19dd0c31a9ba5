"""Training of recognizers with Ray Train: workers, streamed data, checkpoints, and messages to the driver."""
