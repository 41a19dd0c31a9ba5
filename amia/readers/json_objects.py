"""JSON from strangers, to a dict or to a reason."""

import json
from typing import Any, NoReturn

from amia.errors import CorpusError

__all__ = ["parse_object"]


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises CorpusError with the reason, for NaN and Infinity and endless nesting too."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise CorpusError("not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorpusError("not a JSON object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
