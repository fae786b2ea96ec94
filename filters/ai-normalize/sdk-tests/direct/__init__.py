"""Each provider's own SDK talks to the mock of that provider."""
