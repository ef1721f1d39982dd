"""Scores with their intervals."""

import json
from dataclasses import replace

import pytest

from strop.errors import RunError
from strop.records.scores import ClassScores, Difference, FoldScore, FoldScores, Score, Scores, SystemScores

F1 = Score("macro_f1", 0.75, 0.5, 0.875)
LOSS = Score("log_loss", 0.25, higher_is_better=False)
MODEL = SystemScores(
    system="model",
    metrics={"macro_f1": F1, "log_loss": LOSS},
    classes=(ClassScores("기타", 2, Score("precision", 1.0), Score("recall", 0.5, 0.0, 1.0), Score("f1", 2 / 3)),),
    confusion=((1, 1), (0, 2)),
    per_row={"correct": (1.0, 0.0, 1.0, 1.0)},
    folds=FoldScores(F1, (FoldScore(0, 3, F1), FoldScore(1, 1, None))),
)
SCORES = Scores(
    part="validation",
    primary="macro_f1",
    confidence=0.95,
    labels=("기타", "code"),
    ids=("a", "b", "c", "d"),
    model=MODEL,
    baselines=(replace(MODEL, system="majority"),),
    differences=(Difference("majority", "macro_f1", 0.25, 0.125, 0.375, 0.03125),),
    temperature=1.5,
    calibrated={"log_loss": LOSS},
    caveats=("these rows also chose the checkpoint",),
)
BARE = Scores("test", "macro_f1", 0.9, (), (), SystemScores("model", {"macro_f1": F1}, (), ()))


@pytest.mark.parametrize("scores", [SCORES, BARE], ids=["full", "bare"])
def test_saved_scores_are_loaded_again_the_same(tmp_path, scores):
    scores.save(tmp_path / "one.json")
    loaded = Scores.load(tmp_path / "one.json")
    assert loaded == scores
    loaded.save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_files_without_scores_by_fold_are_still_loaded(tmp_path):
    BARE.save(tmp_path / "new.json")
    content = json.loads((tmp_path / "new.json").read_text())
    del content["model"]["folds"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert Scores.load(tmp_path / "old.json") == BARE


def test_the_primary_score_is_the_models():
    assert SCORES.primary_score is F1


def test_scores_that_are_missing_say_so(tmp_path):
    with pytest.raises(RunError, match="the file must exist\n  came: no such file"):
        Scores.load(tmp_path / "scores.json")
