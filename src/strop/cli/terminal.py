"""The two consoles, and how an error looks on one."""

from rich.console import Console
from rich.text import Text

from strop.errors import StropError

# Words of the data may look like markup; they are printed as they are.
out = Console(highlight=False, markup=False)
err = Console(stderr=True, highlight=False, markup=False)


def print_error(error: StropError) -> None:
    """Print all problems of an error, each with what must hold, what came, and what to do."""
    n_problems = len(error.problems)
    title = "1 problem" if n_problems == 1 else f"{n_problems} problems"
    err.print(Text(f"{title} ({type(error).__name__})", style="bold red"))
    for problem in error.problems:
        err.print(Text(problem.where, style="bold"), soft_wrap=True)
        for name, words in (("rule", problem.must), ("came", problem.came), ("do", problem.do)):
            err.print(Text.assemble((f"  {name:<5}", "dim"), words), soft_wrap=True)
