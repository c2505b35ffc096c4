"""The recipe of a run: its settings, the presets and the TOML form."""
