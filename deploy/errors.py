"""What can go wrong while packaging."""


class BuildError(Exception):
    """The package cannot be made; the text is a sentence for whoever asked for it."""
