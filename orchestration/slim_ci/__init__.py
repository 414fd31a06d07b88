"""Slim CI: build what a change touches, read the rest from `pro`, say what happened."""
