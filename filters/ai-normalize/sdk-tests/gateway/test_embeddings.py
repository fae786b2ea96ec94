"""OpenAI's client: embeddings, and the list of models."""

import openai
import pytest

from models import MODELS


def test_embeddings(chat, model):
    ask = {"model": model.name, "input": ["ab", "c"]}
    if not model.can("embeddings"):
        with pytest.raises(openai.APIStatusError) as error:
            chat.embeddings.create(**ask)
        assert 400 <= error.value.status_code < 500 and error.value.body["message"]
        return
    answer = chat.embeddings.create(**ask)
    assert [item.index for item in answer.data] == [0, 1]
    first, second = (item.embedding for item in answer.data)
    assert first != second and all(isinstance(number, float) for number in first + second)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens


def test_one_text(chat, model):
    if not model.can("embeddings"):
        pytest.skip(f"{model.name} has no embeddings: the test above sees the refusal")
    (item,) = chat.embeddings.create(model=model.name, input="ab").data
    floats = chat.embeddings.create(model=model.name, input="ab", encoding_format="float").data[0]
    assert item.embedding == pytest.approx(floats.embedding)


def test_the_models_are_listed(chat, alone):
    names = {model.id for model in chat.models.list()}
    assert {model.name for model in MODELS} <= names


def test_one_model_is_told(chat, alone):
    assert chat.models.retrieve("openai").id == "openai"
