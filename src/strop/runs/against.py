"""Hold a run against others that differ from it in an entry or two, for its report: what did that entry gain?"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from strop.recipe.load import differing_keys
from strop.records.files import write_json
from strop.records.run_folder import RunFolder
from strop.records.scores import Against, Difference
from strop.runs.compare import compare_run_folders
from strop.runs.run import Run

# Entries that say nothing of what was learnt.
NO_CHANGE = ("name:", "report_to", "data.path:")


def write_against(run: Path, others: Sequence[Path]) -> None:
    """Compare a run with each of others on the rows that both held out, and write `against.json` for its report.

    Args:
        run: The run whose report it is for.
        others: Runs of the same task on the same rows, for example the same recipe without its metadata.

    Raises:
        RunError: A run is not finished, or nothing can be compared.
    """
    write_json(RunFolder(run).against, [asdict(_against(run, other)) for other in others])


def _against(run: Path, other: Path) -> Against:
    found = compare_run_folders([run, other])
    (pair,) = found.pairs
    is_ahead = pair.one in (run.name, str(run))
    sign = 1.0 if is_ahead else -1.0
    low, high = (pair.low, pair.high) if is_ahead else (-pair.high, -pair.low)
    name = pair.other if is_ahead else pair.one
    changes = tuple(
        change for change in differing_keys(Run(run).recipe, Run(other).recipe) if not change.startswith(NO_CHANGE)
    )
    difference = Difference(name, found.metric, sign * pair.value, low, high, pair.p_value)
    return Against(changes, found.n_rows, difference, pair.is_clear)
