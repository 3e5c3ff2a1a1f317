"""
The rules, one file for each topic.

- `plans`: Which containers are allowed?
- `spend`: What may they cost?
- `exposure`: Who may connect, and which containers must be protected?
"""
