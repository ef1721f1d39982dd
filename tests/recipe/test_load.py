"""Recipes from YAML: read, overridden, written again; every problem at once, with its place and what to do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import RecipeError
from strop.recipe.load import differing_keys, dump_recipe, parse_yaml, read_recipe, resolve

SMALLEST = "name: small\ndata: {path: rows.csv, text: question, target: label}\nmodel: {name: some-model}\n"
CONTENT = parse_yaml(SMALLEST, "recipe")
ADAPTER = ["model.adapter.rank=8", "stages.0.trainable=adapter"]


def problems_of(content, overrides=()):
    with pytest.raises(RecipeError) as caught:
        resolve(content, overrides)
    return {problem.where: problem for problem in caught.value.problems}


def problems_of_override(*overrides):
    return problems_of(CONTENT, overrides)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(SMALLEST, encoding="utf-8")
    return path


# What is read


def test_a_recipe_is_read_and_every_default_is_written_out(file):
    recipe = read_recipe(file)
    assert recipe.data.text == ["question"]
    written = parse_yaml(dump_recipe(recipe), "dump")
    assert list(written) == [
        "name", "task", "data", "model", "split", "evidence", "text", "answer", "stages", "evaluation", "seed",
        "report_to",
    ]  # fmt: skip
    assert written == recipe.model_dump(mode="json")
    assert written["stages"][0]["learning_rate"] == 2e-5
    assert written["model"]["adapter"] is None


def test_a_byte_order_mark_is_no_part_of_the_first_key(file):
    file.write_text(SMALLEST, encoding="utf-8-sig")
    assert read_recipe(file).name == "small"


@pytest.mark.parametrize(
    ("written", "number"), [("3e-5", 3e-5), ("3E-5", 3e-5), ("1.5e-4", 1.5e-4), ("2e1", 20.0), (".5e-3", 5e-4)]
)
def test_a_number_with_an_exponent_is_a_number(file, written, number):
    assert parse_yaml(f"rate: {written}", "recipe") == {"rate": number}
    assert read_recipe(file, [f"stages.0.learning_rate={written}"]).stages[0].learning_rate == number


@pytest.mark.parametrize("word", ["e5", "e5-small", "1e", "v1e5", "3e-5x"])
def test_a_word_that_only_looks_like_a_number_stays_a_word(word):
    assert parse_yaml(f"name: {word}", "recipe") == {"name": word}


# What is written is read again as the same


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [*ADAPTER, "model.adapter.base_in_4bit=true"],
        ["text.windows.stride_tokens=32", "split.folds=5", "stages.0.learning_rate=3e-5"],
        ['text.template="query: {{ text }}"', "data.header=[label, text]", "model.revision='1e5'"],
        ["stages=[{trainable: head}, {epochs: 0.5}]", "report_to=[tensorboard]"],
    ],
)
def test_a_written_recipe_is_read_as_the_same_recipe(file, overrides):
    recipe = read_recipe(file, overrides)
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    assert read_recipe(file) == recipe
    assert dump_recipe(read_recipe(file)) == dump_recipe(recipe)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["1e5", "3e-5", "12e4567", "1_0e2", "yes", "null", "~", "0x1f", "2020-01-01", "{{ text }}", "- a", "a: b", "<<"]
)


@settings(deadline=None, max_examples=80)
@given(text=TEXTS, rate=st.floats(1e-12, 1e6))
def test_any_text_and_any_number_survive_writing_and_reading(text, rate):
    content = {
        **CONTENT,
        "data": {"path": text, "text": [f"{text} and more"], "target": text},
        "stages": [{"learning_rate": rate}],
    }
    recipe = resolve(content)
    assert recipe.data.target == text
    assert resolve(parse_yaml(dump_recipe(recipe), "dump")) == recipe


# What is refused in the file


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RecipeError, match=r"no\.yaml: the recipe must be a file .*\n  came: no such file"):
        read_recipe(tmp_path / "no.yaml")
    with pytest.raises(RecipeError, match=r"came: Is a directory"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"must be a mapping .*\n  came: an empty file"),
        (b"- a\n- b\n", r"must be a mapping .*\n  came: list"),
        ("name: 과제".encode("cp949"), "the recipe must be UTF-8 text"),
        (b"name: a\ndata: [1, 2\nseed: 1\n", r"recipe\.yaml, line 3: the recipe must be YAML"),
        (b"name: \x00\n", "the recipe must be YAML"),
        (b"{a: 1}: 2\n", "a key must be a plain word"),
    ],
    ids=["empty", "list", "cp949", "broken", "zero byte", "key"],
)
def test_a_file_that_is_no_recipe_is_said(file, content, words):
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        read_recipe(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nseed: 1\nname: b\n", "line 3: .*\n  came: the key 'name' is written twice, in line 1 and in line 3"),
        ("stages:\n- epochs: 1\n  epochs: 2\n", "line 3: .*\n.* 'epochs' is written twice, in line 2 and in line 3"),
        ("data: {text: a, text: b}\n", "line 1: .*\n.* 'text' is written twice, in line 1 and in line 1"),
    ],
)
def test_a_key_written_twice_is_refused_with_both_lines(text, words):
    with pytest.raises(RecipeError, match=words):
        parse_yaml(text, "recipe")


# What is refused in the content


@pytest.mark.parametrize(
    ("override", "where", "do"),
    [
        ("sead=1", "recipe: sead", "did you mean 'seed'?"),
        ("data.txet=a", "recipe: data.txet", "did you mean 'text'?"),
        ("model.adapter.rnak=4", "recipe: model.adapter.rnak", "did you mean 'rank'?"),
        ("text.windows.max_window=4", "recipe: text.windows.max_window", "did you mean 'max_windows'?"),
        ("stages.0.epoch=4", "recipe: stages.0.epoch", "did you mean 'epochs'?"),
        ("split.zzz=4", "recipe: split.zzz", "use one of: folds, near_duplicate_similarity, near_duplicates, "),
    ],
)
def test_a_key_that_does_not_exist_is_refused_at_any_depth(override, where, do):
    problem = problems_of_override(override)[where]
    assert problem.must == "the key must exist"
    assert problem.do.startswith(do)


def test_a_value_that_is_no_choice_is_answered_with_the_closest():
    problem = problems_of_override("evaluation.primary_metric=macrof1")["recipe: evaluation.primary_metric"]
    assert problem.came == "'macrof1'"
    assert problem.do == "did you mean 'macro_f1'?"


def test_what_has_no_default_must_be_given():
    problems = problems_of({"name": "a", "data": {"path": "x"}})
    assert list(problems) == ["recipe: data.text", "recipe: model", "recipe: data.target"]
    assert problems["recipe: data.text"].must == "this entry must be given, it has no default"
    assert problems["recipe: data.target"].must == "the task 'classify' needs the column that holds the label"
    assert problems["recipe: model"].do == "The pretrained model and what is put on it."


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1", "seed=1.5", "stages.0.epochs=0", "stages.0.epochs=.nan", "stages.0.epochs=.inf", "split.folds=1",
        "split.test_fraction=1.0", "text.max_length_tokens=7", "stages.0.batch_size=many", "data.text=[]", "stages=[]",
        "evaluation.confidence=95", "model.adapter.rank=0", "stages.0.layer_decay=0", "name=a/b", "name=../up",
        "model=3",
    ],
)  # fmt: skip
def test_a_value_out_of_its_range_is_refused_with_its_path_and_what_came(override):
    path = override.partition("=")[0]
    problems = problems_of_override(override)
    problem = problems[f"recipe: {path}"]
    assert problem.must
    assert problem.came
    assert problem.do


def test_several_problems_come_in_one_error():
    content = {**CONTENT, "sead": 1, "split": {"folds": 1}, "stages": [{"epochs": 0}, {"trainable": "heads"}]}
    problems = problems_of(content, ["text.windows.stride=3", "nonsense", "stages.7.epochs=1"])
    assert set(problems) == {
        "override 'nonsense'",
        "override 'stages.7.epochs'",
        "recipe: sead",
        "recipe: split.folds",
        "recipe: stages.0.epochs",
        "recipe: stages.1.trainable",
        "recipe: text.windows.stride",
    }
    assert problems["recipe: stages.1.trainable"].do == "did you mean 'head'?"


# Overrides


def test_overrides_change_what_they_name_and_nothing_else(file):
    changed = read_recipe(
        file, ["model.name=other", "stages.0.epochs=2", "data.text=[title, body]", "text.windows.max_windows=3"]
    )
    assert differing_keys(read_recipe(file), changed) == [
        "data.text: ['question'] -> ['title', 'body']",
        "model.name: 'some-model' -> 'other'",
        "stages.0.epochs: 3.0 -> 2.0",
        "text.windows.max_windows: None -> 3",
        "text.windows.stride_tokens: None -> 64",
    ]


def test_an_override_reaches_into_lists_and_can_take_a_value_away():
    content = {**CONTENT, "data": {**CONTENT["data"], "text": ["a", "b"]}, "split": {"folds": 5}}
    recipe = resolve(content, ["data.text.1=c", "split.folds=null"])
    assert (recipe.data.text, recipe.split.folds) == (["a", "c"], None)


def test_overrides_leave_the_given_mapping_alone():
    before = repr(CONTENT)
    resolve(CONTENT, ["stages.0.epochs=2", "data.text=other"])
    assert repr(CONTENT) == before


def test_the_last_override_of_a_path_wins():
    assert resolve(CONTENT, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "where", "must", "came"),
    [
        ("epochs", "override 'epochs'", "an override must read path=value", "epochs"),
        ("=3", "override '=3'", "an override must read path=value", "=3"),
        ("stages.1.epochs=2", "override 'stages.1.epochs'", "stages has entries 0 to 0", "1"),
        ("stages.-1.epochs=2", "override 'stages.-1.epochs'", "stages has entries 0 to 0", "-1"),
        ("stages.²=2", "override 'stages.²'", "stages has entries 0 to 0", "²"),
        ("stages.first=2", "override 'stages.first'", "stages has entries 0 to 0", "first"),
        ("name.x=2", "override 'name.x'", "name must be a section to have the entry 'x'", "'small'"),
        ("seed=[1", "override 'seed'", "the value of an override must be YAML", "expected ',' or ']'"),
        ("text.template={{ text }}", "override 'text.template'", "the value of an override must be YAML", "a key must"),
    ],
)
def test_an_override_that_cannot_be_applied_is_said(override, where, must, came):
    content = {**CONTENT, "stages": [{}]}
    problem = problems_of(content, [override])[where]
    assert problem.must == must
    assert problem.came.startswith(came)


def test_an_override_of_a_template_is_told_how_to_quote():
    problem = problems_of_override("text.template=query: {{ text }}")["override 'text.template'"]
    assert "'text.template=\"query: {{ text }}\"'" in problem.do
    assert resolve(CONTENT, ['text.template="query: {{ text }}"']).text.template == "query: {{ text }}"


def test_equal_recipes_differ_in_nothing():
    assert differing_keys(resolve(CONTENT), resolve(CONTENT)) == []


def test_a_key_written_twice_does_not_hide_other_problems(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(SMALLEST + "name: again\nnam: misspelt\nseed: 1\nseed: 2\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    words = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "the key 'name' is written twice" in words
    assert "the key 'seed' is written twice" in words
    assert "did you mean 'name'?" in words
    path.write_text(SMALLEST + "name: again\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="the recipe must be YAML with every key once"):
        read_recipe(path)
