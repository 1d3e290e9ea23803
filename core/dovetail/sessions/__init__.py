"""Conversations that are kept: sessions, their stores and their life."""
