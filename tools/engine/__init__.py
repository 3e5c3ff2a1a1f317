"""
Finds a real Pulumi engine, or makes one.

`ensure` holds the order of the three ways; each way is a separate module
(`search`, `installer`, `build`). `pins` holds what is pinned and where it is kept.
"""
