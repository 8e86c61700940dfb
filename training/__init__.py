"""Makes the models that the monitor ships: sounds in, a folder of models/ out.

Outsiders use `python -m training`; `monitor` never imports this package.
"""
