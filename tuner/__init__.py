"""FluxTuner: fine-tune FLUX.1 with LoRA on one card, by clicks or from the command line.

Levels, held by tests/test_layers.py; an import only points down, rooms on one level do not know each other:

    8  ui   cli   install
    7  bench
    6  session
    5  training   presets
    4  plan   view   practice
    3  files   dataset   export
    2  settings
    1  flux   quantization   adapters   optimizers   events
    0  errors   machine
"""

__version__ = "0.1.0"
