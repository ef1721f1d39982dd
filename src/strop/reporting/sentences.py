"""How numbers, metrics and systems are written, and the sentences that say whether the edge is there."""

from datetime import datetime, timedelta
from math import isnan

from strop.records.scores import Difference, Score, Scores, SystemScores
from strop.reporting.judged import Judged, difference_to, judged_baselines, judged_treatments, judgement

METRIC_NAMES = {
    "macro_f1": "Macro F1",
    "weighted_f1": "Weighted F1",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "Matthews correlation",
    "auroc": "AUROC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
    "ece": "Calibration error",
    "f1": "F1",
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "mae": "Mean absolute error",
    "rouge_l": "ROUGE-L",
    "ended": "Ended by the model",
    "empty": "Empty answers",
    "repeated": "Answers in a loop",
}
SYSTEM_NAMES = {
    "model": "Fine-tuned model",
    "majority": "Majority class",
    "tfidf": "TF-IDF",
    "linear_probe": "Linear probe",
    "mean": "Mean value",
    "tfidf_ridge": "TF-IDF ridge",
    "metadata_ridge": "Metadata ridge",
    "zero_shot": "Zero-shot",
    "few_shot": "Few-shot",
}
SYSTEMS_IN_A_SENTENCE = {
    "majority": "the majority class",
    "linear_probe": "the linear probe",
    "mean": "the mean value",
    "tfidf_ridge": "the TF-IDF ridge",
    "metadata_ridge": "the metadata ridge",
    "zero_shot": "the untrained model without examples",
    "few_shot": "the untrained model with examples",
}
TREATMENT_NAMES = {
    "snapped": "snapped to each target's grid of values",
    "uncleaned": "before the cleaning of answers",
    "voted": "by a vote over candidates",
}
UNTREATED = {"uncleaned": "the answers after it", "voted": "the answers that stand first"}
PART_NAMES = {
    "validation": "the validation part",
    "test": "the test part",
    "out of fold": "the rows held out by the folds",
}
MINUS = "\N{MINUS SIGN}"


def metric_name(metric: str) -> str:
    """What a reader sees for a metric's name."""
    return METRIC_NAMES.get(metric, metric.replace("_", " ").capitalize())


def system_name(system: str) -> str:
    """What a reader sees for the model or a baseline."""
    return SYSTEM_NAMES.get(system, system)


def treatment_name(treatment: str) -> str:
    """What a reader sees for a treatment of the predictions."""
    return TREATMENT_NAMES.get(treatment, treatment.replace("_", " "))


def _in_a_sentence(system: str) -> str:
    return SYSTEMS_IN_A_SENTENCE.get(system, system_name(system))


def part_name(part: str) -> str:
    """A part with its article, for the middle of a sentence."""
    return PART_NAMES.get(part, f"the part '{part}'")


def rows_judged(scores: Scores) -> str:
    """How many rows of which part were judged."""
    rows = counted(len(scores.ids), "row")
    return f"{rows} held out by the folds" if scores.part == "out of fold" else f"{rows} of {part_name(scores.part)}"


def capitalized(words: str) -> str:
    """The words with a capital at the beginning, the rest as it is."""
    return words[:1].upper() + words[1:]


def sentence(words: str) -> str:
    """The words with a capital at the beginning and a full stop at the end."""
    return capitalized(words) + ("" if words.endswith((".", "!", "?")) else ".")


def number(value: float | None) -> str:
    """Three decimals with a true minus sign; an en dash where there is no number."""
    if value is None or isnan(value):
        return "\N{EN DASH}"
    return f"{value:.3f}".replace("-", MINUS)


def signed(value: float) -> str:
    """Three decimals with a sign in front, for differences."""
    return f"{value:+.3f}".replace("-", MINUS)


def count(value: int) -> str:
    """A count, with commas from a thousand."""
    return f"{value:,}"


