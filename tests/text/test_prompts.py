import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import RecipeError
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset, strings, tuples
from strop.text.prompts import Prompted, make_completions
from strop.text.tokenizer import TextTokenizer

TEMPLATE = "{{ context }}\n질문: {{ question }}\n답: "
CHATML = (
    "{% for m in messages %}{{ '<turn>' + m.role + '\n' + m.content + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>assistant\n' }}{% endif %}"
)
SENTENCES = [f"{place} is number {number}." for number, place in enumerate(["Rome", "Oslo", "Lima", "Bern", "Kyiv"], 1)]
CONTEXT = " ".join(SENTENCES)
TEXTS = st.text(alphabet="abc 서울은?.\n<>é😀", min_size=1, max_size=40)


def rows(*given: tuple[str, str, tuple[str, ...]]) -> Dataset:
    contexts, questions, answers = zip(*given, strict=True)
    texts = {"context": strings(contexts), "question": strings(questions)}
    return Dataset(strings([f"r{at}" for at in range(len(given))]), texts, answers=tuples(answers))


THREE = rows(
    (CONTEXT, "What is Lima?", ("number 3", "3")),
    (CONTEXT, "What is Bern?", ("number 4",)),
    ("서울은 수도이다.", "서울은?", ("수도",)),
)


def recipe_with(
    max_length: int = 512,
    *,
    context: str | None = "context",
    windows: dict[str, int] | None = None,
    **prompt: object,
) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "t",
            "task": "answer",
            "data": {"path": "x", "answers": "answers", "text": ["context", "question"], "context": context},
            "model": {"name": "m"},
            "text": {"max_length_tokens": max_length, "windows": windows},
            "answer": {"prompt": {"max_answer_tokens": 24, **prompt}},
        }
    )


@pytest.fixture(scope="module")
def base(tiny_causal: Path) -> tuple[TextTokenizer, Path]:
    return TextTokenizer.from_folder(tiny_causal), tiny_causal


