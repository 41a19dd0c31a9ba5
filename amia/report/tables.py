"""An experiment's tables as they stand in a run: `experiments/<name>/tables.json`."""

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from amia.errors import RunError

__all__ = ["Experiment", "Table", "read_tables"]


class Table(BaseModel):
    """One table; every cell is a string as it is shown."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Short, for a machine."""
    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str]

    @property
    def words(self) -> list[bool]:
        """Which columns hold words, and stand to the left; numbers stand under each other."""
        return [any(cell[:1].isalpha() for cell in column[1:]) for column in zip(self.head, *self.rows, strict=True)]

    @model_validator(mode="after")
    def _rectangular(self) -> "Table":
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"table {self.name!r}: a row has another number of cells than the head")
        return self


class Experiment(BaseModel):
    """An experiment's results. Whatever else its file says is for others."""

    model_config = ConfigDict(frozen=True)

    name: str
    notice: str | None
    """What the reader must know before the figures, such as that they come from demo weights."""
    tables: list[Table]


def read_tables(data: bytes, where: str) -> Experiment:
    """What an experiment has written down. Raises RunError, naming `where`, for anything of another shape."""
    try:
        return Experiment.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise RunError(f"{where} holds no tables of an experiment: {place}: {first['msg']}") from error
