"""An experiment's tables as they stand in a run: `experiments/<name>/tables.json`."""

from collections import Counter
from itertools import chain, groupby

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from amia.errors import RunError
from amia.experiments.table import Interval

__all__ = ["Experiment", "Table", "read_tables"]


class Table(BaseModel):
    """One table; every cell is a string as it is shown."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Short, for a machine."""
    title: str
    head: list[str]
    over: list[str]
    """The data set of each column; empty over labels."""
    rows: list[list[str]]
    intervals: list[list[Interval | None]]
    """Of each cell of `rows` that is a comparison its difference, and the two ends of its interval."""
    notes: list[str]

    @property
    def words(self) -> list[bool]:
        """Which columns hold words, and stand to the left; numbers stand under each other."""
        return [any(cell[:1].isalpha() for cell in column[1:]) for column in zip(self.head, *self.rows, strict=True)]

    @property
    def drawn(self) -> list[bool]:
        """Which columns have an interval in any row."""
        return [any(column) for column in zip(*self.intervals, strict=True)] if self.rows else [False] * len(self.head)

    @property
    def reach(self) -> float:
        """The farthest end of any interval from zero; 0 without one."""
        ends = (abs(end) for each in chain(*self.intervals) if each for end in each)
        return max(ends, default=0.0)

    @property
    def parties(self) -> list[tuple[str, int]]:
        """Data sets over the columns, and over how many each, a drawn one counting for two; none where there is but
        one data set to name."""
        if len(set(filter(None, self.over))) < 2:
            return []
        places = groupby(range(len(self.over)), key=self.over.__getitem__)
        return [(name, sum(1 + self.drawn[place] for place in some)) for name, some in places]

    @model_validator(mode="after")
    def _rectangular(self) -> "Table":
        if {len(self.over), *map(len, self.rows), *map(len, self.intervals)} != {len(self.head)}:
            raise ValueError(f"table {self.name!r}: a row has another number of cells than the head")
        if len(self.rows) != len(self.intervals):
            raise ValueError(f"table {self.name!r}: there are not as many rows as intervals of rows")
        return self


class Experiment(BaseModel):
    """An experiment's results. Whatever else its file says is for others."""

    model_config = ConfigDict(frozen=True)

    name: str
    notice: str | None
    """What the reader must know before the figures, such as that they come from demo weights."""
    tables: list[Table]

    @property
    def shared(self) -> list[str]:
        """Notes of more than one table but the notice: said once, they hold for all."""
        times = Counter(note for table in self.tables for note in dict.fromkeys(table.notes))
        return [note for note, count in times.items() if count > 1 and note != self.notice]

    def own(self, table: Table) -> list[str]:
        """The notes of a table that are no other's, and not the notice."""
        return [note for note in table.notes if note not in self.shared and note != self.notice]


def read_tables(data: bytes, where: str) -> Experiment:
    """What an experiment has written down. Raises RunError, naming `where`, for anything of another shape."""
    try:
        return Experiment.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise RunError(
            f"{where} holds no tables of an experiment as this amia writes them: {place}: {first['msg']}. "
            "`amia experiment` with the same words writes them again"
        ) from error
