"""Tests of training by several ranks."""
