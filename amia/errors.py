"""Exceptions of amia.

AmiaError                 any error that the user can act on; the command line prints it without a traceback
├── SettingsError         a setting is unknown, out of range or contradicts another
├── CorpusError           a source cannot be read as posts
├── ModelError            a model's weights are missing, unsafe or unsuitable for their role
├── ImageError            an image cannot be decoded; `reason` is recorded in the status column
├── SynthesisError        the generator produced no usable image for a text
├── MixtureError          no reliable mixture can be fitted, or there is none for a split
└── RunError              a run directory cannot be used as requested
    ├── StoreError        the storage failed or does not support create-if-absent
    ├── IdentityError     the run was made with other settings or input
    ├── ClusterError      the cluster lacks the resources that the job's pools request
    └── StageError        a stage failed with an unexpected error
"""

__all__ = [
    "AmiaError",
    "ClusterError",
    "CorpusError",
    "IdentityError",
    "ImageError",
    "MixtureError",
    "ModelError",
    "RunError",
    "SettingsError",
    "StageError",
    "StoreError",
    "SynthesisError",
]


class AmiaError(Exception):
    """Base class of errors that the user can act on: the message says what failed, where, and what to do."""


class SettingsError(AmiaError):
    """A setting is unknown, out of range or contradicts another."""


class CorpusError(AmiaError):
    """A source cannot be read as posts."""


class ModelError(AmiaError):
    """A model's weights are missing, unsafe or unsuitable for their role."""


class ImageError(AmiaError):
    """An image cannot be decoded.

    `reason` is one short word (`empty`, `truncated`, `too_large`, ...); the status column records `bad_image(reason)`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class SynthesisError(AmiaError):
    """The generator produced no usable image for a text; `reason` as in `ImageError`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class MixtureError(AmiaError):
    """No reliable mixture can be fitted (too few losses, or not bimodal), or there is none for a split."""


class RunError(AmiaError):
    """A run directory cannot be used as requested."""


class StoreError(RunError):
    """The storage failed, or it does not support create-if-absent."""


class IdentityError(RunError):
    """The run was made with other settings or input; the message shows the difference."""


class ClusterError(RunError):
    """The cluster lacks the resources that the job's pools request."""


class StageError(RunError):
    """A stage failed with an unexpected error, most likely a bug; the run's log has the traceback."""
