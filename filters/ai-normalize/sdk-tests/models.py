"""The models of envoy-configs/ai.yaml, and what their providers cannot do."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Model:
    """A model's name, the mock that answers for it, and the features it lacks."""

    name: str
    kind: str
    lacks: frozenset = field(default_factory=frozenset)

    def can(self, feature):
        """Whether the provider has it: images, schema, embeddings, responses."""
        return feature not in self.lacks


def _model(name, kind, *lacks):
    return Model(name, kind, frozenset(lacks))


MODELS = [
    _model("openai", "openai"),
    _model("claude", "anthropic", "embeddings"),
    _model("gemini", "gemini"),
    _model("vertex", "vertex"),
    _model("bedrock", "bedrock", "embeddings", "remote images"),
    _model("cohere", "cohere"),
    _model("mistral", "mistral"),
    _model("azure", "azure"),
    _model("deepseek", "deepseek", "images", "schema", "embeddings"),
    _model("groq", "groq", "embeddings"),
    _model("local", "compatible"),
]
