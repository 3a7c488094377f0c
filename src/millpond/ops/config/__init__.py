"""Configuration: one TOML file and environment variables, read into structs.

`load` reads and checks everything and names all faults at once; `explain`
tells what each setting means. The structs are in `settings`, and so are the
only place that knows which setting exists.
"""

from millpond.ops.config.faults import ConfigError, Fault
from millpond.ops.config.load import load, load_text
from millpond.ops.config.settings import Config

__all__ = ["Config", "ConfigError", "Fault", "load", "load_text"]
