"""Hold a run against others that differ from it in an entry or two, for its report: what did that entry gain?"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from strop.recipe.load import differing_keys
from strop.records.files import write_json
from strop.records.run_folder import RunFolder
from strop.records.scores import Against, Difference
from strop.runs.run import Run
from strop.runs.several.compare import compare_run_folders

# Entries that say nothing of what was learnt; whether the data differ is told by their digests.
NO_CHANGE = ("name:", "report_to", "data.path:", "evaluation.")


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
    difference = Difference(name, found.metric, sign * pair.value, low, high, pair.p_value)
    return Against(tuple(_changes(Run(run), Run(other))), found.n_rows, difference, pair.is_clear)


def _changes(here: Run, there: Run) -> Iterator[str]:
    """What differs: the data, what `auto` came to, and entries of the recipes; a missing stage is one line."""
    about, other = here.folder.read_about(), there.folder.read_about()
    if about.get("data_sha256") != other.get("data_sha256"):
        yield "other data"
    pooling, other_pooling = about["model"]["pooling"], other["model"]["pooling"]
    if pooling != other_pooling:
        yield f"pooling came to {pooling} -> {other_pooling}"
    n_stages = (len(here.recipe.stages), len(there.recipe.stages))
    if n_stages[0] != n_stages[1]:
        yield f"{n_stages[0]} stages -> {n_stages[1]}"
    beyond = tuple(f"stages.{number}." for number in range(min(n_stages), max(n_stages)))
    for change in differing_keys(here.recipe, there.recipe):
        if not change.startswith((*NO_CHANGE, *beyond)):
            yield change
