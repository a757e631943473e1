"""lycoris_config.json: kept as it is."""

NAME = "lycoris_config.json"
