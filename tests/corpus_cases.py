"""All cases of the crash corpus (`tests.corpus`)."""

from __future__ import annotations

from tests import corpus_decoding, corpus_files, corpus_grammars, corpus_schemas

CASES = corpus_grammars.CASES | corpus_schemas.CASES | corpus_files.CASES | corpus_decoding.CASES
