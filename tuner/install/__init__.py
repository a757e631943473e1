"""Sets FluxTuner up in `.venv` and starts it; install.sh and install.bat only find a Python and hand over.

Runs before any package is there: the standard library and `tuner.errors`, nothing else.
"""
