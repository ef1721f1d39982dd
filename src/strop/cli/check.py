"""`strop check`."""

from strop.cli.arguments import Overrides, RecipePath


def check(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Audit the data, the recipe and the memory before anything runs. Nothing is written, no model is loaded."""
    from strop.cli.terminal import out
    from strop.recipe.load import read_recipe
    from strop.reporting.preflight import audit_view, memory_view, split_view
    from strop.runs.check import check_recipe

    checked = check_recipe(read_recipe(recipe, overrides or []))
    out.print(audit_view(checked.audit))
    out.print(split_view(checked.split, checked.labels))
    for entry in checked.entries:
        out.print(f"  {entry.kind}: {entry.what}" + (f" ({entry.n_rows} rows)" if entry.n_rows else ""))
    out.print(memory_view(checked.memory, checked.located.name, checked.located.n_parameters))
    out.print(
        "[green]ready[/green]: strop fit " + str(recipe)
        if checked.memory.fits
        else "[yellow]the memory may not do[/yellow]"
    )
