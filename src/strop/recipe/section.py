"""What all sections of a recipe have in common: the base class and the kinds of numbers."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]
AtLeastOne = Annotated[list[str], Field(min_length=1)]


def _one_may_stand_alone(value: object) -> object:
    return [value] if isinstance(value, str) else value


ColumnNames = Annotated[AtLeastOne, BeforeValidator(_one_may_stand_alone, json_schema_input_type=str | AtLeastOne)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """YAML's `yes` would pass as the number 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("it must not be true or false")
        return value
