"""Single facts with a term each: what the audit found, what the run was made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strop.reporting.material import Material
from strop.reporting.sentences import count, counted, moment
from strop.reporting.tables import duration

PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Fact:
    """A term, its value, and what a reader may want to know about it."""

    term: str
    value: str
    note: str = ""


def making_facts(material: Material) -> list[Fact]:
    """Model, hardware, time, memory and versions, as far as `run.json` has them."""
    about = material.about
    if not about:
        return []
    facts = [*_model_facts(about.get("model") or {}), *_hardware_facts(about.get("hardware") or {})]
    if material.recipe.data.metadata_columns:
        facts.append(Fact("Metadata", ", ".join(material.recipe.data.metadata_columns), "joined before the head"))
    seconds = dict(about.get("seconds") or {})
    if seconds:
        facts.append(Fact("Time", duration(sum(seconds.values())), "all stations together"))
    if about.get("peak_memory_gib") is not None:
        facts.append(Fact("Peak memory", f"{about['peak_memory_gib']:.1f} GiB"))
    for term, key in (("Started", "started"), ("Ended", "ended")):
        if about.get(key):
            facts.append(Fact(term, moment(str(about[key]))))
    # The report is written just before the run is said to be finished: an end says it.
    if about.get("state") and not about.get("ended"):
        facts.append(Fact("State", str(about["state"])))
    facts.append(Fact("Seed", str(material.recipe.seed)))
    return facts + [Fact(name, str(version)) for name, version in dict(about.get("versions") or {}).items()]


def _model_facts(model: Mapping[str, Any]) -> list[Fact]:
    facts = []
    if model.get("n_parameters"):
        places = (("n_head", "in the head"), ("n_adapter", "in the adapters"))
        notes = [f"{count(int(model[key]))} {words}" for key, words in places if model.get(key)]
        facts.append(Fact("Parameters", count(int(model["n_parameters"])), ", ".join(notes)))
    if model.get("pooling"):
        facts.append(Fact("Pooling", str(model["pooling"])))
    if model.get("precision"):
        facts.append(Fact("Precision", PRECISIONS.get(str(model["precision"]), str(model["precision"]))))
    return facts


def _hardware_facts(hardware: Mapping[str, Any]) -> list[Fact]:
    facts = []
    if hardware.get("cpu"):
        threads = hardware.get("n_threads")
        facts.append(Fact("Processor", str(hardware["cpu"]), counted(int(threads), "thread") if threads else ""))
    if "gpu" in hardware:
        facts.append(Fact("Accelerator", str(hardware["gpu"] or "none")))
    if hardware.get("memory_gib") is not None:
        facts.append(Fact("Memory", f"{hardware['memory_gib']:.0f} GiB"))
    return facts
