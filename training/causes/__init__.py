"""Why a baby cries, as far as sound tells: the corpus of causes, the notebook's experiment, the reason model.

Outsiders use `python -m training fetch | reproduce | predict | reason`.
"""
