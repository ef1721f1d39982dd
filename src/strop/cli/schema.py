"""`strop schema`."""

import json
import sys


def schema() -> None:
    """Print the JSON Schema of recipes, for editors that complete and check YAML."""
    from strop.recipe.load import recipe_schema

    json.dump(recipe_schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
