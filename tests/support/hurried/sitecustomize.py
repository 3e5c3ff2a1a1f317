"""Python imports this file at its start, because `hurry.environment` puts this folder on the module path."""

import importlib

importlib.import_module("hurry")
