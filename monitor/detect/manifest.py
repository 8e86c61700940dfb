"""What a model's folder says of itself: `manifest.json`, one shape for each kind of model, and its files' hashes."""

import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

import pydantic

from monitor.detect.stream import Chunks
from monitor.errors import ModelError
from monitor.records import NOT_A_CRY, SAMPLE_RATE_HZ, UNSURE, Sensitivity

Fraction = Annotated[float, pydantic.Field(gt=0, lt=1)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Count = Annotated[int, pydantic.Field(ge=1, le=64)]
Category = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9_]{1,32}$")]


class Threshold(pydantic.BaseModel, frozen=True, extra="forbid"):
    """An episode starts when `need` of the last `of` windows reach `enter`, and goes on while one reaches `exit`."""

    enter: Fraction
    exit: Fraction
    need: Count
    of: Count

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "Threshold":
        if self.exit > self.enter or self.need > self.of:
            raise ValueError("exit must not exceed enter, nor need exceed of")
        return self


class AnyManifest(pydantic.BaseModel, frozen=True, extra="ignore"):
    """What every `manifest.json` must say; more is allowed (metrics, data and code versions are for people)."""

    fix: ClassVar[str]
    """What to do about a folder of this kind that cannot be used."""

    format: Literal[1]
    name: str
    version: str
    sample_rate_hz: Literal[16_000]
    window_samples: Annotated[int, pydantic.Field(ge=1_600, le=8 * SAMPLE_RATE_HZ)]
    signature: str
    input: str
    outputs: dict[str, list[int]]
    files: dict[str, str]

    @pydantic.field_validator("outputs")
    @classmethod
    def _named_as_the_model(cls, outputs: dict[str, list[int]], info: pydantic.ValidationInfo) -> dict[str, list[int]]:
        if info.data.get("name") not in outputs:
            raise ValueError(f"must hold one named {info.data.get('name')!r}")
        return outputs

    @property
    def label(self) -> str:
        """Name and version, as `health` and events say it."""
        return f"{self.name} {self.version}"


class Manifest(AnyManifest, frozen=True):
    """What a model that tells cries must say."""

    fix: ClassVar[str] = "install the model's folder again, or name another with model.path"

    hop_samples: Annotated[int, pydantic.Field(ge=800, le=2 * SAMPLE_RATE_HZ)]
    stream: Chunks | None = None
    sensitivity: dict[Sensitivity, Threshold]

    @pydantic.field_validator("sensitivity")
    @classmethod
    def _all_three(cls, sensitivity: dict[Sensitivity, Threshold]) -> dict[Sensitivity, Threshold]:
        if missing := {"low", "normal", "high"} - sensitivity.keys():
            raise ValueError(f"must have low, normal and high; {', '.join(sorted(missing))} is absent")
        return sensitivity


class ReasonManifest(AnyManifest, frozen=True):
    """What a model that tells why it probably cries must say.

    Attributes:
        categories: In the order of the output `reason`.
        weight: How far its likelihood is to be believed: measured on households that it never heard.
        min_confidence: From here on a cause was told better than by chance; None: at no confidence.
    """

    fix: ClassVar[str] = "install the model's folder again, or name another with reason.path"

    name: Literal["reason"]
    window_samples: Annotated[int, pydantic.Field(ge=SAMPLE_RATE_HZ, le=8 * SAMPLE_RATE_HZ)]
    categories: Annotated[tuple[Category, ...], pydantic.Field(min_length=2)]
    weight: Share
    min_confidence: Share | None

    @pydantic.field_validator("categories")
    @classmethod
    def _each_means_one_thing(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(categories)) < len(categories) or {UNSURE, NOT_A_CRY} & set(categories):
            raise ValueError(f"must be unique, and none {UNSURE} or {NOT_A_CRY}")
        return categories

    @pydantic.model_validator(mode="after")
    def _a_likelihood_each(self) -> "ReasonManifest":
        if self.outputs[self.name] != [len(self.categories)]:
            raise ValueError(f"outputs.{self.name} must be [{len(self.categories)}], one for each of the categories")
        return self


M = TypeVar("M", bound=AnyManifest)


def read_manifest(folder: Path, kind: type[M]) -> M:
    """Read what `folder` says of itself, and compare its files with their hashes; blocks for the disk.

    Raises:
        ModelError: A file is absent or damaged, or the manifest does not say what its kind must.
    """
    path = folder / "manifest.json"
    try:
        manifest = kind.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(str(path), f"{where}: {first['msg']}", kind.fix) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        fault = (getattr(error, "strerror", None) or "cannot be read").lower()
        raise ModelError(str(path), fault, kind.fix) from error
    _check_hashes(folder, manifest)
    return manifest


def _check_hashes(folder: Path, manifest: AnyManifest) -> None:
    for name, wanted in manifest.files.items():
        path = folder / name
        try:
            outside = not path.resolve().is_relative_to(folder.resolve())
        except (ValueError, RuntimeError, OSError) as error:  # a NUL in the name; a link to itself
            raise ModelError(str(folder / "manifest.json"), f"files: {name!r}: {error}", manifest.fix) from error
        if outside:
            raise ModelError(str(folder / "manifest.json"), f"files: {name!r} lies outside the folder", manifest.fix)
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(str(path), (error.strerror or "cannot be read").lower(), manifest.fix) from error
        if found != wanted:
            raise ModelError(str(path), "is damaged: its SHA-256 is not the manifest's", manifest.fix)
