from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console

from strop.records.scores import Scores, SystemScores
from strop.reporting.terminal import scores_table


def printed(scores: Scores, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=None, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(scores_table(scores))
    return capture.get().splitlines()


def test_the_tables_fit_80_columns_and_lose_nothing(scores: Scores) -> None:
    lines = printed(scores)
    text = "\n".join(lines)
    assert max(cell_len(line) for line in lines) <= 80
    assert "…" not in text
    for words in ("Model", "Majority", "TF-IDF", "Linear", "시스템 운영", "이론", "Macro F1", "0.782–0.882"):
        assert words in text
    assert "95% intervals" in text
    for value in ("0.650", "0.655", "0.660", "0.665", "0.670"):  # the last column of the classes
        assert any(line.rstrip().endswith(value) for line in lines)


def test_values_stand_above_their_intervals(scores: Scores) -> None:
    lines = printed(scores)
    at = next(number for number, line in enumerate(lines) if "Macro F1" in line)
    assert lines[at].split() == ["Macro", "F1", "0.812", "0.087", "0.692", "0.650"]
    assert lines[at + 1].split() == ["0.762–0.862", "0.037–0.137", "0.642–0.742", "0.600–0.700"]


def test_square_brackets_and_colons_in_labels_are_no_markup(scores: Scores) -> None:
    label = "[b]x[/b] :smile:"
    classes = (replace(scores.model.classes[0], label=label), *scores.model.classes[1:])
    text = "\n".join(printed(replace(scores, model=replace(scores.model, classes=classes))))
    assert "[b]x[/b]" in text
    assert ":smile:" in text


def test_more_baselines_than_fit_are_named_below(scores: Scores) -> None:
    more: tuple[SystemScores, ...] = (*scores.baselines, replace(scores.baselines[0], system="nearest"))
    lines = printed(replace(scores, baselines=more))
    assert max(cell_len(line) for line in lines) <= 80
    assert lines[-1] == "Not shown for want of room: nearest."


def test_a_baseline_without_a_metric_has_a_dash(scores: Scores) -> None:
    metrics = {name: score for name, score in scores.baselines[0].metrics.items() if name != "mcc"}
    poorer = (replace(scores.baselines[0], metrics=metrics), *scores.baselines[1:])
    line = next(line for line in printed(replace(scores, baselines=poorer)) if "Matthews" in line)
    assert line.split()[-4:] == ["0.712", "–", "0.592", "0.550"]


def test_targets_stand_beside_the_baselines(value_scores: Scores) -> None:
    lines = printed(value_scores)
    text = "\n".join(lines)
    assert max(cell_len(line) for line in lines) <= 80
    assert "By target: Spearman correlation" in text
    assert "By class" not in text
    constant = next(line for line in lines if line.startswith(" constant"))
    assert constant.split() == ["constant", "60", "–", "–", "–", "–"]
    clear = next(line for line in lines if line.startswith(" clear")).split()
    assert (clear[1], clear[3]) == ("60", "0.000")
