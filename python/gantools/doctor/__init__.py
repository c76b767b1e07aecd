"""Whether this machine and this folder have what gantools needs; nothing here uses a network or leaves a file."""
