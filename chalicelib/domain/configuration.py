"""What a check of a stage's settings and connections found: one fault with the setting that it belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigurationFault:
    """`setting` is the environment variable, `code` is for programs, `sentence` says what is wrong and what to do."""

    setting: str
    code: str
    sentence: str
