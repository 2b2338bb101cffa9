"""The HTTP server: Cloudflare's API in front of an `AsyncRuntime`."""
