"""SDKs talk through the gateway to every mock."""
