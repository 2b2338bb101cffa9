"""The facade around llama.cpp, the only place that imports `llama_cpp`.

Inside a `llama_*` function a wrong token id, a batch too large or a NULL ends the whole process, and no `except` sees
it. So every function here checks first what llama.cpp would abort on, and raises `EngineError` instead.
"""

from runtime.engine.llama.binding import system_info
from runtime.engine.llama.context import Batch, Context
from runtime.engine.llama.grammar import GrammarSampler
from runtime.engine.llama.model import Model
from runtime.engine.llama.pulse import Pulse
from runtime.engine.llama.sampler import Candidates, Chain

__all__ = ["Batch", "Candidates", "Chain", "Context", "GrammarSampler", "Model", "Pulse", "system_info"]
