from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from strop.records.run_folder import RunFolder
from strop.reporting.card import cell, write_card

BuildRun = Callable[..., RunFolder]
ADAPTER = {
    "model": {"name": "intfloat/multilingual-e5-small", "adapter": {"rank": 8}},
    "stages": [{"trainable": "adapter"}],
}


def written(folder: RunFolder) -> tuple[dict[str, object], str]:
    path = write_card(folder)
    assert path == folder.path / "README.md"
    _, matter, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(matter), body


def test_the_front_matter_is_what_the_hub_reads(run: RunFolder) -> None:
    matter, _ = written(run)
    assert matter["base_model"] == "intfloat/multilingual-e5-small"
    assert matter["pipeline_tag"] == "text-classification"
    assert matter["library_name"] == "transformers"
    assert "license" not in matter  # the user's to state; a comment asks for it
    assert "# license:" in run.card.read_text(encoding="utf-8")
    (model,) = matter["model-index"]
    (result,) = model["results"]
    assert {"type": "f1", "name": "Macro F1", "value": 0.812} in result["metrics"]


def test_the_hubs_own_reader_accepts_the_card(run: RunFolder) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard.load(write_card(run))
    assert card.data.base_model == "intfloat/multilingual-e5-small"
    assert card.data.eval_results[0].metric_value == 0.812


def test_the_card_has_scores_and_no_texts(run: RunFolder) -> None:
    _, body = written(run)
    assert "clearly above the best baseline, TF-IDF (+0.120 [0.050, 0.190])." in body
    assert "| Macro F1 | 0.812 [0.762, 0.862] | 0.087 [0.037, 0.137] |" in body
    assert "| 시스템 운영 | 20 | 24 % |" in body
    assert "이론 &lt;b&gt;theory&lt;/b&gt;" in body
    for words in ("질문입니다", "alert(1)", "flexbox", "sealed-row", "봉인된"):
        assert words not in body
    assert "- These rows also chose the checkpoint, which flatters the model a little." in body


def test_a_head_of_strops_own_is_loaded_by_strop(run: RunFolder) -> None:
    _, body = written(run)
    assert "The head stands on mean pooling" in body
    assert 'strop.Run("runs/question-routing")' in body
    assert "AutoModelForSequenceClassification" not in body


def test_a_native_head_is_loaded_by_transformers(tmp_path: Path, build_run: BuildRun) -> None:
    folder = build_run(tmp_path / "run")
    folder.update_about(model={"name": "x/y", "source": "hub", "pooling": "native"})
    _, body = written(folder)
    assert 'AutoModelForSequenceClassification.from_pretrained("run/model")' in body
    compile(body.split("```python\n")[1].split("```")[0], "card", "exec")


def test_adapters_are_loaded_by_peft(tmp_path: Path, build_run: BuildRun) -> None:
    matter, body = written(build_run(tmp_path / "run", **ADAPTER))
    assert matter["library_name"] == "peft"
    assert "lora" in matter["tags"]
    assert "`peft`" in body


def test_a_local_base_model_is_not_taken_for_one_on_the_hub(tmp_path: Path, build_run: BuildRun) -> None:
    folder = build_run(tmp_path / "run", model={"name": str(tmp_path / "my-model")}, upto="recipe")
    matter, body = written(folder)
    assert "base_model" not in matter
    assert "my-model, fine-tuned with Strop" in body
    assert str(tmp_path) not in body


@pytest.mark.parametrize("upto", ["recipe", "split", "training"])
def test_an_unfinished_run_has_a_card_too(tmp_path: Path, build_run: BuildRun, upto: str) -> None:
    matter, body = written(build_run(tmp_path / "run", upto=upto))
    assert "model-index" not in matter
    assert "This run has no scores yet: it is unfinished." in body


def test_folds_are_said_to_be_averaged(tmp_path: Path, build_run: BuildRun) -> None:
    _, body = written(build_run(tmp_path / "run", folds=3))
    assert "3 models were trained, each on all but one fold" in body
    assert "of several models" in body


def test_tables_of_the_card_keep_their_columns(run: RunFolder) -> None:
    _, body = written(run)
    lines = body.splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|")


def test_labels_cannot_break_a_table() -> None:
    assert cell("a|b\n<i>*c*</i> `d` [e](f)") == r"a\|b &lt;i&gt;\*c\*&lt;/i&gt; \`d\` \[e\](f)"
