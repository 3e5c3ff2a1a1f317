"""
Finds, installs or builds a real Pulumi engine.

`ensure` tries the three ways in order; each way is a separate module (`search`, `installer`, `build`). `pins` contains
the pinned versions and the place of an engine.
"""
