"""What the audit of the data found, as single facts; nothing that names a sealed row or its label."""

from strop.records.audit import Audit, Duplicates
from strop.reporting.facts import Fact
from strop.reporting.material import Material
from strop.reporting.rows import ShownText, shown_text
from strop.reporting.sentences import count, counted, percent


def audit_facts(material: Material) -> list[Fact]:
    """Rows, duplicates, conflicts, suspect texts, groups and lengths; empty where there was no audit.

    The audit's label counts are passed over: they include the sealed rows.
    """
    audit = material.audit
    if audit is None:
        return []
    ordered = sorted(audit.n_rows_by_part.items(), key=lambda part: part[0] == "test")
    parts = ", ".join(f"{part} {count(n_rows)}" for part, n_rows in ordered)
    facts = [Fact("Rows", count(audit.n_rows), parts), *_duplicate_facts(audit.duplicates, audit.n_rows)]
    if material.recipe.task == "classify":
        rows = counted(audit.n_conflicting_rows, "row") if audit.n_conflicting_texts else ""
        facts.append(Fact("Texts with more than one label", count(audit.n_conflicting_texts), rows))
    facts.append(Fact("Texts in a wrong encoding, suspected", count(audit.n_misread_rows)))
    facts.append(Fact("Rows without text", count(audit.n_blank_rows)))
    if audit.groups is not None:
        largest = f"the largest has {counted(audit.groups.n_rows_largest, 'row')}"
        facts.append(Fact("Groups", count(audit.groups.n_groups), largest))
    return [*facts, *_length_facts(audit)]


def coverage(material: Material) -> list[tuple[int, float]]:
    """Lengths in tokens, ascending, each with the share of rows that fit; empty where nobody counted."""
    if material.audit is None:
        return []
    return sorted((int(length), float(fraction)) for length, fraction in material.audit.fraction_fitting.items())


def misread_rows(material: Material) -> list[tuple[str, ShownText]]:
    """Ids and texts of open rows that seem to have been read in a wrong encoding."""
    audit, dataset = material.audit, material.dataset
    if audit is None or dataset is None:
        return []
    known = set(dataset.ids.tolist())
    rows = dataset.select([row_id for row_id in audit.misread_ids if row_id in known])
    return [(row_id, shown_text(text)) for row_id, text in zip(rows.ids, rows.joined_texts(), strict=True)]


def _duplicate_facts(duplicates: Duplicates, n_rows: int) -> list[Fact]:
    share = f"{percent(duplicates.n_exact_rows / n_rows)} of the rows" if n_rows else ""
    torn = counted(duplicates.n_straddling_rows, "row") if duplicates.n_straddling_clusters else "none is torn"
    near = counted(duplicates.n_cluster_rows, "row") if duplicates.n_clusters else ""
    return [
        Fact("Exact duplicates", count(duplicates.n_exact_rows), share),
        Fact("Clusters of near duplicates", count(duplicates.n_clusters), near),
        Fact("Clusters across parts or folds", count(duplicates.n_straddling_clusters), torn),
    ]


def _length_facts(audit: Audit) -> list[Fact]:
    facts = []
    for unit, quantiles in (("characters", audit.characters_quantiles), ("tokens", audit.tokens_quantiles)):
        if "0.5" in quantiles:
            note = f"longest {count(round(quantiles['1']))}" if "1" in quantiles else ""
            if "0.95" in quantiles:
                note = f"95 % have at most {count(round(quantiles['0.95']))}, {note}"
            facts.append(Fact(f"Median length in {unit}", count(round(quantiles["0.5"])), note))
    return facts
