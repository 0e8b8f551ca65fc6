"""A slow second implementation of the protocol, written from docs/wire-format.md and the standards that the page names.

It imports nothing but the standard library and itself, above all nothing from securefl (a test holds it): where the two agree to the
bit, a mistake would have to have been made twice. Python integers, no speed, no care for side channels: never use it for secrets.

The files follow the page: `digest`, `hkdf`, `merkle`, `x25519`, `ed25519`, `aes`, `gcm`, `shamir` are the primitives; `msgpack`,
`bitmap`, `words`, `messages` the bytes that travel; `plan`, `k_regular`, `encoding` what a session agrees on; `keys`,
`agreed`, `party`, `server`, `protocol` a round.
"""
