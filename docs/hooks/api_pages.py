"""One API page a room, made from the modules that are there, in the order in which rooms call each other."""

import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "strop"
PUBLIC = {
    "strop.fit": "strop.runs.fit.fit",
    "strop.Run": "strop.runs.run.Run",
    "strop.TextClassifier": "strop.runs.estimator.TextClassifier",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, before the last two entries."""
    pages = [{"strop": "api/strop.md"}, *({room: f"api/{room}.md"} for room in _rooms())]
    if config.nav is not None and not any("API" in entry for entry in config.nav):
        config.nav.insert(len(config.nav) - 2, {"API": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    sections = [
        f"## {name}\n\n::: {path}\n    options: {{heading_level: 3, skip_local_inventory: true}}\n"
        for name, path in PUBLIC.items()
    ]
    files.append(File.generated(config, "api/strop.md", content="\n".join(["# strop\n", *sections])))
    for room in _rooms():
        entries = [f"# strop.{room}\n", *(f"::: {module}\n" for module in _modules(room))]
        files.append(File.generated(config, f"api/{room}.md", content="\n".join(entries)))
    return files


def _rooms() -> list[str]:
    """Rooms from the topmost layer of the import rules down; those that are in no layer last; none without modules."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in rules["contracts"] if contract["type"] == "layers")
    ordered = [room.strip().removeprefix("strop.") for layer in layers for room in re.split("[|:]", layer)]
    there = sorted(place.name for place in PACKAGE.iterdir() if (place / "__init__.py").exists())
    rooms = [*ordered, *(room for room in there if room not in ordered)]
    return [room for room in rooms if room != "cli" and _modules(room)]  # verbs have their own page


def _modules(room: str) -> list[str]:
    if (PACKAGE / f"{room}.py").exists():
        return [f"strop.{room}"]
    found = [file for file in sorted((PACKAGE / room).rglob("*.py")) if _has_content(file)]
    return [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for file in found
    ]


def _has_content(file: Path) -> bool:
    is_private = file.name.startswith("_") and file.name != "__init__.py"
    return not is_private and file.stat().st_size > 0
