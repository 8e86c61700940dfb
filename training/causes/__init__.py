"""Causes: why a baby cries, as far as sounds with their caregiver's word for it can teach that.

What comes out is a guess and is called one; `monitor` never imports this package.
"""
