import pytest

from strop.errors import RecipeError
from strop.records.dataset import Dataset, strings
from strop.text.template import render_texts


def rows(**texts: list[str]) -> Dataset:
    n_rows = len(next(iter(texts.values())))
    return Dataset(
        ids=strings([f"r{at}" for at in range(n_rows)]),
        texts={name: strings(column) for name, column in texts.items()},
    )


def test_without_template_columns_are_joined_by_line_breaks() -> None:
    assert render_texts(rows(title=["a", "c"], body=["b", ""]), None).tolist() == ["a\nb", "c\n"]


def test_a_template_sees_every_column() -> None:
    dataset = rows(title=["A", ""], body=["b", "<d> & 'e'"])
    template = "query: {{ title | lower }}{% if title %}: {% endif %}{{ body }}\n"
    assert render_texts(dataset, template).tolist() == ["query: a: b\n", "query: <d> & 'e'\n"]


def test_a_column_whose_name_is_not_an_identifier_is_reached_through_row() -> None:
    dataset = rows(**{"question title": ["왜?"]})
    assert render_texts(dataset, '{{ row["question title"] }}').tolist() == ["왜?"]


def test_braces_in_the_data_are_not_rendered_again() -> None:
    assert render_texts(rows(text=["{{ text }} {% if %}"]), "q: {{ text }}").tolist() == ["q: {{ text }} {% if %}"]


def test_no_rows_make_no_texts_but_the_template_is_checked() -> None:
    assert render_texts(rows(text=[]), "{{ text }}").tolist() == []
    with pytest.raises(RecipeError, match="every variable"):
        render_texts(rows(text=[]), "{{ txt }}")


def test_unknown_columns_are_all_named() -> None:
    with pytest.raises(RecipeError) as caught:
        render_texts(rows(title=["a"], body=["b"]), "{{ titel }} {{ range(3) }}")
    first, second = caught.value.problems
    assert first.came == "'range'"
    assert first.do == "use one of: body, title"
    assert second.where == "text.template"
    assert second.must == "every variable must be one of the columns in data.text"
    assert second.came == "'titel'"
    assert second.do == "did you mean 'title'?"


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(RecipeError, match=r"text\.template, line 2: it must be a Jinja template") as caught:
        render_texts(rows(text=["a"]), "x\n{{ text }")
    assert "unexpected '}'" in str(caught.value)


@pytest.mark.parametrize("template", ["{% fold %}", "{{ text | shout }}"])
def test_unknown_tags_and_filters_are_syntax_errors(template: str) -> None:
    with pytest.raises(RecipeError, match="it must be a Jinja template"):
        render_texts(rows(text=["a"]), template)


@pytest.mark.parametrize(
    "template", ["{{ row.nothing.at_all }}", "{{ text + 1 }}", "{{ 1 // 0 }}", "{% include 'x' %}"]
)
def test_a_failure_names_the_row(template: str) -> None:
    with pytest.raises(RecipeError, match=r"text\.template, row 'r0': the template must make a text of every row"):
        render_texts(rows(text=["a"]), template)


def test_the_sandbox_keeps_templates_from_reaching_python() -> None:
    with pytest.raises(RecipeError, match="unsafe"):
        render_texts(rows(text=["a"]), "{{ text.__class__.__mro__ }}")
