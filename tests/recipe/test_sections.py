"""What a recipe may say: sections that fit together, and a schema that editors can use."""

import json

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from strop.errors import RecipeError
from strop.recipe import sections
from strop.recipe.load import recipe_schema, resolve
from strop.recipe.sections import Recipe, Section

CONTENT = {
    "name": "small",
    "data": {"path": "rows.csv", "text": "question", "target": "label"},
    "model": {"name": "some-model"},
}
SECTIONS = [kind for kind in vars(sections).values() if isinstance(kind, type) and issubclass(kind, Section)]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["stages.0.trainable=adapter"],
            r"stages\.0\.trainable is 'adapter': the recipe must have a section model\.ad",
        ),
        (["model.adapter.rank=8"], r"stages\.0\.trainable is 'all' but model\.adapter is set: say 'adapter'"),
        (
            ["model.adapter.rank=8", "stages=[{trainable: head}, {trainable: all}]"],
            r"stages\.1\.trainable is 'all' but model\.adapter is set",
        ),
        (["split.validation_fraction=0"], r"split\.validation_fraction must be above 0 unless there are folds"),
        (["split.test_fraction=0.6", "split.validation_fraction=0.4"], r"must stay below 1: rows to train on"),
        (["data.part=part", "split.folds=3"], r"data\.part and split\.folds exclude each other"),
    ],
)
def test_entries_that_do_not_fit_together_are_refused(overrides, words):
    with pytest.raises(RecipeError, match=words):
        resolve(CONTENT, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.adapter.rank=8", "stages=[{trainable: head}, {trainable: adapter}]"],
        ["stages.0.trainable=head"],
        ["split.validation_fraction=0", "split.folds=2"],
        ["split.validation_fraction=0", "data.part=part"],
        ["split.test_fraction=0"],
        ["data.text=[title, body]"],
    ],
)
def test_entries_that_fit_together_are_taken(overrides):
    resolve(CONTENT, overrides)


def test_a_recipe_cannot_be_changed_once_it_is_resolved():
    with pytest.raises(ValidationError, match="frozen"):
        resolve(CONTENT).seed = 3


@pytest.mark.parametrize("section", SECTIONS[1:], ids=lambda section: section.__name__)
def test_every_entry_says_what_it_is(section):
    undescribed = [name for name, field in section.model_fields.items() if not field.description]
    assert undescribed == []


def test_data_and_model_have_no_default():
    assert {name for name, field in Recipe.model_fields.items() if field.is_required()} == {"name", "data", "model"}


# The schema for editors


def test_the_schema_is_a_json_schema_that_can_be_printed():
    schema = json.loads(json.dumps(recipe_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_the_schema_has_every_key_with_its_description_and_no_other():
    schema = recipe_schema()
    described = {"Recipe": schema["properties"], **{n: d["properties"] for n, d in schema["$defs"].items()}}
    assert {name: set(properties) for name, properties in described.items()} == {
        section.__name__: set(section.model_fields) for section in SECTIONS[1:]
    }
    entries = [entry for properties in described.values() for entry in properties.values()]
    of_sections = [schema["$defs"][entry["$ref"].rpartition("/")[2]] for entry in entries if "$ref" in entry]
    assert all("description" in entry for entry in [*of_sections, *(one for one in entries if "$ref" not in one)])


@pytest.mark.parametrize(
    ("content", "valid"),
    [
        (CONTENT, True),
        (resolve(CONTENT).model_dump(mode="json"), True),
        (resolve(CONTENT, ["text.windows.max_windows=2", "split.folds=3"]).model_dump(mode="json"), True),
        ({**CONTENT, "sead": 1}, False),
        ({**CONTENT, "split": {"folds": 1}}, False),
        ({"name": "a", "data": CONTENT["data"]}, False),
    ],
)
def test_the_schema_takes_what_the_recipe_takes(content, valid):
    assert Draft202012Validator(recipe_schema()).is_valid(content) is valid