def counted(value: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 row", "2 rows"."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def percent(fraction: float) -> str:
    """A share of one as a percentage, with one decimal near the ends, where a whole number would say none or all."""
    value = 100 * fraction
    digits = 1 if 0 < value < 9.95 or 99 < value < 100 else 0
    return f"{value:.{digits}f} %"


def moment(written: str) -> str:
    """A time in ISO 8601 as a reader sees it, to the minute."""
    if not written:
        return "at an unknown time"
    at = datetime.fromisoformat(written)
    return f"{at:%Y-%m-%d %H:%M}" + (" UTC" if at.utcoffset() == timedelta(0) else "")


def interval(score: Score) -> str:
    """The interval of a score in brackets; empty where there is none."""
    if score.low is None or score.high is None:
        return ""
    return f"[{number(score.low)}, {number(score.high)}]"


def score_text(score: Score) -> str:
    """A score with its interval: "0.812 [0.761, 0.858]"."""
    return f"{number(score.value)} {interval(score)}".rstrip()


def difference_text(difference: Difference) -> str:
    """A difference with its paired interval: "+0.120 [0.050, 0.190]"."""
    return f"{signed(difference.value)} [{number(difference.low)}, {number(difference.high)}]"


def p_text(p_value: float) -> str:
    """A p-value as it is written in a paper."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def best_baseline(scores: Scores) -> SystemScores | None:
    """The baseline with the best primary score; None where no baseline was scored on it."""
    judged = [system for system in scores.baselines if scores.primary in system.metrics]
    if not judged:
        return None
    sign = 1.0 if scores.primary_score.higher_is_better else -1.0
    return max(judged, key=lambda system: sign * system.metrics[scores.primary].value)


def p_of(judged: Judged) -> str:
    """The p-value, said to be corrected where there are several."""
    return p_text(judged.p_value) if judged.n_tests == 1 else f"corrected {p_text(judged.p_value)}"


def verdict(scores: Scores) -> str:
    """Say in plain words whether the model is better than the best baseline, on which part, and how sure that is."""
    score = scores.primary_score
    head = f"{metric_name(scores.primary)} {score_text(score)} on {part_name(scores.part)}"
    baseline = best_baseline(scores)
    if baseline is None:
        return f"{head}; there is no baseline beside it, so nothing says whether the edge is there."
    found = difference_to(scores, baseline.system)
    name = _in_a_sentence(baseline.system)
    if found is None:
        value = score_text(baseline.metrics[scores.primary])
        return f"{head}; the best baseline, {name}, has {value}, and the two were not compared row by row."
    words, difference = judgement(found, higher_is_better=score.higher_is_better), found.difference
    # The interval alone would promise what the test does not keep.
    why = "" if found.is_clear or difference.low <= 0 <= difference.high else f"; {p_of(found)}"
    return f"{head}: {words} the best baseline, {name} ({difference_text(difference)}{why})."


def differences_lines(scores: Scores) -> list[str]:
    """How the model stands to every baseline, largest lead first, then what every treatment gained; a sentence each."""
    higher = scores.primary_score.higher_is_better
    ordered = sorted(judged_baselines(scores), key=lambda one: one.difference.value, reverse=True)
    lines = [
        f"{capitalized(judgement(one, higher_is_better=higher))} {_in_a_sentence(one.difference.other)} in "
        f"{metric_name(one.difference.metric)}: {difference_text(one.difference)}, {p_of(one)}"
        for one in ordered
    ]
    for treated, gain in zip(scores.treated, judged_treatments(scores), strict=True):
        score = treated.scores.metrics[scores.primary]
        untreated = UNTREATED.get(treated.treatment, "the model as it was")
        lines.append(
            f"{capitalized(treatment_name(treated.treatment))}, {metric_name(scores.primary)} {score_text(score)}: "
            f"{judgement(gain, higher_is_better=higher)} {untreated}, {difference_text(gain.difference)}, "
            f"{p_of(gain)}"
        )
    return lines
