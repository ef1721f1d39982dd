"""What a recipe may say: sections that fit together, and a schema that editors can use."""

import json

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from strop.errors import RecipeError
from strop.recipe import answer, data, evidence, sections
from strop.recipe.load import recipe_schema, resolve
from strop.recipe.sections import Recipe, Section

CONTENT = {
    "name": "small",
    "data": {"path": "rows.csv", "text": "question", "target": "label"},
    "model": {"name": "some-model"},
}
KINDS = {**vars(sections), **vars(data), **vars(evidence), **vars(answer)}.values()
SECTIONS = {kind for kind in KINDS if isinstance(kind, type) and issubclass(kind, Section)} - {Section}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["stages.0.trainable=adapter"], r"stages\.0\.trainable: there must be an adapter to train"),
        (["model.adapter.rank=8"], r"stages\.0\.trainable: with model\.adapter"),
        (["model.adapter.rank=8", "stages=[{trainable: head}, {trainable: all}]"], r"stages\.1\.trainable: with"),
        (["split.validation_fraction=0"], r"split\.validation_fraction: there must be rows to choose the checkpoint"),
        (["split.test_fraction=0.6", "split.validation_fraction=0.4"], r"must stay below 1: rows to train on"),
        (["data.part=part", "split.folds=3"], r"split\.folds: the parts come from a column or from folds, not from bo"),
        (["data.target=null"], r"data\.target: the task 'classify' needs the column that holds the label"),
        (["data.targets=[a]"], r"data\.targets: the task 'classify' reads data\.target alone"),
        (["data.target_scale=rank"], r"data\.target_scale: only numbers have a scale"),
        (["data.target_range=[1, 0]"], r"data\.target_range: the lowest value must be below the highest"),
        (["data.target_range={a*: [1, 1]}"], r"data\.target_range\.a\*: the lowest value must be below the highest"),
        (["evaluation.primary_metric=spearman"], r"it must be a metric of the task 'classify'"),
        (["evaluation.baselines=[mean]"], r"evaluation\.baselines\.0: it must be a baseline of the task 'classify'"),
        (
            [
                "task=regress",
                "data.target=null",
                "data.targets=a",
                "stages.0.batch_size=1",
                "stages.0.objective=pairwise_rank",
            ],
            r"stages\.0\.batch_size: ranks are learnt from pairs of one batch",
        ),
        (
            ["task=regress", "data.target=null", "data.targets=a", "stages.0.label_smoothing=0.1"],
            r"stages\.0\.label_smoothing: it belongs to the objective 'cross_entropy'",
        ),
        (["text.keep=tail", "text.parts={question: {}}"], r"text\.keep: every part has a `keep` of its own"),
        (["data.categorical=label"], r"data\.categorical: a column that is to be predicted must not be read"),
        (
            ["task=regress", "data.target=null", "data.targets=a", "evaluation.baselines=[metadata_ridge]"],
            r"evaluation\.baselines\.0: this baseline reads metadata",
        ),
        (
            ["data.text_lengths=true", "data.numeric=length of question"],
            r"data\.numeric: with data\.text_lengths this name is that of the length of the column 'question'",
        ),
        (
            ["data.text_lengths=true", "model.pooling=native"],
            r"data\.text_lengths: it needs a head on pooled states",
        ),
        (["stages.0.objective=mse"], r"stages\.0\.objective: it must be an objective of the task 'classify'"),
        (["text.parts={title: {}}"], r"text\.parts: it must have one entry for every column of data\.text"),
        (["text.parts={question: {share: 0.5}}", "text.template=x"], r"text\.parts and text\.template exclude each"),
        (["data.text=[a, b]", "text.parts={a: {share: 0.8}, b: {share: 0.4}}"], r"must not add up to more than 1"),
        (["model.pooling=parts"], r"model\.pooling: pooling by parts needs text\.parts"),
        (["model.pooling=native", "data.categorical=host"], r"data\.categorical: it needs a head on pooled states"),
        (["stages=[{cycles: 0, stages: [{}]}]"], r"stages\.0 must have 'cycles', a whole number above 0"),
        (["seed=true"], r"seed: it must not be true or false"),
        (["stages.0.epochs=yes"], r"stages\.0\.epochs: it must not be true or false"),
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
        ["split.test_fraction=0.9", "split.folds=2"],
        ["task=regress", "data.target=null", "data.targets=score_*"],
        ["data.text=[a, b]", "text.parts={a: {}, b: {share: 0.5}}"],
    ],
)
def test_entries_that_fit_together_are_taken(overrides):
    resolve(CONTENT, overrides)


