import json
import shutil
from pathlib import Path

import pytest

from strop.errors import ModelError, RecipeError
from strop.recipe.sections import Recipe
from strop.text.rendering import Ending, Renderer, SpecialWords, read_messages
from strop.text.tokenizer import TextTokenizer

# Writes the begin token too, as many do, and ends its generation prompt with a space.
CHAT = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
ROW = {"context": "Rome is old.", "question": "How old?"}


def recipe_with(text: list[str] | None = None, messages: str | None = None, **prompt: object) -> Recipe:
    data = {"path": "x", "answers": "answers", "text": text or ["context", "question"]}
    if messages is not None:
        data = {"path": "x", "messages": messages}
    answer = {"prompt": prompt}
    content = {"name": "t", "task": "answer", "data": data, "model": {"name": "m"}, "answer": answer}
    return Recipe.model_validate(content)


@pytest.fixture(scope="module")
def chat_folder(tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat") / "m"
    shutil.copytree(tiny_causal, folder)
    (folder / "chat_template.jinja").write_text(CHAT)
    return folder


def renderer_of(folder: Path, recipe: Recipe) -> Renderer:
    return Renderer.of(TextTokenizer.from_folder(folder), folder, recipe)


def test_a_template_of_the_recipe(tiny_causal: Path) -> None:
    renderer = renderer_of(tiny_causal, recipe_with(template="<bos>{{ context }}\nQ: {{ question }}\nA: "))
    assert renderer.kind == "template"
    # The tokenizer writes the begin token; the space is learnt with the answer.
    asked = renderer.ask(ROW, "r1")
    assert (asked.prompt, asked.lead) == ("Rome is old.\nQ: How old?\nA:", " ")
    assert renderer.ending == Ending("", 1, (1,), is_written=False)


def test_examples_stand_before_the_prompt_of_a_template(tiny_causal: Path) -> None:
    renderer = renderer_of(tiny_causal, recipe_with(template="{{ context }} {{ question }}:", few_shot_join="\n--\n"))
    example = ({"context": "c", "question": "q?"}, "yes")
    assert renderer.ask(ROW, "r1", [example]).prompt == "c q?:yes\n--\nRome is old. How old?:"


def test_the_chat_template_of_the_model(chat_folder: Path) -> None:
    renderer = renderer_of(chat_folder, recipe_with(system="Be short."))
    assert renderer.kind == "chat"
    asked = renderer.ask(ROW, "r1")
    assert asked.prompt == "system: Be short.\nuser: Rome is old.\n\nHow old?\nassistant:"
    assert asked.lead == " "
    assert renderer.ending == Ending("", 1, (1,), is_written=True)


def test_examples_are_earlier_turns_of_a_chat(chat_folder: Path) -> None:
    renderer = renderer_of(chat_folder, recipe_with(question="{{ question }} ({{ context }})"))
    asked = renderer.ask(ROW, "r1", [({"context": "c", "question": "q?"}, "yes")])
    assert asked.prompt == "user: q? (c)\nassistant: yes<eos>\nuser: How old? (Rome is old.)\nassistant:"


def test_a_template_of_the_recipe_goes_before_the_chat_template(chat_folder: Path) -> None:
    renderer = renderer_of(chat_folder, recipe_with(template="{{ context }}|{{ question }}"))
    assert renderer.ask(ROW, "r1").prompt == "Rome is old.|How old?"


def test_messages_are_the_prompt(chat_folder: Path) -> None:
    renderer = renderer_of(chat_folder, recipe_with(messages="talk", system="Be short."))
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}, {"role": "user", "content": "?"}]
    row = {"talk": json.dumps(said)}
    assert renderer.ask(row, "r1").prompt == ("system: Be short.\nuser: Hi\nassistant: Ho<eos>\nuser: ?\nassistant:")
    own = {"talk": json.dumps([{"role": "system", "content": "Own."}, said[0]])}
    example = ({"talk": json.dumps([{"role": "system", "content": "Other."}, said[2]])}, "!")
    assert renderer.ask(own, "r1", [example]).prompt == (
        "system: Own.\nuser: ?\nassistant: !<eos>\nuser: Hi\nassistant:"
    )


def test_messages_in_a_template_of_the_recipe(tiny_causal: Path) -> None:
    recipe = recipe_with(messages="talk", template="{% for m in talk %}{{ m.role }}: {{ m.content }}\n{% endfor %}A:")
    renderer = renderer_of(tiny_causal, recipe)
    row = {"talk": '[{"role": "user", "content": "Hi"}]'}
    assert renderer.ask(row, "r1").prompt == "user: Hi\nA:"
    renderer.must_use(row, "r1")
    with pytest.raises(RecipeError, match="a template without talk"):
        renderer_of(tiny_causal, recipe_with(messages="talk", template="A:")).must_use(row, "r1")


