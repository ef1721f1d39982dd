"""The recipes that come with the repository."""

from pathlib import Path

import pytest

from strop.recipe.load import dump_recipe, parse_yaml, read_recipe, resolve

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml"))


def test_there_are_recipes() -> None:
    assert {"question-routing.yaml", "question-routing-korean.yaml", "causal-lora.yaml"} <= {
        path.name for path in RECIPES
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_ready_recipe_is_complete_and_says_what_it_does(path: Path) -> None:
    recipe = read_recipe(path)
    assert resolve(parse_yaml(dump_recipe(recipe), "dumped")) == recipe
    header = path.read_text(encoding="utf-8")
    for words in ("# What it does ", "# How long ", "# What it needs "):
        assert words in header
