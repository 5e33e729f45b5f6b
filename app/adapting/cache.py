"""Where this computer keeps embeddings; loads torch."""

from app.paths import cache_folder
from models.embeddings import EmbeddingCache


def embedding_cache() -> EmbeddingCache:
    """The cache that adapting and the probes made by it share."""
    return EmbeddingCache(cache_folder() / "embeddings")