def test_a_blank_row_has_a_message_without_words() -> None:
    assert read_messages("") == [{"role": "user", "content": ""}]


@pytest.mark.parametrize(
    ("template", "unused"),
    [
        ("{{ context }}", ["question"]),
        ("{{ question }}", ["context"]),
        ("What?", ["context", "question"]),
        ("{{ context }}{% if question %}{% endif %}", ["question"]),
    ],
)
def test_a_template_that_leaves_out_a_column(tiny_causal: Path, template: str, unused: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        renderer_of(tiny_causal, recipe_with(template=template)).must_use(ROW, "r1")
    (problem,) = caught.value.problems
    assert problem.where == "answer.prompt.template"
    assert problem.must.startswith("every text column must be used by the template")
    assert problem.came == f"a template without {', '.join(unused)}"
    assert "{{ " + unused[0] + " }}" in problem.do


@pytest.mark.parametrize(
    "template", ["{{ row.context }}{{ row['question'] }}", "{{ context[:3] }}{{ question | upper }}"]
)
def test_columns_may_be_used_in_any_way(tiny_causal: Path, template: str) -> None:
    renderer_of(tiny_causal, recipe_with(template=template)).must_use(ROW, "r1")


def test_a_question_that_leaves_out_a_column(chat_folder: Path) -> None:
    renderer = renderer_of(chat_folder, recipe_with(question="{{ question }}"))
    with pytest.raises(RecipeError, match=r"answer.prompt.question: every text column must be used"):
        renderer.must_use(ROW, "r1")


def test_columns_of_other_names_need_a_question_of_their_own(chat_folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"answer.prompt.question: every variable must be one of the columns"):
        renderer_of(chat_folder, recipe_with(["body", "asked"]))


def test_a_model_without_chat_template_needs_a_template(tiny_causal: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        renderer_of(tiny_causal, recipe_with())
    (problem,) = caught.value.problems
    assert problem.where == "answer.prompt.template"
    assert problem.must == "a model without a chat template needs a template of the recipe"
    assert problem.came.startswith("neither answer.prompt.template nor a chat template in ")
    assert problem.do.startswith("give answer.prompt.template, for example")


def changed(source: Path, folder: Path, template: str = CHAT, **settings: object) -> Path:
    shutil.copytree(source, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_the_end_of_a_turn_goes_before_the_end_of_a_text(tiny_causal: Path, tmp_path: Path) -> None:
    turns = CHAT.replace("{{ eos_token }}", " <turn> more")
    folder = changed(tiny_causal, tmp_path / "m", turns, extra_special_tokens=["<turn>"])
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, 7]}')
    tokenizer = TextTokenizer.from_folder(folder)
    turn_id = tokenizer.tokenizer.token_to_id("<turn>")
    assert Renderer.of(tokenizer, folder, recipe_with()).ending == Ending(
        " ", turn_id, (turn_id, 1, 7), is_written=True
    )


def test_a_chat_template_that_writes_no_end(tiny_causal: Path, tmp_path: Path) -> None:
    folder = changed(tiny_causal, tmp_path / "m", CHAT.replace("{{ eos_token }}", "\n\n"))
    assert renderer_of(folder, recipe_with()).ending == Ending("", 1, (1,), is_written=False)


def test_a_model_without_an_end_token(tiny_causal: Path, tmp_path: Path) -> None:
    folder = changed(tiny_causal, tmp_path / "m", eos_token=None)
    (folder / "config.json").write_text('{"eos_token_id": null}')
    (folder / "generation_config.json").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="the model must have an end token, or it never learns to stop"):
        renderer_of(folder, recipe_with(template="{{ context }}{{ question }}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<bos>", "< bos>"),
        ("a <eos><bos>. <bo", "a < eos>< bos>. <bo"),
        ("<<bos>", "<< bos>"),
        ("가 <EOS> b", "가 <EOS> b"),
        ("", ""),
    ],
)
def test_words_like_special_tokens_are_taken_apart(tiny_causal: Path, text: str, expected: str) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_causal)
    apart = SpecialWords.of(tokenizer).taken_apart(text)
    assert apart == expected
    assert not {0, 1} & set(tokenizer.encode([apart])[0].tolist())
