"""FluxTuner: fine-tune FLUX.1 with LoRA on one card, by clicks or from the command line.

Levels, held by tests/test_layers.py; an import only points down, rooms on one level do not know each other:

    8  ui   cli   install
    7  bench   queue
    6  session
    5  training   presets
    4  plan   view   practice
    3  files   dataset   export
    2  settings   hub
    1  flux   quantization   adapters   optimizers   events
    0  errors   machine
"""

import os

__version__ = "0.1.0"

# Nothing is told to anybody. The libraries read this when they are imported, so it stands before all of them.
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DO_NOT_TRACK": "1",
    # Threads wait asleep: on cores that others use too, spinning made a step 40 times as slow.
    "OMP_WAIT_POLICY": "PASSIVE",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)
