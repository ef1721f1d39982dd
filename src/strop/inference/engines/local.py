"""The engine that is always there: the network of this process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accelerate import Accelerator

from strop.inference.engines import Asked
from strop.inference.generate import generate
from strop.inference.generated import Generated
from strop.models.network import Network
from strop.recipe.answer import Decoding


@dataclass(frozen=True)
class LocalEngine:
    """Writes with a network; see `strop.inference.generate.generate`.

    Attributes:
        network: A network whose transformer is a causal model.
        accelerator: Device and precision.
        pad_id: Token id that fills rows which have ended.
        end_ids: Token ids that end an answer.
        decode: Turns token ids into text.
    """

    network: Network
    accelerator: Accelerator
    pad_id: int
    end_ids: Sequence[int]
    decode: Callable[[list[int]], str]

    def answer(
        self,
        asked: Asked,
        decoding: Decoding,
        *,
        max_answer_tokens: int,
        seed: int,
        done: Callable[[int, int], None] | None = None,
    ) -> Generated:
        """Write candidates behind every prompt; texts and messages play no part."""
        return generate(
            self.network,
            asked.completions,
            decoding,
            self.accelerator,
            pad_id=self.pad_id,
            end_ids=self.end_ids,
            max_answer_tokens=max_answer_tokens,
            seed=seed,
            decode=self.decode,
            done=done,
        )
