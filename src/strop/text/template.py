"""Make one text a row of the text columns, by a template where the recipe has one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from strop.errors import Problem, RecipeError, did_you_mean
from strop.records.dataset import Dataset, Strings, strings

if TYPE_CHECKING:
    from jinja2 import Template

WHERE = "text.template"
# By this name a template reaches columns whose names are not identifiers: {{ row["question title"] }}.
WHOLE_ROW = "row"


def render_texts(dataset: Dataset, template: str | None) -> Strings:
    """Make the text that the model reads of every row.

    Args:
        dataset: Rows with their text columns.
        template: A Jinja template in which every text column is a variable, and all of them are entries of `row`; it is
            rendered in a sandbox. Without one the columns are joined by line breaks.

    Returns:
        One text a row, shape (n_rows,).

    Raises:
        RecipeError: The template is not Jinja, names a column that is not among the text columns, or fails on a row.
    """
    if template is None:
        return dataset.joined_texts()
    compiled = compile_template(template, list(dataset.texts))
    rendered = []
    for row_id, parts in zip(dataset.ids, zip(*dataset.texts.values(), strict=True), strict=True):
        row = dict(zip(dataset.texts, parts, strict=True))
        rendered.append(render(compiled, {WHOLE_ROW: row, **row}, row_id))
    return strings(rendered)


def render(template: "Template", variables: Mapping[str, Any], row_id: str, where: str = WHERE) -> str:
    """Make the text of one row.

    Raises:
        RecipeError: The template fails on this row.
    """
    from jinja2 import TemplateError

    try:
        return template.render(variables)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        problem = Problem(
            where=f"{where}, row '{row_id}'",
            must="the template must make a text of every row",
            came=str(error),
            do="mend the template, or set it to null to join the columns by line breaks",
        )
        raise RecipeError(problem) from error


def compile_template(
    template: str, columns: Sequence[str], where: str = WHERE, further: Sequence[str] = ()
) -> "Template":
    """Compile a template for a sandbox in which the columns, `row`, and further variables are all that there is.

    Raises:
        RecipeError: It is not Jinja, or names something else.
    """
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import SandboxedEnvironment

    # Texts go to a model, not to a browser: escaping would change them.
    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.globals.clear()
    try:
        named = meta.find_undeclared_variables(environment.parse(template))
        compiled = environment.from_string(template)
    except TemplateSyntaxError as error:
        problem = Problem(
            where=f"{where}, line {error.lineno}",
            must="it must be a Jinja template",
            came=str(error.message),
            do='mend that line; a column is written {{ name }}, for example "query: {{ text }}"',
        )
        raise RecipeError(problem) from error
    unknown = sorted(named - {*columns, *further, WHOLE_ROW})
    if unknown:
        problems = [
            Problem(
                where=where,
                must=", or ".join(["every variable must be one of the columns in data.text", *further]),
                came=f"'{name}'",
                do=did_you_mean(name, [*columns, *further]),
            )
            for name in unknown
        ]
        raise RecipeError(*problems)
    return compiled
