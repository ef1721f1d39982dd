"""`strop ensemble` for runs that answer in words: votes by the texts of answers; no model is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from strop.ensembling.answer_vote import aligned, vote, voted
from strop.ensembling.answer_vote_weights import Ballots, cross_fitted_answer_vote, fit_answer_weights
from strop.errors import Problem, RunError
from strop.evaluation.answer_intervals import means, measured_by_row
from strop.evaluation.evaluate_answers import score_answers
from strop.evaluation.intervals import numbers_of_groups
from strop.inference.cleaning import clean_answers
from strop.metrics.answers import ANSWER_METRICS
from strop.recipe.answer import Cleaning
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.files import write_json
from strop.records.run_folder import RunFolder
from strop.records.scores import Scores
from strop.records.split import Split
from strop.reporting.sentences import difference_text, metric_name, part_name, score_text
from strop.runs.ask import concatenated
from strop.runs.judge import CHOSE_CHECKPOINT, OPEN, SEALED, accepted_of, must_be_finished
from strop.runs.run import Run
from strop.runs.together import must_be_opened, named_runs, write_look

AnswerHow = Literal["hard", "soft", "weighted"]
ANSWER_HOWS: tuple[AnswerHow, ...] = ("hard", "soft", "weighted")
OPENED_BEFORE = "the test parts had been opened before: choices made since may be fitted to them"


@dataclass(frozen=True)
class AnswerEnsemble:
    """Voters that answer in words, and their votes.

    Attributes:
        how: The vote that was asked for.
        best: The voter with the best primary score on held-out rows.
        weights: Weight of every voter in the weighted vote, fitted on all held-out rows.
        held_out: Scores of every vote on held-out rows, the best voter and the others beside it.
        test: The same on test rows, by weights of held-out rows; empty unless wanted.
        answers: The answers of the vote that was asked for, by part.
    """

    how: AnswerHow
    best: str
    weights: Mapping[str, float]
    held_out: Mapping[AnswerHow, Scores]
    test: Mapping[AnswerHow, Scores]
    answers: Mapping[str, Answers]

    def save(self, folder: Path) -> None:
        """Write answers and scores of the vote that was asked for, and `ensemble.json`."""
        for part, answers in self.answers.items():
            answers.save(folder / f"answers{'.test' if part == 'test' else ''}.arrow")
        for scores, ending in ((self.held_out, ""), (self.test, ".test")):
            if scores:
                scores[self.how].save(folder / f"scores{ending}.json")
        content = {"how": self.how, "best_voter": self.best, "weights": dict(self.weights), "task": "answer"}
        # Written last: where it stands the others stand too.
        write_json(folder / "ensemble.json", content)

    def lines(self, judged: Mapping[AnswerHow, Scores]) -> list[str]:
        """Every vote and every voter in words, a line each."""
        asked = judged[self.how]
        lines = [f"{metric_name(asked.primary)} on {part_name(asked.part)}, {len(asked.ids):,} rows:"]
        for how, scores in judged.items():
            gain = next(one for one in scores.differences if one.other == self.best)
            lines.append(
                f"  {how} vote: {score_text(scores.primary_score)}; minus {self.best}: {difference_text(gain)}"
            )
        lines += [f"  {one.system}: {score_text(one.metrics[asked.primary])}" for one in asked.baselines]
        return lines


def vote_on_answers(
    paths: Sequence[Path], *, how: AnswerHow = "hard", of_decodings: bool = False, on_test: bool = False
) -> AnswerEnsemble:
    """Let runs vote on the rows that all of them held out, by the normalised texts of their cleaned answers.

    Votes are `hard` (most votes, ties by likelihood), `soft` (sum of likelihoods per token) and `weighted` (most
    weight, by weights that raise the primary metric). All are judged; weights by cross-fitting. Every candidate of a
    voter has its share of the voter's vote, so that beams and samples of one run vote too.

    Args:
        paths: Finished runs of the task `answer`, at least two unless decodings vote or candidates are several.
        how: The vote that is saved, and judged beside every voter.
        of_decodings: Whether every decoding that `strop decode` compared votes, instead of the chosen one.
        on_test: Whether the runs also vote on test rows, which must have been opened; it stands in their ledgers.

    Raises:
        RunError: Runs are not finished or cannot vote together, a test part is sealed, or decodings were never compared
            on the rows asked for.
    """
    runs = named_runs(paths, "ensemble", least=1)
    for run in runs.values():
        _must_answer(run)
    if on_test:
        for run in runs.values():
            must_be_opened(run, "vote", "ensembled")
    first = next(iter(runs.values()))
    recipe = first.recipe
    voters = aligned(_voters(runs, of_decodings=of_decodings, is_sealed=False))
    rows = Dataset.load(first.folder.open_data).select(next(iter(voters.values())).ids)
    metric, rules = ANSWER_METRICS[recipe.evaluation.primary_metric], recipe.evaluation.answer_rules
    no_answer, group_R = _no_answer(recipe), numbers_of_groups(rows.groups)
    accepted = accepted_of(rows)
    ballots = Ballots.of(voters, accepted, metric, rules, no_answer)
    weights = dict(zip(voters, fit_answer_weights(ballots).tolist(), strict=True))
    votes: dict[AnswerHow, Answers] = {
        "hard": vote(voters, rules),
        "soft": vote(voters, rules, by="mean_likelihood"),
        "weighted": cross_fitted_answer_vote(
            voters, accepted, metric, rules, group_R=group_R, seed=recipe.seed, no_answer=no_answer
        ),
    }
    best = _best_voter(voters, rows, recipe)
    part = "out of fold" if Split.load(first.folder.split).held_out else "validation"
    held_out = _scores(votes, voters, best, rows, recipe, part, (CHOSE_CHECKPOINT,))
    if not on_test:
        return AnswerEnsemble(how, best, weights, held_out, {}, {part: votes[how]})
    sealed = aligned(_voters(runs, of_decodings=of_decodings, is_sealed=True))
    test_rows = Dataset.load(first.folder.sealed_data).select(next(iter(sealed.values())).ids)
    # Written before anyone sees a score, so that no look goes unrecorded.
    write_look(runs.values(), "ensemble", f"let {', '.join(voters)} vote")
    on_sealed: dict[AnswerHow, Answers] = {
        "hard": vote(sealed, rules),
        "soft": vote(sealed, rules, by="mean_likelihood"),
        "weighted": vote(sealed, rules, weights=weights),
    }
    test = _scores(on_sealed, sealed, best, test_rows, recipe, "test", (OPENED_BEFORE,))
    return AnswerEnsemble(how, best, weights, held_out, test, {part: votes[how], "test": on_sealed[how]})


def _must_answer(run: Run) -> None:
    must_be_finished(run.folder)
    if run.recipe.task != "answer":
        must, do = "runs that vote together must be of one task", "let runs of one task vote"
        raise RunError(Problem(str(run.folder.path), must, f"a run of the task '{run.recipe.task}'", do))


def _voters(runs: Mapping[str, Run], *, of_decodings: bool, is_sealed: bool) -> dict[str, Answers]:
    """Cleaned answers by voter."""
    voters: dict[str, Answers] = {}
    for name, run in runs.items():
        cleaning = Cleaning() if run.recipe.answer is None else run.recipe.answer.cleaning
        written = (
            _by_decoding(name, run, is_sealed=is_sealed)
            if of_decodings
            else {name: Answers.load(run.folder.predictions / f"model{SEALED if is_sealed else OPEN}")}
        )
        voters |= {voter: clean_answers(one, cleaning)[0] for voter, one in written.items()}
    return voters


def _by_decoding(name: str, run: Run, *, is_sealed: bool) -> dict[str, Answers]:
    """Answers of a run by every decoding that was compared.

    Raises:
        RunError: None was, or sealed rows were answered by the chosen one alone.
    """
    folder, split = run.folder, Split.load(run.folder.split)
    ids, rules = split.held_out_ids.tolist(), run.recipe.evaluation.answer_rules
    file = "test.sealed.arrow" if is_sealed else "held-out.arrow"
    found: dict[str, Answers] = {}
    for place in sorted((folder.predictions / "decodings").glob("*/")):
        paths = [place / fold.name / file for fold in split.folds()]
        if all(path.exists() for path in paths):
            by_fold = [Answers.load(path) for path in paths]
            found[f"{name} {by_fold[0].made_by['decoding']}"] = (
                voted(dict(zip((fold.name for fold in split.folds()), by_fold, strict=True)), rules)
                if is_sealed
                else concatenated(by_fold, ids, by_fold[0].made_by)
            )
    if len(found) < 2:
        raise RunError(_no_decodings(folder, len(found), is_sealed=is_sealed))
    return found


def _no_decodings(folder: RunFolder, n_found: int, *, is_sealed: bool) -> Problem:
    return Problem(
        where=str(folder.path),
        must="at least two decodings must have answered the rows",
        came=f"{n_found} on {'test' if is_sealed else 'held-out'} rows",
        do="vote on held-out rows, or fit runs with these decodings: sealed rows are answered by the chosen one alone"
        if is_sealed
        else f"`strop decode {folder.path}` first",
    )


def _best_voter(voters: Mapping[str, Answers], rows: Dataset, recipe: Recipe) -> str:
    metric, rules, accepted = recipe.evaluation.primary_metric, recipe.evaluation.answer_rules, accepted_of(rows)
    values = {
        name: means(measured_by_row(one, accepted, rules, _no_answer(recipe)))[metric] for name, one in voters.items()
    }
    return max(values, key=lambda name: values[name])


def _scores(
    votes: Mapping[AnswerHow, Answers],
    voters: Mapping[str, Answers],
    best: str,
    rows: Dataset,
    recipe: Recipe,
    part: str,
    caveats: tuple[str, ...],
) -> dict[AnswerHow, Scores]:
    in_order = {best: voters[best], **voters}
    return {
        how: score_answers(
            answers,
            accepted_of(rows),
            baselines=in_order,
            evaluation=recipe.evaluation,
            part=part,
            seed=recipe.seed,
            groups=rows.groups,
            caveats=caveats,
            no_answer=_no_answer(recipe),
        )
        for how, answers in votes.items()
    }


def _no_answer(recipe: Recipe) -> str | None:
    return None if recipe.answer is None else recipe.answer.prompt.no_answer
