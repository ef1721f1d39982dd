"""The sections of a recipe. Every default is written out in the saved recipe; a misspelt key is refused.

What must hold between entries stands in `rules.py`; the defaults that depend on the task stand in `TASK_DEFAULTS`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from strop.recipe.answer import Answering
from strop.recipe.data import Data
from strop.recipe.evidence import Evidence
from strop.recipe.section import AtLeastOne, AtLeastTwo, Count, Positive, Section, ShareBelowOne

# What a recipe need not say, because it follows from the task: entries of every stage, and of `evaluation`.
TASK_DEFAULTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "classify": {
        "stage": {"objective": "cross_entropy"},
        "evaluation": {"primary_metric": "macro_f1", "baselines": ["majority", "tfidf", "linear_probe"]},
    },
    "regress": {
        "stage": {"objective": "bce", "class_weights": "none"},
        "evaluation": {"primary_metric": "spearman", "baselines": ["mean", "tfidf_ridge", "metadata_ridge"]},
    },
    "answer": {
        "stage": {"objective": "complete", "class_weights": "none"},
        "evaluation": {"primary_metric": "f1", "baselines": ["zero_shot", "few_shot"]},
    },
}


class SplitPlan(Section):
    """How rows are divided into train, validation and the sealed test part."""

    test_fraction: ShareBelowOne = 0.2
    """Share of the rows that is sealed."""
    validation_fraction: ShareBelowOne = 0.15
    """Share of the rows that chooses the checkpoint; not used with folds."""
    folds: AtLeastTwo | None = None
    """Train this many models, each on all but one fold of the rows that are not sealed."""
    near_duplicates: Literal["together", "ignore"] = "together"
    """Whether near duplicates stay in one part."""
    near_duplicate_similarity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Estimated Jaccard similarity of character shingles from which two texts count as near duplicates."""


class Adapter(Section):
    """Low-rank adapters (LoRA), on a 4-bit base if asked for (QLoRA)."""

    rank: Count = 16
    """Rank of the update of every adapted matrix."""
    alpha: Positive = 32.0
    """The update is scaled by alpha / rank."""
    dropout: ShareBelowOne = 0.05
    """Dropout on the adapters' input."""
    target_modules: Literal["all-linear"] | list[str] = "all-linear"
    """Which linear modules of the body are adapted: all, or those whose name ends so."""
    base_in_4bit: bool = False
    """Hold the frozen base in 4-bit NF4 (QLoRA); the head is never quantized."""


class Model(Section):
    """The pretrained model and what is put on it."""

    name: str
    """A folder, the name of an installed package that carries a model, or a name on the Hugging Face hub."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    pooling: Literal["auto", "native", "mean", "first", "last", "parts"] = "auto"
    """How token states become one vector: `native` is the model family's own classification head; the others put a
    head on pooled states, `parts` on the first token and the mean of every part of `text.parts`. `auto` takes `parts`
    where there are parts, else the pooling that a sentence-embedding model declares, else native; with metadata or
    hidden layers not native, but the mean, or the last token of a causal model."""
    adapter: Adapter | None = None
    """Adapters; without them the model's own weights are trained."""
    attention_dropout: ShareBelowOne = 0.0
    """Dropout on attention weights; 0 lets attention take its fast path."""
    hidden_dropout: ShareBelowOne | None = None
    """Dropout on hidden states; without a value the model's own."""
    head_dropout: ShareBelowOne = 0.1
    """Dropout before every linear layer of the head that Strop puts on pooled states."""
    head_hidden: list[Count] = []
    """Widths of hidden layers in that head; without any it is one linear layer."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the matrix products; `auto` takes bfloat16 where the hardware has instructions for it."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Read it first."""


class Windows(Section):
    """Read a long text in overlapping windows; their logits are averaged per row."""

    stride_tokens: Annotated[int, Field(ge=0)] = 64
    """How many tokens two neighbouring windows share."""
    max_windows: Count = 8
    """Windows a row may have; what lies beyond is cut and counted."""


class TextPart(Section):
    """How much of a text column is read where the columns share the length, and which segment it is."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Share of the length; columns without a share are read whole, before the others, as long as those keep a quarter
    of the length. Room that a column leaves unused passes on to the others."""
    keep: Literal["head", "tail", "middle", "ends"] = "ends"
    """Which tokens of a longer text stay: its beginning, its end, its middle, or both its ends."""
    segment: Literal[0, 1] | None = None
    """Segment id of its tokens, for models that have segments (BERT); without one 0 for the first column, else 1."""