@pytest.fixture(scope="module")
def chat(tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextTokenizer, Path]:
    folder = tmp_path_factory.mktemp("chat") / "m"
    shutil.copytree(tiny_causal, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra_special_tokens": ["<turn>", "<end>"]}))
    (folder / "chat_template.jinja").write_text(CHATML)
    return TextTokenizer.from_folder(folder), folder


def made(model: tuple[TextTokenizer, Path], dataset: Dataset, recipe: Recipe, purpose="train", **given) -> Prompted:
    return make_completions(dataset, *model, recipe, purpose=purpose, **given)


def read(model: tuple[TextTokenizer, Path], ids: np.ndarray) -> str:
    return model[0].tokenizer.decode(ids.tolist(), skip_special_tokens=False)


def said(prompted: Prompted) -> list[tuple[str, int]]:
    return [(entry.kind, entry.n_rows) for entry in prompted.entries]


def test_prompts_of_a_template(base) -> None:
    prompted = made(base, THREE, recipe_with(template=TEMPLATE))
    completions = prompted.completions
    assert completions.ids.tolist() == ["r0", "r1", "r2"]
    assert completions.row_P.tolist() == [0, 1, 2]
    assert prompted.prompt_texts[0] == CONTEXT + "\n질문: What is Lima?\n답:"
    assert read(base, completions.prompts[0]) == "<bos>" + prompted.prompt_texts[0]
    assert read(base, completions.answers[0]) == " number 3<eos>"
    assert prompted.answer_texts.tolist() == ["number 3", "number 4", "수도"]
    assert prompted.end_ids == (1,)
    assert completions.n_tokens_R.tolist() == (completions.prompt_tokens_P + completions.answer_tokens_P).tolist()
    assert completions.n_cut_R.tolist() == [0, 0, 0]
    assert said(prompted) == [("note", 3)]
    assert "ends with a space, which is left to the answer" in prompted.entries[0].what


def test_rows_of_a_context_share_its_tokens(base) -> None:
    completions = made(base, THREE, recipe_with(template=TEMPLATE)).completions
    assert completions.context_P.tolist() == [0, 0, 1]
    shared = int(completions.shared_P[0])
    assert completions.shared_P.tolist() == [shared, shared, 0]
    assert read(base, completions.prompts[0][:shared]) == "<bos>" + CONTEXT + "\n질문: What is "
    alone = made(base, THREE, recipe_with(template=TEMPLATE, context=None)).completions
    assert alone.context_P.tolist() == [0, 1, 2]
    assert alone.shared_P.tolist() == [0, 0, 0]


def test_prompts_of_a_chat_template(chat) -> None:
    prompted = made(chat, THREE.take([2]), recipe_with(system="Be short."))
    assert prompted.prompt_texts.tolist() == [
        "<turn>system\nBe short.<end>\n<turn>user\n서울은 수도이다.\n\n서울은?<end>\n<turn>assistant\n"
    ]
    assert read(chat, prompted.completions.prompts[0]) == "<bos>" + prompted.prompt_texts[0]
    assert read(chat, prompted.completions.answers[0]) == "수도<end>"
    assert prompted.messages == (
        ({"role": "system", "content": "Be short."}, {"role": "user", "content": "서울은 수도이다.\n\n서울은?"}),
    )
    assert prompted.kind == "chat"
    end = chat[0].tokenizer.token_to_id("<end>")
    assert prompted.end_ids == (end, 1)
    assert prompted.entries == ()


def test_at_prediction_there_are_the_same_prompts_without_answers(base) -> None:
    recipe = recipe_with(template=TEMPLATE)
    trained, asked = made(base, THREE, recipe), made(base, THREE, recipe, "predict")
    for before, after in zip(trained.completions.prompts, asked.completions.prompts, strict=True):
        assert before.tolist() == after.tolist()
    assert asked.completions.answer_tokens_P.tolist() == [0, 0, 0]
    assert asked.answer_texts.tolist() == ["", "", ""]


@pytest.mark.parametrize("name", ["base", "chat"])
@given(context=TEXTS, question=TEXTS, answer=TEXTS)
@settings(deadline=None, max_examples=60)
def test_what_is_trained_is_what_is_sent(name, context, question, answer, request) -> None:
    model = request.getfixturevalue(name)
    recipe = recipe_with(template=TEMPLATE if name == "base" else None, max_answer_tokens=200)
    dataset = rows((context, question, (answer,)), (CONTEXT, "What?", ("3",)))
    trained, asked = made(model, dataset, recipe), made(model, dataset, recipe, "predict")
    if trained.completions.n_rows < 2:
        assert answer.strip() == ""
        return
    prompt, learnt = trained.completions.prompts[0], trained.completions.answers[0]
    assert prompt.tolist() == asked.completions.prompts[0].tolist()
    assert model[0].tokenizer.encode(asked.prompt_texts[0]).ids == prompt.tolist()
    end = "<eos>" if name == "base" else "<end>"
    if name == "base":
        whole = f"<bos>{context}\n질문: {question}\n답: {answer.strip()}{end}"
    else:
        whole = f"<bos><turn>user\n{context}\n\n{question}<end>\n<turn>assistant\n{answer.strip()}{end}"
    assert read(model, np.concatenate([prompt, learnt])).encode() == whole.encode()


def test_special_tokens_in_texts_are_read_as_words(base) -> None:
    dataset = rows(("<bos>a<eos>", "b <bos>", ("<eos> c",)), ("a", "b", ("c",)))
    prompted = made(base, dataset, recipe_with(template="{{ context }}|{{ question }}|"))
    assert prompted.prompt_texts.tolist() == ["< bos>a< eos>|b < bos>|", "a|b|"]
    assert prompted.completions.prompts[0].tolist().count(0) == 1
    assert read(base, prompted.completions.answers[0]) == "< eos> c<eos>"
    (entry,) = prompted.entries
    assert (entry.kind, entry.ids) == ("cleaned", ("r0",))


def test_half_a_surrogate_pair_is_replaced(base) -> None:
    prompted = made(base, rows(("a\ud83d", "b", ("c",))), recipe_with(template="{{ context }}|{{ question }}|"))
    assert prompted.prompt_texts.tolist() == ["a\ufffd|b|"]


def test_rows_without_an_answer(base) -> None:
    dataset = rows((CONTEXT, "Who?", ()), (CONTEXT, "What?", (" ", "3")))
    template = "{{ context }}|{{ question }}|"
    prompted = made(base, dataset, recipe_with(template=template))
    assert prompted.completions.ids.tolist() == ["r1"]
    assert prompted.answer_texts.tolist() == ["3"]
    (entry,) = prompted.entries
    assert (entry.kind, entry.n_rows, entry.ids) == ("dropped", 1, ("r0",))
    assert entry.what == "Rows without an answer were left out; answer.prompt.no_answer would say what stands for it"
    with_words = made(base, dataset, recipe_with(template=template, no_answer="none"))
    assert with_words.answer_texts.tolist() == ["none", "3"]
    assert made(base, dataset, recipe_with(template=template), "predict").completions.n_rows == 2


def test_an_answer_that_is_too_long_is_never_cut(base) -> None:
    dataset = rows((CONTEXT, "All?", (CONTEXT,)), (CONTEXT, "What?", ("3",)))
    prompted = made(base, dataset, recipe_with(template="{{ context }}|{{ question }}|", max_answer_tokens=8))
    assert prompted.completions.ids.tolist() == ["r1"]
    (entry,) = prompted.entries
    assert (entry.kind, entry.ids) == ("dropped", ("r0",))
    assert entry.what == "Rows whose answer has more than 8 tokens were left out (in training)"


def test_rows_that_are_too_long_are_dropped_in_training_alone(base) -> None:
    recipe = recipe_with(64, template=TEMPLATE)
    prompted = made(base, THREE, recipe)
    assert prompted.completions.ids.tolist() == ["r2"]
    assert said(prompted) == [("dropped", 2), ("note", 1)]
    assert prompted.entries[0].what.startswith("Rows that do not fit 64 tokens were left out")
    asked = made(base, THREE, recipe, "predict")
    assert asked.completions.ids.tolist() == ["r0", "r1", "r2"]
    assert asked.completions.prompt_tokens_P.max() <= 64 - 24
    assert said(asked) == [("cut", 2)]
    assert asked.entries[0].what.endswith("(to be answered)")


def test_a_context_is_cut_around_the_answer_in_training(base) -> None:
    prompted = made(base, THREE, recipe_with(90, template=TEMPLATE, when_too_long="cut_context"))
    completions = prompted.completions
    assert completions.ids.tolist() == ["r0", "r1", "r2"]
    assert (completions.prompt_tokens_P + completions.answer_tokens_P).max() <= 90
    assert "number 3" in prompted.prompt_texts[0]
    assert "number 4" in prompted.prompt_texts[1]
    kept = prompted.prompt_texts[0].split("\n")[0]
    assert kept in CONTEXT
    assert all(one in SENTENCES for one in kept.replace(". ", ".|").split("|"))
    assert completions.n_tokens_R[0] > 90
    assert completions.n_cut_R[2] == 0
    (cut, _) = prompted.entries
    assert (cut.kind, cut.ids) == ("cut", ("r0", "r1"))
    assert sum(cut.details["n_tokens_cut"].values()) == completions.n_cut_R.sum() > 0


def test_a_context_is_cut_to_the_question_at_prediction(base) -> None:
    prompted = made(base, THREE, recipe_with(100, template=TEMPLATE, when_too_long="cut_context"), "predict")
    assert "Lima is number 3." in prompted.prompt_texts[0]
    assert "Bern is number 4." in prompted.prompt_texts[1]
    assert CONTEXT not in prompted.prompt_texts[0]
    assert prompted.completions.prompt_tokens_P.max() <= 100 - 24


def test_a_template_may_write_the_context_twice(base) -> None:
    recipe = recipe_with(150, template="{{ context }}\n{{ context }}\n{{ question }}\n", when_too_long="cut_context")
    prompted = made(base, THREE, recipe, "predict")
    assert prompted.completions.prompt_tokens_P.max() <= 150 - 24
    assert prompted.prompt_texts[0].count("Lima is number 3.") == 2


def test_a_long_context_is_read_in_windows(base) -> None:
    recipe = recipe_with(90, template=TEMPLATE, when_too_long="windows")
    trained, asked = made(base, THREE, recipe), made(base, THREE, recipe, "predict")
    for prompted in (trained, asked):
        completions = prompted.completions
        n_windows = np.bincount(completions.row_P)
        assert n_windows[0] > 1
        assert n_windows[2] == 1
        words = {word for text in prompted.prompt_texts[: n_windows[0]] for word in text.split("\n")[0].split()}
        assert words == set(CONTEXT.split())
        assert completions.n_cut_R.tolist() == [0, 0, 0]
    # What holds the answer is trained on, and nothing else.
    holds = ["number 3" in text.split("\n")[0] for text in trained.prompt_texts[trained.completions.row_P == 0]]
    learnt = (trained.completions.answer_tokens_P > 0)[trained.completions.row_P == 0]
    assert learnt.tolist() == holds
    assert asked.completions.prompt_tokens_P.max() <= 90 - 24
    # Both questions of the context read the same windows.
    assert len(set(asked.completions.context_P.tolist())) == np.bincount(asked.completions.row_P)[0] + 1
    assert asked.completions.shared_P[0] > 0


def test_what_lies_beyond_the_last_window_is_counted(base) -> None:
    windows = {"stride_tokens": 4, "max_windows": 1}
    prompted = made(base, THREE, recipe_with(90, template=TEMPLATE, when_too_long="windows", windows=windows))
    assert np.bincount(prompted.completions.row_P).tolist() == [1, 1, 1]
    assert prompted.completions.n_cut_R[0] > 0
    # The answer of the second row lies beyond it.
    assert prompted.answer_texts.tolist() == ["number 3", "", "수도"]
    assert said(prompted)[:2] == [("note", 2), ("dropped", 1)]
    assert prompted.entries[1].ids == ("r1",)
    assert prompted.entries[1].what == "No window of these rows holds the answer: nothing is learnt from them"


def test_every_window_of_a_row_without_an_answer_says_so(base) -> None:
    recipe = recipe_with(90, template=TEMPLATE, when_too_long="windows", no_answer="none")
    prompted = made(base, rows((CONTEXT, "Who?", ())), recipe)
    assert len(prompted.answer_texts) > 1
    assert set(prompted.answer_texts) == {"none"}


def test_an_answer_that_is_not_in_the_context_is_learnt_beside_what_is_near(base) -> None:
    dataset = rows((CONTEXT, "Is Kyiv the last?", ("yes",)))
    prompted = made(base, dataset, recipe_with(90, template=TEMPLATE, when_too_long="cut_context"))
    assert "Kyiv" in prompted.prompt_texts[0]
    assert prompted.answer_texts.tolist() == ["yes"]


def test_examples_stand_before_the_prompt_that_a_row_has_without_them(base) -> None:
    short = rows(("a", "b", ("c",)), ("d", "e", ("f",)))
    recipe = recipe_with(100, template=TEMPLATE, when_too_long="cut_context")
    asked = rows(("g", "h", ("i",)), (CONTEXT, "Where is number 3?", ("Lima",)))
    alone = made(base, asked, recipe, "predict")
    behind = made(base, asked, recipe, "predict", examples=short)
    before = "a\n질문: b\n답: c\n\nd\n질문: e\n답: f\n\n"
    assert behind.prompt_texts.tolist() == [before + text for text in alone.prompt_texts]
    assert said(behind) == said(alone)
    assert behind.completions.n_cut_R.tolist() == alone.completions.n_cut_R.tolist()


def test_as_many_examples_stand_before_a_prompt_as_fit(base) -> None:
    short = rows(("a", "b", ("c",)), ("d", "e", ("f",)))
    recipe = recipe_with(40, template="{{ context }}|{{ question }}|")
    asked = rows(("g", "h", ("i",)))
    both = made(base, asked, recipe, "predict", examples=short)
    assert both.prompt_texts.tolist() == ["a|b|c\n\nd|e|f\n\ng|h|"]
    assert both.entries == ()
    # The answer has room for 24 tokens; a position less than both examples need.
    n_positions = 24 + len(both.completions.prompts[0]) - 1
    one = made(base, asked, recipe, "predict", examples=short, max_positions=n_positions)
    assert one.prompt_texts.tolist() == ["a|b|c\n\ng|h|"]
    (entry,) = one.entries
    assert entry.what.endswith("examples, since all of them do not fit: 1 before 1 rows")
    assert entry.details == {"n_examples": {"r0": 1}}


@pytest.mark.parametrize("context", ["context", None])
def test_a_question_that_is_too_long_is_answered_all_the_same(base, context: str | None) -> None:
    dataset = rows((CONTEXT, "begin " + "x " * 200 + "end?", ("3",)))
    recipe = recipe_with(100, template="{{ question }}|{{ context }}|", context=context)
    prompted = made(base, dataset, recipe, "predict")
    assert prompted.completions.prompt_tokens_P.tolist() <= [76]
    assert prompted.prompt_texts[0].startswith("begin x x")
    assert prompted.prompt_texts[0].endswith("number 5.|")
    assert prompted.completions.n_cut_R[0] > 0
    assert prompted.entries[0].what.startswith("Prompts that do not fit 100 tokens beside an answer were cut")


def test_no_row_is_left(base) -> None:
    with pytest.raises(RecipeError) as caught:
        made(base, THREE.take([0, 1]), recipe_with(40, template=TEMPLATE))
    (problem,) = caught.value.problems
    assert problem.must == "rows with an answer must be left to train on"
    assert problem.came.startswith("2 rows: Rows that do not fit 40 tokens were left out")


def test_no_rows_at_all_are_answered(base) -> None:
    prompted = made(base, THREE.take([]), recipe_with(template=TEMPLATE), "predict")
    assert (prompted.completions.n_rows, prompted.completions.n_prompts) == (0, 0)


def test_lengths_must_leave_room(base) -> None:
    recipe = recipe_with(64, template=TEMPLATE, max_answer_tokens=60, context=None, when_too_long="windows")
    with pytest.raises(RecipeError) as caught:
        made(base, THREE, recipe)
    room, column = caught.value.problems
    assert room.where == "answer.prompt.max_answer_tokens"
    assert room.must == "it must leave 8 of text.max_length_tokens for the prompt: at most 56"
    assert column.came == "windows, no data.context"
    with pytest.raises(RecipeError, match="it must not exceed the model's positions, 512"):
        made(base, THREE, recipe_with(600, template=TEMPLATE), max_positions=512)


def test_a_chat_template_without_an_end_is_said(tiny_causal: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny_causal, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}")
    prompted = made((TextTokenizer.from_folder(folder), folder), THREE, recipe_with())
    (entry,) = prompted.entries
    assert (
        entry.what == "The chat template writes no token after an answer: the model's own end token, <eos>, is learnt"
    )


MODELS = Path.home() / ".cache" / "strop-models"


@pytest.mark.parametrize(
    ("name", "template"), [("smollm2", None), pytest.param("gemma3-270m", TEMPLATE, marks=pytest.mark.slow)]
)
def test_a_real_model_meets_the_text_as_transformers_makes_it(name: str, template: str | None) -> None:
    folder = MODELS / name
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    from transformers import AutoTokenizer

    model = TextTokenizer.from_folder(folder), folder
    prompted = made(model, THREE, recipe_with(template=template))
    theirs = AutoTokenizer.from_pretrained(folder)
    for at, (context, question, answer) in enumerate(
        zip(*THREE.texts.values(), prompted.answer_texts.tolist(), strict=True)
    ):
        ours = np.concatenate([prompted.completions.prompts[at], prompted.completions.answers[at]]).tolist()
        if template is None:
            talk = [{"role": "user", "content": f"{context}\n\n{question}"}, {"role": "assistant", "content": answer}]
            expected = theirs.apply_chat_template(talk, tokenize=True, return_dict=False)
            # Behind the end token the template writes a line break, at which nobody arrives.
            assert ours == expected[: len(ours)]
            assert theirs.decode(expected[len(ours) :]) == "\n"
        else:
            assert ours == theirs(f"{context}\n질문: {question}\n답: {answer}<eos>")["input_ids"]
