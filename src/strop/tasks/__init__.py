"""Tasks by name. To add one, write a file here and enter it below."""

from collections.abc import Mapping

from strop.tasks.classify import Classify
from strop.tasks.regress import Regress

TASKS: Mapping[str, type[Classify] | type[Regress]] = {"classify": Classify, "regress": Regress}
