"""Learn an initialisation that fine-tunes in a few gradient steps."""

__version__ = "0.1.0"
