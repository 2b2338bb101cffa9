"""GGUF files, read and judged without llama.cpp.

llama.cpp ends the process on some files instead of reporting them: an assertion fails, or nobody catches a C++
exception. So each file passes `check` or `check_adapter` before llama.cpp sees it.
"""

from runtime.gguf.adapter import check_adapter
from runtime.gguf.check import check
from runtime.gguf.header import Header, Tensor, read_header, shape
from runtime.gguf.reader import Array

__all__ = ["Array", "Header", "Tensor", "check", "check_adapter", "read_header", "shape"]
