"""Cryptographic primitives, each called from exactly one module; nothing here knows a plan, a float or a socket.

`random` OS entropy · `secret` values that refuse to leak · `digest` SHA-256 · `kdf` HKDF · `merkle` tree hash ·
`prg` AES-CTR masks · `kex` X25519 · `aead` AES-GCM · `password` scrypt · `signing` Ed25519 · `shamir` secret sharing.
"""
