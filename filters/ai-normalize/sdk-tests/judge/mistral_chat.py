"""Chat and Embeddings by the models of `mistralai`."""

from mistralai.client.models import ChatCompletionRequest, ChatCompletionStreamRequest, EmbeddingRequest

from judge.strict import Unfit, check


def judge(request):
    """A stream is a request of its own type."""
    body = request.json()
    if request.path == "/v1/chat/completions":
        check(ChatCompletionStreamRequest if body.get("stream") else ChatCompletionRequest, body)
    elif request.path == "/v1/embeddings":
        check(EmbeddingRequest, body)
    else:
        raise Unfit("Mistral has no such path")
