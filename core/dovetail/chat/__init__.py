"""A conversation turn: messages, requests, answers, providers, and runs in flight."""
