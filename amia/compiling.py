"""`torch.compile` with a way back: a part that cannot be compiled here runs as it is, and it is told why."""

from collections.abc import Mapping
from typing import Any

import torch

from amia.halving import is_out_of_memory

__all__ = ["Compiled"]

BACKEND = "inductor"
"""Of `torch.compile`: writes the GPU's kernels."""


class Compiled:
    """Parts of a model by name, each a graph of fixed shapes that is made when the part is first called."""

    def __init__(self, parts: Mapping[str, torch.nn.Module]) -> None:
        self.eager: dict[str, str] = {}
        """Parts that run uncompiled though they were to be compiled, and what the compiler said."""
        for name, part in parts.items():
            part.compile(backend=BACKEND, dynamic=False)
            self._guard(name, part)

    def _guard(self, name: str, part: torch.nn.Module) -> None:
        compiled: Any = part._compiled_call_impl  # what `compile` sets; torch has no public undoing

        def called(*given: Any, **named: Any) -> Any:
            try:
                return compiled(*given, **named)
            except Exception as error:  # compilers fail in every way there is
                if is_out_of_memory(error):
                    raise
                said = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])  # whose, and what
                reason = f"{type(error).__name__}: {said}".removesuffix(": ")
            done = part._call_impl(*given, **named)  # type: ignore[no-untyped-call]  # a model's own fault comes again here
            part._compiled_call_impl = None
            self.eager[name] = reason
            return done

        part._compiled_call_impl = called
