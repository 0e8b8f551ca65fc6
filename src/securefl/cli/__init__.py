"""The command line: each verb is a few lines of the public API."""