def test_all_broken_rules_are_reported_at_once():
    with pytest.raises(RecipeError) as caught:
        resolve(CONTENT, ["stages.0.trainable=adapter", "data.part=part", "split.folds=3", "model.pooling=parts"])
    places = [problem.where for problem in caught.value.problems]
    assert places == ["recipe: stages.0.trainable", "recipe: split.folds", "recipe: model.pooling"]


def test_cycles_are_written_out():
    recipe = resolve(CONTENT, ["stages=[{cycles: 2, stages: [{trainable: all}, {trainable: head}]}, {epochs: 1}]"])
    assert [stage.trainable for stage in recipe.stages] == ["all", "head", "all", "head", "all"]
    assert resolve(recipe.model_dump(mode="json")) == recipe


def test_defaults_follow_the_task_and_are_written_out():
    recipe = resolve(CONTENT, ["task=regress", "data.target=null", "data.targets=score_*", "stages=[{}, {epochs: 1}]"])
    assert [stage.objective for stage in recipe.stages] == ["bce", "bce"]
    assert recipe.evaluation.primary_metric == "spearman"
    assert recipe.evaluation.baselines == ["mean", "tfidf_ridge"]
    with_metadata = resolve(recipe.model_dump(exclude={"evaluation"}), ["data.categorical=host"])
    assert with_metadata.evaluation.baselines == ["mean", "tfidf_ridge", "metadata_ridge"]
    with_lengths = resolve(recipe.model_dump(exclude={"evaluation"}), ["data.text_lengths=true"])
    assert with_lengths.evaluation.baselines == ["mean", "tfidf_ridge", "metadata_ridge"]
    assert resolve(CONTENT).stages[0].objective == "cross_entropy"


def test_a_recipe_cannot_be_changed_once_it_is_resolved():
    with pytest.raises(ValidationError, match="frozen"):
        resolve(CONTENT).seed = 3


@pytest.mark.parametrize(
    "section", sorted(SECTIONS, key=lambda section: section.__name__), ids=lambda section: section.__name__
)
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
        section.__name__: set(section.model_fields) for section in SECTIONS
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


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.where={}", "data.where: it must not be empty\n  came: {}\n  do:   Keep only rows whose value"),
        ("data.where=[a]", "data.where: it must have names and values, as in {name: value}\n  came: ['a']"),
        ("data.where={id: 5}", "came: 5\n  do:   Keep only rows whose value"),
        ("data.target_range=5", "data.target_range: it must be a list\n  came: 5\n  do:   Lowest and highest value"),
        ("data.target_range={a: 5}", "data.target_range.a: it must be a list\n  came: 5\n  do:   Lowest and highest"),
        (
            "data.target_range={}",
            "data.target_range: it must not be empty\n  came: {}\n  do:   Lowest and highest value",
        ),
        ("data.target_range=[0, x]", "data.target_range.1: Input should be a valid number"),
        ("data.target_range={a: [1, 2, 3]}", "data.target_range.a: "),
    ],
)
def test_mappings_are_spoken_of_in_words_of_a_recipe(override, words):
    with pytest.raises(RecipeError) as caught:
        resolve(CONTENT, [override])
    (problem,) = caught.value.problems
    assert words in str(problem)
