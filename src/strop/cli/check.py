"""`strop check`."""

import shlex
from typing import Annotated

import typer

from strop.cli.arguments import Overrides, RecipePath


def check(
    recipe: RecipePath,
    overrides: Overrides = None,
    show: Annotated[
        int, typer.Option("--show", min=0, help="For the task answer: print so many prompts, what is learnt in colour.")
    ] = 0,
) -> None:
    """Audit the data, the recipe and the memory before anything runs. Nothing is written, no model is loaded."""
    from strop.cli.terminal import out
    from strop.recipe.load import read_recipe
    from strop.reporting.preflight import audit_view, memory_view, split_view
    from strop.reporting.shown_prompts import prompts_view
    from strop.runs.check import check_recipe

    checked = check_recipe(read_recipe(recipe, overrides or []))
    out.print(audit_view(checked.audit))
    out.print(split_view(checked.split, checked.label_of))
    for entry in checked.entries:
        out.print(f"  {entry.kind}: {entry.what}" + (f" ({entry.n_rows} rows)" if entry.n_rows else ""))
    if show and checked.prompted is not None:
        out.print(prompts_view(checked.prompted, checked.tokenizer, show))
    elif show:
        out.print("  --show prints prompts, which only the task 'answer' has", style="dim")
    memory, located = checked.memory, checked.located
    needs = {
        "weights": memory.weights_gib,
        "gradients": memory.gradients_gib,
        "optimizer": memory.optimizer_gib,
        "activations": memory.activations_gib,
        "logits": memory.logits_gib,
        "libraries": memory.runtime_gib,
    }
    model = f"{located.name} ({located.n_parameters / 1e6:.1f} million weights, from a {located.source})"
    out.print(memory_view(needs, memory.available_gib, memory.advice, model))
    if memory.fits:
        out.print(f"ready: {shlex.join(['strop', 'fit', str(recipe), *(overrides or [])])}", soft_wrap=True)
    else:
        out.print("the memory may not do: see the advice above", soft_wrap=True)