class Text(Section):
    """How texts become tokens."""

    max_length_tokens: Annotated[int, Field(ge=8)] = 512
    """Longest input, special tokens included."""
    keep: Literal["head", "tail", "middle", "ends"] = "head"
    """Which tokens of a longer text stay: its beginning, its end, its middle, or both its ends."""
    windows: Windows | None = None
    """Read longer texts in windows instead of cutting them."""
    parts: dict[str, TextPart] | None = None
    """Read every text column as a part of its own, with its share of the length; by column name, in the order of
    `data.text`."""
    template: str | None = None
    """A Jinja template over the text columns, for example "query: {{ text }}"; without one the columns are joined by
    line breaks."""
    normalize: bool = True
    """Normalise Unicode (NFC), remove control characters, and strip white space at both ends."""


class Stage(Section):
    """One stretch of training: an objective, what is trainable, and the schedule."""

    objective: Literal["cross_entropy", "bce", "mse", "pairwise_rank", "complete"] = "cross_entropy"
    """What is minimised; the task `regress` begins with `bce`, the task `answer` with `complete`: the loss of a causal
    model on the tokens of the answer alone."""
    trainable: Literal["all", "head", "adapter"] | AtLeastOne = "all"
    """Which weights are trained: all, the head alone, adapters and head, or the head and every parameter whose name
    contains one of a list of words, for example ["layer.5."]."""
    frozen: list[str] = []
    """Parameters that stay as they are although `trainable` covers them: any whose name contains one of these, for
    example "word_embeddings"."""
    epochs: Positive = 3.0
    """Passes over the training part; fractions are allowed."""
    learning_rate: Positive = 2e-5
    """Peak rate of the body, or of the adapters."""
    head_learning_rate: Positive | None = None
    """Peak rate of the head; without a value the same."""
    learning_rates: dict[str, Positive] = {}
    """Peak rate of parameters whose name contains a word, by that word; goes before the other rates."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """The optimiser; `adamw_8bit` holds its moments in 8 bits (bitsandbytes, on a GPU)."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Each layer further from the head trains at this multiple of the rate of the layer above it."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """Decoupled weight decay; biases and norms are exempt."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls after the warm-up."""
    warmup_fraction: ShareBelowOne = 0.1
    """Share of the steps in which the rate rises from 0."""
    batch_size: Count = 16
    """Windows in one forward and backward pass."""
    gradient_accumulation: Count = 1
    """Passes that make one step of the optimiser."""
    max_gradient_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    class_weights: Literal["balanced", "none"] = "balanced"
    """Weigh each class by the inverse of its share in the whole training part; `regress` has none."""
    rare_class_penalty: Positive = 1.0
    """Further factor on the weight of every class with fewer rows than the average class."""
    label_smoothing: ShareBelowOne = 0.0
    """Share of the target's mass that is spread over all classes."""
    answer_weights: Literal["tokens", "rows"] = "tokens"
    """Whether every token of an answer counts the same, so that long answers count more, or every answer does; for the
    objective `complete`."""
    neftune_alpha: Annotated[float, Field(ge=0.0)] = 0.0
    """Noise on the token embeddings in training (NEFTune); 0 turns it off, 5 is usual. For the objective `complete`."""
    share_context: bool = True
    """Read a context once for all its rows of a batch: the same loss and gradients, fewer tokens. For `complete`."""
    evaluations_per_epoch: Positive = 1.0
    """How often the validation part is predicted; 4 means every quarter of an epoch, 0.5 every other epoch."""
    patience: Count | None = None
    """Stop after this many evaluations without a better primary metric."""
    length_grouping: bool = True
    """Batch texts of similar length, so that little is padded."""
    weight_average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay of an exponential moving average of the weights, which is what is evaluated and kept; 0 turns it off."""
    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = 60.0
    """Time between two resumable checkpoints; 0 writes one after every step. It changes no result."""


class Cycle(Section):
    """Stages that are repeated in their order; stands in the list of stages for all its repetitions."""

    cycles: Count
    """How many times."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    """What is repeated."""


def _in_a_row(stages: object) -> object:
    """Write cycles out: every repetition of every stage, one after the other."""
    if not isinstance(stages, list):
        return stages
    row: list[object] = []
    for number, entry in enumerate(stages):
        if not isinstance(entry, dict) or "cycles" not in entry:
            row.append(entry)
            continue
        n_cycles, repeated = entry["cycles"], entry.get("stages")
        if type(n_cycles) is not int or n_cycles < 1 or not isinstance(repeated, list) or len(entry) > 2:
            raise ValueError(f"stages.{number} must have 'cycles', a whole number above 0, and 'stages', a list")
        row += repeated * n_cycles
    return row


BaselineName = Literal[
    "majority", "tfidf", "linear_probe", "mean", "tfidf_ridge", "metadata_ridge", "zero_shot", "few_shot"
]


class Evaluation(Section):
    """What is measured, and against what."""

    primary_metric: Literal[
        "macro_f1",
        "accuracy",
        "mcc",
        "auroc",
        "weighted_f1",
        "log_loss",
        "spearman",
        "pearson",
        "mae",
        "exact_match",
        "f1",
        "rouge_l",
    ] = "macro_f1"
    """Chooses the checkpoint and stands first in the report; the task `regress` begins with `spearman`, the task
    `answer` with `f1`."""
    baselines: list[BaselineName] = ["majority", "tfidf", "linear_probe"]
    """Trained on the same rows and judged on the same rows; the task `regress` begins with mean, tfidf_ridge and
    metadata_ridge, the task `answer` with the same model untrained, zero_shot and few_shot."""
    few_shot_rows: Count = 3
    """Training rows that stand before every prompt of the baseline few_shot."""
    answer_rules: Literal["squad", "korquad"] = "squad"
    """How answers are compared: SQuAD's words without articles, or KorQuAD's characters."""
    snap: bool = True
    """With folds, the task `regress` fits each target's grid of values on out-of-fold predictions, and reports the gain
    on rows that the grid was not fitted on."""
    n_bootstrap: Annotated[int, Field(ge=100)] = 2000
    """Resamples behind every interval."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """Level of the intervals."""
    calibration_bins: AtLeastTwo = 10
    """Bins of the calibration error and of the reliability plot."""


class Recipe(Section):
    """What the user asked for, complete."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the run: its folder under `runs/`."""
    task: Literal["classify", "regress", "answer"] = "classify"
    """What is learnt: one of a few classes, numbers in a range, or an answer in words."""
    data: Data
    """Which file is read, and the role of its columns."""
    model: Model
    """The pretrained model and what is put on it."""
    split: SplitPlan = SplitPlan()
    """How rows are divided into train, validation and the sealed test part."""
    evidence: Evidence | None = None
    """Where passages that a row is judged by come from, and how they stand beside the row's text."""
    text: Text = Text()
    """How texts become tokens."""
    answer: Answering | None = None
    """What a causal model is asked, how it decodes, and how its answers are cleaned; for the task `answer`. With it the
    task `classify` takes labels for words that a causal model writes, and scores them by their likelihood."""
    stages: Annotated[
        list[Stage], Field(min_length=1), BeforeValidator(_in_a_row, json_schema_input_type=list[Stage | Cycle])
    ] = [Stage()]
    """Stretches of training, one after the other; `cycles` and `stages` in one entry stand for repetitions."""
    evaluation: Evaluation = Evaluation()
    """What is measured, and against what."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seeds the split, the initial head, the order of rows and dropout."""
    report_to: list[Literal["tensorboard", "mlflow", "wandb"]] = []
    """Experiment trackers that also receive losses and metrics."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults_of_the_task(cls, content: Any) -> Any:
        """Write out what follows from the task, so that the saved recipe holds it."""
        if not isinstance(content, dict) or content.get("task", "classify") not in TASK_DEFAULTS:
            return content
        defaults = TASK_DEFAULTS[content.get("task", "classify")]
        if content.get("task", "classify") == "classify" and content.get("answer") is not None:
            defaults = {
                "stage": TASK_DEFAULTS["answer"]["stage"],
                "evaluation": {
                    **defaults["evaluation"],
                    "baselines": ["majority", "tfidf", "zero_shot", "few_shot"],
                },
            }
        data = content.get("data")
        has_metadata = isinstance(data, dict) and any(map(data.get, ("categorical", "numeric", "text_lengths")))
        filled = {"stages": [{}], "evaluation": {}, **content}
        if filled.get("task") == "answer" and filled.get("answer") is None:
            filled["answer"] = {}
        filled["stages"] = _in_a_row(filled["stages"])
        if isinstance(filled["stages"], list):
            filled["stages"] = [
                {**defaults["stage"], **stage} if isinstance(stage, dict) else stage for stage in filled["stages"]
            ]
        if isinstance(filled["evaluation"], dict):
            filled["evaluation"] = {**defaults["evaluation"], **filled["evaluation"]}
            if not has_metadata and "baselines" not in content.get("evaluation", {}):
                without = [name for name in filled["evaluation"]["baselines"] if name != "metadata_ridge"]
                filled["evaluation"]["baselines"] = without
        return filled

    @property
    def writes(self) -> bool:
        """Whether a causal model writes: answers, or the words of labels."""
        return self.task == "answer" or (self.task == "classify" and self.answer is not None)

    @property
    def keeps_unanswerable(self) -> bool:
        """Whether questions without an answer are learnt, as words that say so."""
        return self.answer is not None and self.answer.prompt.no_answer is not None
