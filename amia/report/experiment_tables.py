"""Tables of an experiment as stored in a run: `experiments/<name>/tables.json`."""

from collections import Counter

from pydantic import BaseModel, ConfigDict, ValidationError

from amia.errors import RunError
from amia.experiments.table import Table
from amia.experiments.when_map import WhenMap

__all__ = ["ExperimentTables", "parse_tables"]


class ExperimentTables(BaseModel):
    """Tables of one experiment. Other keys of the file are ignored."""

    model_config = ConfigDict(frozen=True)

    name: str
    notice: str | None
    """A warning to show before the tables, such as the use of demo weights."""
    tables: list[Table]
    map: WhenMap | None = None
    """The map of when augmentation helps, if the experiment made one."""

    @property
    def shared_notes(self) -> list[str]:
        """Footnotes of more than one table, except the notice."""
        counts = Counter(note for table in self.tables for note in dict.fromkeys(table.notes))
        return [note for note, count in counts.items() if count > 1 and note != self.notice]

    def own_notes(self, table: Table) -> list[str]:
        """Return the footnotes of this table only, except the notice."""
        return [note for note in table.notes if note not in self.shared_notes and note != self.notice]


def parse_tables(data: bytes, location: str) -> ExperimentTables:
    """Parse the content of `tables.json`. Raises RunError with the `location` of the file if it is invalid."""
    try:
        return ExperimentTables.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(
            f"{location} holds no tables in the format of this version of amia: {field}: {first['msg']}. "
            "Run `amia experiment` with the same arguments to write it again"
        ) from error
