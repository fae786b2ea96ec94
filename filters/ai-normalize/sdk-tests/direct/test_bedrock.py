"""`boto3` and the mock of Bedrock."""

import base64
import json

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from samples import ANSWER, ARGUMENTS, INPUT, NAMES, OUTPUT, PNG, RESULTS, SAID, SCHEMA, SEEN, TEXT, TOLD_BOTH, USE_BOTH

KIND = "bedrock"
TOOLS = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in NAMES]}
MODEL = "anthropic.claude-v9:0"


@pytest.fixture
def client(mock):
    config = Config(retries={"total_max_attempts": 1}, read_timeout=10)
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    return boto3.client("bedrock-runtime", endpoint_url=mock.url, region_name="us-east-1", config=config, **keys)


def user(*content):
    return [{"role": "user", "content": list(content)}]


def ask(client, streamed, **more):
    """The answer as one message, why it ended, and what it cost."""
    if not streamed:
        answer = client.converse(modelId=MODEL, **more)
        return answer["output"]["message"]["content"], answer["stopReason"], answer["usage"]
    content, stop, usage = {}, None, None
    for event in client.converse_stream(modelId=MODEL, **more)["stream"]:
        (kind, value), = event.items()
        if kind == "contentBlockStart":
            content[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            delta, block = value["delta"], content.setdefault(value["contentBlockIndex"], {"text": ""})
            if "text" in delta:
                block["text"] += delta["text"]
            elif "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
        elif kind == "messageStop":
            stop = value["stopReason"]
        elif kind == "metadata":
            usage = value["usage"]
    for block in content.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [content[index] for index in sorted(content)], stop, usage


@pytest.mark.parametrize("streamed", [False, True])
def test_text(client, streamed):
    config = {"maxTokens": 100, "temperature": 0}
    more = {"messages": user({"text": TEXT}), "system": [{"text": "be brief"}], "inferenceConfig": config}
    content, stop, usage = ask(client, streamed, **more)
    assert (content, stop) == ([{"text": SAID}], "end_turn")
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (INPUT, OUTPUT, INPUT + OUTPUT)


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_over_two_turns(client, streamed):
    messages = user({"text": USE_BOTH})
    content, stop, _ = ask(client, streamed, messages=messages, toolConfig=TOOLS)
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    assert [(call["name"], call["input"]) for call in calls] == [(name, ARGUMENTS) for name in NAMES]
    assert stop == "tool_use"
    messages.append({"role": "assistant", "content": content})
    results = [{"toolResult": {"toolUseId": c["toolUseId"], "content": [{"text": r}]}} for c, r in zip(calls, RESULTS)]
    messages += user(*results)
    content, _, _ = ask(client, streamed, messages=messages, toolConfig=TOOLS)
    assert content == [{"text": TOLD_BOTH}]


def test_structured_output(client):
    form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "city"}}}
    content, _, _ = ask(client, False, messages=user({"text": "where?"}), outputConfig={"textFormat": form})
    assert json.loads(content[0]["text"]) == ANSWER


def test_image(client):
    image = {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}
    content, _, _ = ask(client, False, messages=user({"image": image}))
    assert content == [{"text": SEEN}]


@pytest.mark.parametrize("status, code", [
    (400, "ValidationException"), (403, "AccessDeniedException"), (404, "ResourceNotFoundException"),
    (429, "ThrottlingException"), (500, "InternalServerException"), (503, "ServiceUnavailableException"),
])
def test_errors(client, status, code):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        ask(client, False, messages=user({"text": f"x mock[error={status}]"}))
    assert type(error.value).__name__ == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert error.value.response["Error"]["Message"]


def test_an_error_in_a_stream(client):
    with pytest.raises(botocore.exceptions.EventStreamError):
        ask(client, True, messages=user({"text": "one two three mock[mid_error]"}))


def test_a_wrong_checksum_is_seen(client):
    with pytest.raises(Exception, match="Checksum mismatch"):
        ask(client, True, messages=user({"text": "one two three mock[bad_crc]"}))


def test_embeddings(client):
    body = json.dumps({"inputText": "ab", "dimensions": 256})
    answer = client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body, contentType="application/json")
    assert len(json.loads(answer["body"].read())["embedding"]) == 256
