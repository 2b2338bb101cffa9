"""OpenAI's API <-> the inputs and answers of `runtime.wire.workers_ai`, which reads and writes what both have.

A body becomes inputs of Workers AI: what differs is brought into that form, what asks for something that there is not
is refused by name, and all the rest is passed on, our own options included. An answer of Workers AI becomes OpenAI's.
"""
