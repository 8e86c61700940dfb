"""What a value may be: the types that the tables share, and the parent of every table."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Sensitivity = Literal["low", "normal", "high"]
"""As in `records`, which cannot be imported here: it needs numpy, and `check-config` must not wait for that."""

SourceKind = Literal["microphone", "pulse", "rtsp", "file"]
Runtime = Literal["auto", "litert", "tensorflow"]
LogLevel = Literal["debug", "info", "warning", "error"]
Protocol = Literal["5", "3.1.1"]

TEXT = r"^[^\x00-\x1f\x7f]*$"  # a line break in a name or a topic would only show up far from here
Text = Annotated[str, Field(max_length=200, pattern=TEXT)]
SomeText = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=65_535)]  # 65 535 bytes is MQTT's own bound


class Given(str):
    """A value from the environment or the command line, where all is text: "8883" may stand for a number there only."""

    __slots__ = ()


class Table(BaseModel):
    """The parent of every table: frozen, no unknown keys, no guessing of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    @field_validator("*", mode="before")
    @classmethod
    def _typed(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what pydantic would convert in silence: `port = true` as 1, `enabled = 1` as true, `port = "1883"`."""
        wanted = cls.model_fields[info.field_name or ""].annotation
        text = isinstance(value, str) and not isinstance(value, Given)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        wants_number = wanted in (int, float, float | None)
        if (wants_number and (text or isinstance(value, bool))) or (wanted is bool and (text or number)):
            raise PydanticCustomError("wrong_type", "is of another type")
        if wanted in (Path, Path | None):
            if value == "":
                raise ValueError("is empty; name a path or remove the key")
            if isinstance(value, str) and "\0" in value:
                raise ValueError("holds a NUL, which no path may; remove it")
        return value


ROOM_ID = r"^[a-z0-9_]{1,32}$"
RoomId = Annotated[str, Field(pattern=ROOM_ID)]
