import json
import subprocess
import sys
from pathlib import Path

import pytest

from strop.errors import ModelError, RecipeError
from strop.text.chat import ChatTemplate, special_texts, token_settings

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)
# Writes the date, blocks, JSON and a namespace, as templates on the hub do.
MODERN = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{% endif %}
{%- endif %}
{%- set ns = namespace(n_turns=0) %}
{{- "Today: " + date_string + "\\n" }}
{%- for message in messages %}
    {%- if message.role == 'hidden' %}{% continue %}{% endif %}
    {%- set ns.n_turns = ns.n_turns + 1 %}
    {{- '<' + message.role + '>' + ns.n_turns|string }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{ message.content | trim }}<end>{% endgeneration %}
    {%- else %}
        {{- dict(said=message.content) | tojson }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<assistant>' }}{{ (ns.n_turns + 1)|string }}{% endif %}"""
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
TALK = [
    {"role": "system", "content": "Be short & <clear>."},
    {"role": "user", "content": "서울은 어디? 'x' "},
    {"role": "assistant", "content": " Korea "},
    {"role": "user", "content": "And Rome?"},
]


@pytest.mark.parametrize("source", [CHATML, LLAMA_2, MODERN.replace('"%d %b %Y"', '"day"')])
@pytest.mark.parametrize("n_messages", [2, 3, 4])
def test_it_renders_as_transformers_does(source: str, n_messages: int) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    chat, talk = ChatTemplate(source, SPECIAL), TALK[:n_messages]
    for is_prompt, rendered in ((True, chat.prompt(talk)), (False, chat.whole(talk))):
        expected, _ = render_jinja_template([talk], chat_template=source, add_generation_prompt=is_prompt, **SPECIAL)
        assert [rendered] == expected


def test_the_date_is_always_the_same() -> None:
    assert ChatTemplate(MODERN, SPECIAL).prompt(TALK[:2]) == (
        '<s>Today: 26 Jul 2024\n<system>1{"said": "Be short & <clear>."}'
        '<user>2{"said": "서울은 어디? \'x\' "}<assistant>3'
    )


@pytest.mark.parametrize(
    ("source", "lead", "end"),
    [
        (CHATML, "", "<|im_end|>\n"),
        (LLAMA_2, " ", " </s>"),
        (MODERN, "", "<end>"),
        # Asked, this one begins to think; told, it leaves the thoughts out: what stands before the answer is unknown.
        (CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}"), "", "<|im_end|>\n"),
        (
            CHATML.replace(
                " + message['content']",
                " + ('<think></think>' if message['role'] == 'assistant' else '') + message['content']",
            ),
            "<think></think>",
            "<|im_end|>\n",
        ),
    ],
)
def test_what_stands_around_an_answer(source: str, lead: str, end: str) -> None:
    turn = ChatTemplate(source, SPECIAL).turn()
    assert (turn.lead, turn.end) == (lead, end)


def test_a_template_that_refuses_says_why_and_what_to_do() -> None:
    source = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
    )
    chat = ChatTemplate(source, SPECIAL)
    assert chat.turn().end == "<|im_end|>\n"
    with pytest.raises(RecipeError) as caught:
        chat.prompt(TALK[:2], "chat template, row 'r1'")
    assert caught.value.problems[0].where == "chat template, row 'r1'"
    assert caught.value.problems[0].came == "System role not supported (roles: system, user)"
    assert "leave out answer.prompt.system" in caught.value.problems[0].do


def test_a_template_that_loses_the_answer_is_refused() -> None:
    with pytest.raises(RecipeError, match="the answer of a trial conversation is not in what it wrote"):
        ChatTemplate("{{ messages[0].content }}", SPECIAL).turn()
    with pytest.raises(RecipeError, match="the question of a trial conversation is not in what it wrote"):
        ChatTemplate("{{ messages[-1].content if messages[-1].role == 'assistant' }}", SPECIAL).turn()


def test_a_template_that_is_not_jinja_is_a_damaged_model() -> None:
    with pytest.raises(ModelError, match="line 2: it must be a Jinja template"):
        ChatTemplate("a\n{% for %}", SPECIAL).turn()


@pytest.mark.parametrize("source", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ lipsum() }}"])
def test_a_template_cannot_leave_its_sandbox(source: str) -> None:
    with pytest.raises(RecipeError, match="must take the messages"):
        ChatTemplate(source + "{{ 1 / 0 }}", {}).prompt(TALK)


def test_the_file_goes_before_the_settings(tmp_path: Path) -> None:
    assert ChatTemplate.from_folder(tmp_path) is None
    token = {"content": "<b>", "lstrip": False}
    settings = {"bos_token": token, "eos_token": "<e>", "unk_token": None, "chat_template": "old"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert ChatTemplate.from_folder(tmp_path) == ChatTemplate("old", {"bos_token": "<b>", "eos_token": "<e>"})
    (tmp_path / "chat_template.jinja").write_text("새 것")
    chat = ChatTemplate.from_folder(tmp_path)
    assert chat is not None
    assert chat.source == "새 것"


def test_of_several_templates_the_default_is_taken(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"chat_template": named}))
    chat = ChatTemplate.from_folder(tmp_path)
    assert chat is not None
    assert chat.source == "d"
    path.write_text(json.dumps({"chat_template": named[:1]}))
    assert ChatTemplate.from_folder(tmp_path) is None


def test_damaged_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer_config.json: the file must be complete JSON"):
        token_settings(tmp_path)


def test_roles_of_special_tokens() -> None:
    assert special_texts({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "bos_token_id": 1, "x_token": 3}) == {
        "bos_token": "<s>",
        "eos_token": "</s>",
    }


def test_neither_transformers_nor_torch_is_loaded() -> None:
    code = (
        "import sys; from strop.text.chat import ChatTemplate; import strop.text.prompts;"
        f"ChatTemplate({CHATML!r}, {{}}).turn();"
        "print(sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
