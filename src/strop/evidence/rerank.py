"""Order passages anew with a cross-encoder, which reads question and passage together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.errors import MachineError, ModelError, Problem
from strop.evidence.encoder import no_memory, quiet_loading
from strop.evidence.libraries import evidence_library
from strop.models.locate import LocatedModel, locate_model
from strop.recipe.sections import Model

PAIRS_A_BATCH = 32


@dataclass(frozen=True)
class Reranker:
    """A cross-encoder with one output.

    Attributes:
        located: The model's folder.
        trust_remote_code: Whether Python code of the folder may be run.
    """

    located: LocatedModel
    trust_remote_code: bool = False

    @classmethod
    def named(cls, name: str, *, trust_remote_code: bool = False) -> "Reranker":
        """Find a cross-encoder.

        Raises:
            ModelError: It is not found, or is no model with one output that was trained to tell how well texts fit.
        """
        located = locate_model(Model(name=name, trust_remote_code=trust_remote_code))
        architectures = [str(one) for one in located.config.get("architectures") or []]
        n_outputs = len(located.config.get("id2label") or {}) or located.config.get("num_labels", 2)
        if n_outputs != 1 or not any(one.endswith("ForSequenceClassification") for one in architectures):
            problem = Problem(
                where=f"evidence.retrieval.reranker '{name}'",
                must="a reranker must be a sequence classifier with one output (a cross-encoder)",
                came=f"{', '.join(architectures) or 'no architecture'} with {n_outputs} outputs",
                do="name a cross-encoder, for example cross-encoder/ms-marco-MiniLM-L6-v2, or leave reranker out",
            )
            raise ModelError(problem)
        return cls(located, trust_remote_code)

    @cached_property
    def network(self) -> Any:
        """The model itself.

        Raises:
            MachineError: sentence-transformers is missing, or the model does not fit the device.
            ModelError: The folder cannot be loaded.
        """
        import torch

        from strop.models.precision import choose_device, has_fast_bfloat16

        library = evidence_library("sentence_transformers")
        device = choose_device()
        dtype = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
        with quiet_loading(self.located):
            return library.CrossEncoder(
                str(self.located.folder),
                device=str(device),
                trust_remote_code=self.trust_remote_code,
                local_files_only=True,
                model_kwargs={"dtype": dtype},
            )

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How well each text fits the question: the model's logit, higher is better, shape (len(texts),).

        Raises:
            MachineError: The memory does not do.
        """
        import torch

        if not texts:
            return np.empty(0, dtype=np.float32)
        pairs = [(question, text) for text in texts]
        try:
            found = self.network.predict(
                pairs, batch_size=PAIRS_A_BATCH, show_progress_bar=False, activation_fn=torch.nn.Identity()
            )
        except torch.OutOfMemoryError as error:
            raise MachineError(no_memory(self.located, error)) from error
        return np.asarray(found, dtype=np.float32).reshape(len(texts))
