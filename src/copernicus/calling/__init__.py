"""Asking another server over its machine port: what a worker does, and a server of its peers."""
