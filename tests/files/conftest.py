"""A folder with the least that a run needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = {
    "model_type": "lora",
    "model_family": "flux",
    "output_dir": "runs/x",
    "data_backend_config": "config/multidatabackend.json",
    "optimizer": "adamw_bf16",
    "learning_rate": 1e-4,
    "max_train_steps": 10,
}
BACKENDS = [{"id": "pictures", "type": "local", "instance_data_dir": "datasets/pictures"}]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(config={...}, backends=[...], env="...", prompts={...}, lycoris={...})` gives the folder."""

    def write(
        config: dict[str, Any] | None = None,
        backends: list[Any] | None = None,
        prompts: dict[str, Any] | None = None,
        lycoris: dict[str, Any] | None = None,
        env: str | None = None,
    ) -> Path:
        documents = {
            "config.json": {**CONFIG, **(config or {})},
            "multidatabackend.json": BACKENDS if backends is None else backends,
            "user_prompt_library.json": prompts,
            "lycoris_config.json": lycoris,
        }
        for name, document in documents.items():
            if document is not None:
                (tmp_path / name).write_text(json.dumps(document, indent=2), encoding="utf-8")
        if env is not None:
            (tmp_path / "config.env").write_text(env, encoding="utf-8")
        return tmp_path

    return write
