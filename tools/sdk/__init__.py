"""SDKs in other languages, generated from the schema of the native plugin."""
