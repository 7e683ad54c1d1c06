"""The version, for pickles and for people; ``pyproject.toml`` has the same."""

__version__ = "0.1.0"
