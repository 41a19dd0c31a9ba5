"""The errors that amia raises on purpose.

AmiaError                 anything the person can act on; the command line prints it without a traceback
├── SettingsError         a setting is unknown, out of range or contradicts another
├── CorpusError           a source cannot be read as posts
├── ModelError            a model's weights are missing, foreign or unfit for their role
├── ImageError            an image's bytes cannot become pixels; `reason` is what the status column records
├── SynthesisError        no usable image came out of the generator for one text
├── MixtureError          there is too little, or nothing bimodal, to fit the matching score on
└── RunError              a run directory cannot be used as asked
    ├── StoreError        the storage failed or does not keep create-if-absent
    ├── IdentityError     the run was made with other settings or input
    ├── ClusterError      the machines do not have what the job's pools ask for
    └── StageError        a stage broke off for a reason that nobody foresaw
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
    """Anything the person can act on: the message says what failed, where, and what to do."""


class SettingsError(AmiaError):
    """A setting is unknown, out of range or contradicts another."""


class CorpusError(AmiaError):
    """A source cannot be read as posts."""


class ModelError(AmiaError):
    """A model's weights are missing, foreign or unfit for their role."""


class ImageError(AmiaError):
    """An image's bytes cannot become pixels.

    `reason` is one short word (`empty`, `truncated`, `too_large`, ...): the status column records `bad_image(reason)`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class SynthesisError(AmiaError):
    """No usable image came out of the generator for one text; `reason` as in `ImageError`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class MixtureError(AmiaError):
    """There is too little, or nothing bimodal, to fit the matching score on."""


class RunError(AmiaError):
    """A run directory cannot be used as asked."""


class StoreError(RunError):
    """The storage failed, or does not keep create-if-absent."""


class IdentityError(RunError):
    """The run was made with other settings or input; the message shows the difference."""


class ClusterError(RunError):
    """The machines do not have what the job's pools ask for."""


class StageError(RunError):
    """A stage broke off for a reason that nobody foresaw, a bug above all; the run's log keeps the traceback."""
