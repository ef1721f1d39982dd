"""What `strop check` shows of the data."""

from rich.console import Console

from strop.records.audit import Audit, Duplicates, LabelCount
from strop.reporting.preflight import audit_view


def shown(audit: Audit) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(audit_view(audit))
    return captured.get()


def audit_of(*labels: LabelCount) -> Audit:
    return Audit(
        n_rows=1200,
        labels=labels,
        majority_accuracy=labels[0].fraction if labels else None,
        labels_once=tuple(label.label for label in labels if label.n_rows == 1),
        duplicates=Duplicates(3, 2, 5, n_straddling_rows=4),
        n_conflicting_texts=1,
        n_conflicting_rows=2,
        conflicting_ids=(("r1", "r2"),),
        characters_quantiles={},
        n_misread_rows=7,
        misread_ids=(),
        n_blank_rows=0,
        tokens_quantiles={"1": 300.0},
        fraction_fitting={"128": 0.9, "512": 1.0},
    )


def test_labels_are_said_to_be_those_of_rows_that_are_not_sealed() -> None:
    text = shown(audit_of(LabelCount("code", 750, 0.75), LabelCount("web", 249, 0.249), LabelCount("rare", 1, 0.001)))
    assert text.splitlines()[0].strip() == "1,200 rows; labels of the 1,000 rows that are not sealed"
    for words in (
        "75.0%",
        "always answering 'code' is right on 75.0% of these rows",
        "2 of these rows have a text that also stands with another label",
        "labels that appear once in these rows: rare",
        "tokens: 128 fit 90.0%, 512 fit 100.0%; the longest has 300",
        "3 rows repeat an earlier text letter by letter; 5 rows are near duplicates of another (4 of them across",
    ):
        assert words in " ".join(text.split()), words


def test_rows_without_labels_have_a_title_without_them() -> None:
    assert shown(audit_of()).splitlines()[0].strip() == "1,200 rows"
